"""The database itself refuses a number that an issuer has used, a second successor, and a second standing drawdown.

So far units of work looked first and stored then, which is enough only where they exclude each other, as on SQLite.
Should a database hold such a duplicate all the same, nothing that is signed changes: of a number the earliest record
keeps the mark by which it is found, of a successor the one that the earlier record names keeps the link.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

ISSUED = sa.text("assurance = 'issued'")
SUCCESSOR = sa.text("supersedes_id IS NOT NULL")
STANDING = sa.text("refusal IS NULL AND refunded_at IS NULL")
NEW: list[tuple[str, str, list[str], Any]] = [
    ("uq_record_number", "record", ["issuer_id", "kind", "number"], ISSUED),
    ("uq_record_successor", "record", ["supersedes_id"], SUCCESSOR),
    ("uq_drawdown_standing", "drawdown", ["declaration_id", "certificate_id"], STANDING),
]


def upgrade() -> None:
    op.execute(
        """
        UPDATE record SET number = NULL WHERE assurance = 'issued' AND number IS NOT NULL AND EXISTS (
            SELECT 1 FROM record AS earlier WHERE earlier.assurance = 'issued'
            AND earlier.issuer_id = record.issuer_id AND earlier.kind = record.kind AND earlier.number = record.number
            AND (earlier.recorded_at < record.recorded_at
                 OR (earlier.recorded_at = record.recorded_at AND earlier.id < record.id))
        )
        """
    )
    op.execute(
        """
        UPDATE record SET supersedes_id = NULL WHERE supersedes_id IS NOT NULL AND EXISTS (
            SELECT 1 FROM record AS earlier
            WHERE earlier.id = record.supersedes_id AND earlier.superseded_by_id <> record.id
        )
        """
    )
    op.drop_index("ix_record_number", "record")
    for name, table, columns, where in NEW:
        op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, table, _columns, _where in NEW:
        op.drop_index(name, table)
    op.create_index("ix_record_number", "record", ["issuer_id", "kind", "number"])
