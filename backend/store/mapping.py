"""Maps the domain's classes to the tables (SQLAlchemy's imperative mapping), so that the domain imports no database."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeVar, cast

from sqlalchemy import Column, Dialect, Table, inspect
from sqlalchemy.orm import Mapper, Relationship, RelationshipDirection, registry, relationship

from backend.domain.consignment import Consignment, DecisionTaken, Event, NamedPaper, PlannedDrawdown
from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.outbox import (
    AccreditationChange,
    IdempotencyRecord,
    Lease,
    LedgerRequest,
    OutboundTransaction,
    RevocationNotice,
    SigningRequest,
)
from backend.domain.parties import (
    ApiToken,
    CustomsOffice,
    FormDraft,
    OfficeDelegation,
    Organisation,
    Person,
    SigningKey,
    SignInSession,
)
from backend.domain.records import (
    ConfirmationRequest,
    Product,
    RecordOnFile,
    RequestMessage,
    SealedBatch,
    StatusChange,
    StoredFile,
)
from backend.domain.simulation import Simulation
from backend.store import tables


@cache
def map_the_domain() -> None:
    """Map all classes, once per process."""
    mapper = registry(metadata=tables.metadata)
    put = mapper.map_imperatively
    put(Organisation, tables.organisation)
    put(Person, tables.person, properties={"organisation": relationship(Organisation, lazy="joined")})
    put(ApiToken, tables.api_token, properties={"person": relationship(Person, lazy="joined")})
    put(SignInSession, tables.sign_in_session, properties={"person": relationship(Person, lazy="joined")})
    put(FormDraft, tables.form_draft)
    put(SigningKey, tables.signing_key, properties={"organisation": relationship(Organisation, lazy="joined")})
    put(CustomsOffice, tables.customs_office, properties={"organisation": relationship(Organisation, lazy="joined")})
    put(
        OfficeDelegation,
        tables.office_delegation,
        properties={"organisation": relationship(Organisation, lazy="joined")},
    )
    put(Product, tables.product, properties={"merchant": relationship(Organisation, lazy="joined")})
    put(OutboundTransaction, tables.outbound_transaction)
    put(Lease, tables.lease)
    put(SealedBatch, tables.batch)
    put(StoredFile, tables.stored_file, properties={"owner": relationship(Organisation, lazy="joined")})
    put(
        RecordOnFile,
        tables.record,
        properties={
            "issuer": relationship(Organisation, foreign_keys=[tables.record.c.issuer_id], lazy="joined"),
            "holder": relationship(Organisation, foreign_keys=[tables.record.c.holder_id], lazy="joined"),
            "product": relationship(Product, lazy="joined"),
            "batch": relationship(SealedBatch, lazy="joined"),
        },
    )
    put(
        ConfirmationRequest,
        tables.request,
        properties={
            "statement": relationship(RecordOnFile, foreign_keys=[tables.request.c.statement_id], lazy="joined"),
            "order": tables.request.c.order_fields,  # the other name is a word of SQL
            "product": relationship(Product, lazy="joined"),
            "confirmed": relationship(RecordOnFile, foreign_keys=[tables.request.c.confirmed_id], lazy="selectin"),
            "issuer": relationship(Organisation, foreign_keys=[tables.request.c.issuer_id], lazy="joined"),
            "merchant": relationship(Organisation, foreign_keys=[tables.request.c.merchant_id], lazy="joined"),
        },
    )
    put(RequestMessage, tables.request_message, properties={"author": relationship(Organisation, lazy="joined")})
    in_time = [tables.event.c.occurred_at, tables.event.c.recorded_at]
    put(NamedPaper, tables.paper, properties={"record": relationship(RecordOnFile, lazy="joined")})
    put(PlannedDrawdown, tables.planned_drawdown)
    put(
        Event,
        tables.event,
        properties={
            "organisation": relationship(Organisation, lazy="joined"),
            "record": relationship(RecordOnFile, lazy="selectin"),
        },
    )
    put(
        DecisionTaken,
        tables.decision,
        properties={
            "office": relationship(Organisation, lazy="joined"),
            "change": relationship(StatusChange, lazy="joined"),
        },
    )
    put(
        Consignment,
        tables.consignment,
        properties={
            "record": relationship(RecordOnFile, lazy="joined"),
            "merchant": relationship(Organisation, lazy="joined"),
            # Lists below by a query each: in one join they would multiply each other's rows.
            "planned_drawdowns": relationship(PlannedDrawdown),
            "papers": relationship(NamedPaper, order_by=tables.paper.c.number, lazy="selectin"),
            "events": relationship(Event, order_by=in_time, lazy="selectin"),
            "decisions": relationship(DecisionTaken, order_by=tables.decision.c.decided_at, lazy="selectin"),
        },
    )
    put(Activation, tables.activation, properties={"transaction": relationship(OutboundTransaction, lazy="joined")})
    drawdown = tables.drawdown
    by = {"transaction": drawdown.c.transaction_id, "refund_transaction": drawdown.c.refund_transaction_id}
    put(Drawdown, drawdown, properties=_transactions(by))
    put(
        StatusChange, tables.status_change, properties={"transaction": relationship(OutboundTransaction, lazy="joined")}
    )
    notice = tables.revocation_notice
    put(RevocationNotice, notice, properties={"transaction": relationship(OutboundTransaction, lazy="joined")})
    asked = tables.ledger_request
    put(LedgerRequest, asked, properties={"transaction": relationship(OutboundTransaction, lazy="joined")})
    act = tables.accreditation_change
    by = {
        "transaction": act.c.transaction_id,
        "announcement": act.c.announcement_id,
        "cancellation": act.c.cancellation_id,
    }
    put(AccreditationChange, act, properties={**_transactions(by)})
    put(IdempotencyRecord, tables.idempotency_record)
    put(Simulation, tables.simulation, properties={"organisation": relationship(Organisation, lazy="joined")})
    put(SigningRequest, tables.signing_request)


def _transactions(columns: Mapping[str, Column[str]]) -> dict[str, Relationship[OutboundTransaction]]:
    """Return relationships to several transactions that one row refers to."""
    return {
        name: relationship(OutboundTransaction, foreign_keys=[column], lazy="joined")
        for name, column in columns.items()
    }


Entity = TypeVar("Entity")


def unfollowed(kind: type[Entity], /, **values: Any) -> Entity:
    """Make an entity that no session can follow, in a fraction of the time: for ``rows_of``.

    ``values`` are what its class has no defaults for, and whatever differs from them.
    """
    made = object.__new__(kind)  # past the mapper, which would note the change of each attribute
    vars(made).update(_defaults(cast(Hashable, kind)))
    vars(made).update(values)
    return made


@cache
def _defaults(kind: Any) -> dict[str, Any]:
    return {one.name: one.default for one in fields(kind) if one.default is not MISSING}


Row = tuple[Table, tuple[Any, ...]]
"""A table, and one new row of it as the database's driver takes it, in the order of ``columns_of``."""


