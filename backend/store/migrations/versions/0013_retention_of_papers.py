"""Papers are kept for the declarations that name them; events name who asked for an erasure or agreed to it.

For declarations of before, the time counts as for new ones: from lodgement, or from the last step that ended the case.
Their trade mode lies encrypted, so the longest of the rules of their office's country applies.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from backend.domain.retention import kept_until

revision = "0013"
down_revision = "0012"

ENDS = ("released", "rejected", "returned", "seized", "withdrawn")
AT_ONCE = 1000


def upgrade() -> None:
    # In one statement, as in 0009: the table need not be made anew.
    op.execute(
        "ALTER TABLE event ADD COLUMN person_id VARCHAR(80) CONSTRAINT fk_event_person_id REFERENCES person (id)"
    )
    kept = sa.Column("kept_until", sa.DateTime(timezone=True), nullable=False, server_default="9999-12-31 00:00:00")
    op.add_column("paper", kept)
    _reckon(op.get_bind())
    op.create_index("ix_paper_kept", "paper", ["record_id", "kept_until"])


def _reckon(connection: sa.Connection) -> None:
    moment = sa.DateTime(timezone=True)
    consignment = sa.table("consignment", sa.column("id"), sa.column("customs_office"), sa.column("lodged_at", moment))
    event = sa.table("event", sa.column("consignment_id"), sa.column("step"), sa.column("recorded_at", moment))
    paper = sa.table("paper", sa.column("consignment_id"), sa.column("kept_until", moment))
    ended = (
        sa.select(sa.func.max(event.c.recorded_at))
        .where(event.c.consignment_id == consignment.c.id, event.c.step.in_(ENDS))
        .scalar_subquery()
    )
    page = sa.select(consignment.c.id, consignment.c.customs_office, consignment.c.lodged_at, ended)
    put = paper.update().where(paper.c.consignment_id == sa.bindparam("of")).values(kept_until=sa.bindparam("until"))
    last = ""
    while rows := connection.execute(
        page.where(consignment.c.id > last).order_by(consignment.c.id).limit(AT_ONCE)
    ).all():
        last = rows[-1][0]
        connection.execute(
            put,
            [
                {"of": key, "until": kept_until(office, None, _utc(lodged_at), closed_at and _utc(closed_at))}
                for key, office, lodged_at, closed_at in rows
            ],
        )


def _utc(moment: datetime) -> datetime:
    """Return an aware time; SQLite gives it without its zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def downgrade() -> None:
    op.drop_index("ix_paper_kept", "paper")
    op.drop_column("paper", "kept_until")
    with op.batch_alter_table("event") as batch_op:
        batch_op.drop_constraint(op.f("fk_event_person_id"), type_="foreignkey")
        batch_op.drop_column("person_id")
