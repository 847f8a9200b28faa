"""Maps the domain's classes to the tables (SQLAlchemy's imperative mapping), so that the domain imports no database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Column, Table, inspect
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
from backend.store.encryption import EncryptedValue, KeyStore


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


Row = tuple[Table, dict[str, Any]]
"""A table, and the values of one new row by the names of their columns."""


@dataclass(frozen=True)
class _Plan:
    """How the entities of one class become rows."""

    table: Table
    plain: tuple[tuple[str, str], ...]
    """Columns with the attribute that holds their value."""
    encrypted: tuple[tuple[str, str, EncryptedValue[Any]], ...]
    keys: tuple[tuple[str, str, Any], ...]
    """Columns that refer to another entity, by attribute, with what reads the other one's key."""
    lists: tuple[tuple[str, str, Any], ...]
    """Attributes that hold the entities of a list, their column that refers to this one, and what reads its key."""


def rows_of(entity: Any, keys: KeyStore) -> Iterator[Row]:
    """Yield the rows of a new entity and of those in its lists, each after those that it refers to.

    What is encrypted in the database is encrypted now, so that a transaction need not wait for it.

    Raises:
        StorageFull, StorageUnavailable: if no keys can be made.
    """
    plan = _plan(type(entity))  # type: ignore[arg-type]
    # A new entity holds all that was set in its dictionary; the mapper's attributes would look in the database too.
    held = vars(entity)
    row = {name: held.get(attribute) for name, attribute in plan.plain}
    for name, attribute, column_type in plan.encrypted:
        value = held.get(attribute)
        row[name] = None if value is None else column_type.encrypted(value, keys)
    for name, attribute, key in plan.keys:
        other = held.get(attribute)
        row[name] = None if other is None else key(other)
    yield plan.table, row
    for attribute, column, key in plan.lists:
        for listed in getattr(entity, attribute):
            for table, values in rows_of(listed, keys):
                yield table, values | {column: key(entity)}


@cache
def _plan(entity: Any) -> _Plan:
    mapper: Mapper[Any] = inspect(entity)
    referring, lists = [], []
    for one in mapper.relationships:
        ((here, there),) = one.local_remote_pairs
        if one.direction is RelationshipDirection.MANYTOONE:
            referring.append((here.name, one.key, attrgetter(one.mapper.get_property_by_column(there).key)))
        else:
            lists.append((one.key, there.name, attrgetter(mapper.get_property_by_column(here).key)))
    plain, encrypted = [], []
    table = mapper.local_table
    assert isinstance(table, Table)
    for column in table.columns:
        attribute = mapper.get_property_by_column(column).key
        if isinstance(column.type, EncryptedValue):
            encrypted.append((column.name, attribute, column.type))
        elif column is not table.autoincrement_column:  # the database counts those
            plain.append((column.name, attribute))
    return _Plan(table, tuple(plain), tuple(encrypted), tuple(referring), tuple(lists))