@cache
def columns_of(table: Table) -> tuple[Column[Any], ...]:
    """Return the columns of a table that a new row has values for; the database counts the others."""
    return tuple(column for column in table.columns if column is not table.autoincrement_column)


Bound = Callable[[Any], Any]


def bound_for(column: Column[Any], dialect: Dialect) -> Bound:
    """Return what makes a value of a column what the driver takes; where it is encrypted, it is encrypted by that."""
    return column.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class _Plan:
    """How the entities of one class become rows of one database."""

    table: Table
    values: tuple[tuple[str, Bound], ...]
    """The attribute that each column's value is made from, and what makes it."""
    lists: tuple[tuple[str, int, Any], ...]
    """Attributes that hold the entities of a list, the place of their column that refers to this one, and what reads
    its key."""


def rows_of(entity: Any, dialect: Dialect) -> Iterator[Row]:
    """Yield the rows of a new entity and of those in its lists, each after those that it refers to.

    What is encrypted in the database is encrypted now, so that a transaction need not wait for it.

    Raises:
        StorageFull, StorageUnavailable: if no keys can be made.
    """
    plan = _plan(cast(Hashable, type(entity)), dialect)
    # A new entity holds all that was set in its dictionary; the mapper's attributes would look in the database too.
    held = vars(entity)
    yield plan.table, tuple([bound(held.get(attribute)) for attribute, bound in plan.values])
    for attribute, place, key in plan.lists:
        for listed in held.get(attribute) or ():
            for table, values in rows_of(listed, dialect):
                yield table, (*values[:place], key(entity), *values[place + 1 :])


@lru_cache(maxsize=256)
def _plan(entity: Any, dialect: Dialect) -> _Plan:
    mapper: Mapper[Any] = inspect(entity)
    table = mapper.local_table
    assert isinstance(table, Table)
    columns = columns_of(table)
    values = {
        column.name: (mapper.get_property_by_column(column).key, bound_for(column, dialect)) for column in columns
    }
    lists = []
    for one in mapper.relationships:
        ((here, there),) = one.local_remote_pairs
        if one.direction is RelationshipDirection.MANYTOONE:
            key = attrgetter(one.mapper.get_property_by_column(there).key)
            values[here.name] = one.key, _key_of(key)
        else:
            listed = one.mapper.local_table
            assert isinstance(listed, Table)
            place = columns_of(listed).index(listed.c[there.name])
            lists.append((one.key, place, attrgetter(mapper.get_property_by_column(here).key)))
    return _Plan(table, tuple(values.values()), tuple(lists))


def _key_of(key: Callable[[Any], Any]) -> Bound:
    return lambda other: None if other is None else key(other)
