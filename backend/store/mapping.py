"""Maps the domain's classes to the tables (SQLAlchemy's imperative mapping), so that the domain imports no database."""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Column
from sqlalchemy.orm import Relationship, registry, relationship

from backend.domain.consignment import Consignment, DecisionTaken, Event, NamedPaper, PlannedDrawdown
from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.outbox import (
    AccreditationChange,
    IdempotencyRecord,
    Lease,
    OutboundTransaction,
    SigningRequest,
)
from backend.domain.parties import (
    ApiToken,
    CustomsOffice,
    OfficeDelegation,
    Organisation,
    Person,
    SigningKey,
    SignInSession,
)
from backend.domain.records import ConfirmationRequest, Product, RecordOnFile, SealedBatch, StatusChange, StoredFile
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
            "confirmed": relationship(RecordOnFile, foreign_keys=[tables.request.c.confirmed_id], lazy="selectin"),
            "issuer": relationship(Organisation, foreign_keys=[tables.request.c.issuer_id], lazy="joined"),
            "merchant": relationship(Organisation, foreign_keys=[tables.request.c.merchant_id], lazy="joined"),
        },
    )
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
