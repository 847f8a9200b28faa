"""Things that several may change at once have a version, and a decision has the change of status that it led to."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"

VERSIONED = ("organisation", "record", "request", "consignment")
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
    *(sa.column(name, sa.String) for name in ("id", "consignment_id", "decision", "change_id", "decided_at")),
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
    op.create_index("ix_consignment_alerts", "consignment", ["alerted_at"])
    op.create_index("ix_consignment_merchant_alerts", "consignment", ["merchant_id", "alerted_at"])
    _join_decisions_to_changes(op.get_bind())


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
    op.drop_index("ix_consignment_merchant_alerts", "consignment")
    op.drop_index("ix_consignment_alerts", "consignment")
    op.drop_column("consignment", "alerted_at")
    with op.batch_alter_table("event", schema=None) as event:
        event.drop_constraint(event.f("fk_event_record_id"), type_="foreignkey")
        event.drop_index(event.f("ix_event_record_id"))
        event.drop_column("record_id")
    with op.batch_alter_table("decision", schema=None) as decision:
        decision.drop_constraint(decision.f("fk_decision_change_id"), type_="foreignkey")
        decision.drop_index(decision.f("ix_decision_change_id"))
        decision.drop_column("change_id")
        decision.drop_column("version")
    op.drop_column("event", "version")
    for table in reversed(VERSIONED):
        op.drop_column(table, "version")
