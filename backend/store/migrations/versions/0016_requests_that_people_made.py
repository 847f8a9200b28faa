"""What was asked of the ledger is listed, the newest first, with what came of it."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

ASKED = sa.text("operation NOT IN ('fund', 'announce', 'withdraw')")


def upgrade() -> None:
    op.create_index(
        "ix_ledger_request_asked",
        "ledger_request",
        ["asked_at", "id"],
        sqlite_where=ASKED,
        postgresql_where=ASKED,
    )


def downgrade() -> None:
    op.drop_index("ix_ledger_request_asked", "ledger_request")
