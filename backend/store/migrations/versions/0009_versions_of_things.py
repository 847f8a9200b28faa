"""Things that several may change at once have a version, decisions their change of status, customs offices codes."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

VERSIONED = ("organisation", "record", "request", "consignment")
INDEXES = {
    "ix_consignment_office": (["customs_office", "lodged_at", "id"], None),
    "ix_consignment_office_status": (["customs_office", "status", "lodged_at", "id"], None),
    "ix_consignment_office_released": (["customs_office", "released_at"], "released_at"),
    "ix_consignment_alerts": (["customs_office", "alerted_at"], "alerted_at"),
    "ix_consignment_merchant_alerts": (["merchant_id", "alerted_at"], "alerted_at"),
}
"""Over consignments: their columns, and the one that must hold something."""
STATUS = {
    "documents-required": 1,
    "examine": 2,
    "detain": 3,
    "release": 4,
    "reject": 5,
    "return": 6,
    "seize": 7,
}
"""The status that each decision leads to, as the ledger numbers them."""
_DECISION = sa.table(
    "decision",
    *(
        sa.column(name, sa.String)
        for name in ("id", "consignment_id", "decision", "change_id", "decided_at", "office_id")
    ),
)
PLACES = {"GUANGZHOU": "CNGGZ", "HANGZHOU": "CNHAZ", "JINHUA": "CNJHA", "NINGBO": "CNNBO", "SHANGHAI": "CNSGH"}
PLACES |= {"SHENZHEN": "CNSNZ", "XIAMEN": "CNXAM", "YIWU": "CNYIU", "ZHENGZHOU": "CNZGZ"}
"""Codes (UN/LOCODE) of places by their names, as merchants typed them."""
_ORGANISATION = sa.table("organisation", sa.column("id", sa.String), sa.column("role", sa.String))
_CONSIGNMENT = sa.table("consignment", sa.column("id", sa.String), sa.column("customs_office", sa.String))
_OFFICE = sa.table(
    "customs_office",
    *(sa.column(name, sa.String) for name in ("code", "organisation_id")),
    sa.column("registered_at", sa.DateTime),
)
_CHANGE = sa.table(
    "status_change",
    *(sa.column(name, sa.String) for name in ("id", "record_id", "signer", "asked_at")),
    sa.column("new_status", sa.Integer),
)


def upgrade() -> None:
    for table in VERSIONED:
        op.add_column(table, sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    for table in ("event", "decision"):
        op.add_column(table, sa.Column("version", sa.Integer()))
    # In one statement, which SQLite takes too: it adds no constraint later, and the table need not be made anew.
    op.execute(
        "ALTER TABLE decision ADD COLUMN change_id VARCHAR(80) "
        "CONSTRAINT fk_decision_change_id REFERENCES status_change (id)"
    )
    op.create_index("ix_decision_change_id", "decision", ["change_id"])
    op.execute(
        "ALTER TABLE event ADD COLUMN record_id VARCHAR(80) CONSTRAINT fk_event_record_id REFERENCES record (id)"
    )
    op.create_index("ix_event_record_id", "event", ["record_id"])
    op.add_column("consignment", sa.Column("alerted_at", sa.DateTime(timezone=True)))
    _join_decisions_to_changes(op.get_bind())
    op.create_table(
        "customs_office",
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name="fk_customs_office_organisation_id"),
        sa.PrimaryKeyConstraint("code", "organisation_id", name="pk_customs_office"),
    )
    op.create_index("ix_customs_office_organisation_id", "customs_office", ["organisation_id"])
    op.create_table(
        "office_delegation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("organisation_id", sa.String(length=80), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=80), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name="fk_office_delegation_organisation_id"),
        sa.ForeignKeyConstraint(["made_by"], ["person.id"], name="fk_office_delegation_made_by"),
        sa.PrimaryKeyConstraint("id", name="pk_office_delegation"),
    )
    for column in ("code", "organisation_id"):
        op.create_index(f"ix_office_delegation_{column}", "office_delegation", [column])
    for name, (columns, only) in INDEXES.items():
        where = sa.text(f"{only} IS NOT NULL") if only else None
        op.create_index(name, "consignment", columns, sqlite_where=where, postgresql_where=where)
    _give_offices_their_codes(op.get_bind())


def _give_offices_their_codes(connection: Any) -> None:
    """What declarations named so far, in any words, are codes of the offices that decided on them, or else of all.

    Nothing that stands in a declaration changes. A name that we know also brings its proper code, for new declarations.
    """
    offices = list(connection.scalars(sa.select(_ORGANISATION.c.id).where(_ORGANISATION.c.role == "officer")))
    decided: dict[str, set[str]] = defaultdict(set)
    named = connection.scalars(sa.select(_CONSIGNMENT.c.customs_office).distinct()).all()
    by_office = sa.select(_CONSIGNMENT.c.customs_office, _DECISION.c.office_id).join_from(
        _CONSIGNMENT, _DECISION, _DECISION.c.consignment_id == _CONSIGNMENT.c.id
    )
    for name, office in connection.execute(by_office.distinct()):
        decided[name].add(office)
    rows = {
        (code, office)
        for name in named
        for office in decided[name] or offices
        for code in (name, PLACES.get(name.upper().partition("-")[0]))
        if code is not None
    }
    moment = sa.func.current_timestamp()
    for code, office in sorted(rows):
        connection.execute(sa.insert(_OFFICE).values(code=code, organisation_id=office, registered_at=moment))


def _join_decisions_to_changes(connection: Any) -> None:
    """Every decision queued one change signed by the office, in order; what undid one queued others in between."""
    waiting: dict[str, list[Any]] = defaultdict(list)
    changes = sa.select(_CHANGE).where(
        _CHANGE.c.signer.like("office%"), _CHANGE.c.record_id.in_(sa.select(_DECISION.c.consignment_id))
    )
    for change in connection.execute(changes.order_by(_CHANGE.c.asked_at)):
        waiting[change.record_id].append(change)
    for taken in connection.execute(sa.select(_DECISION).order_by(_DECISION.c.decided_at)).all():
        left = waiting[taken.consignment_id]
        place = next((n for n, change in enumerate(left) if change.new_status == STATUS[taken.decision]), None)
        if place is not None:
            found = left.pop(place)
            del left[:place]
            connection.execute(sa.update(_DECISION).where(_DECISION.c.id == taken.id).values(change_id=found.id))


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "consignment")
    for table in ("office_delegation", "customs_office"):
        op.drop_table(table)
    op.drop_column("consignment", "alerted_at")
    with op.batch_alter_table("event", schema=None) as event:
        event.drop_index(event.f("ix_event_record_id"))
        event.drop_column("record_id")
    with op.batch_alter_table("decision", schema=None) as decision:
        decision.drop_index(decision.f("ix_decision_change_id"))
        decision.drop_column("change_id")
        decision.drop_column("version")
    op.drop_column("event", "version")
    for table in reversed(VERSIONED):
        op.drop_column(table, "version")
