"""Whole answers are kept under idempotency keys, encrypted; those of before are made again from the id kept."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("idempotency_record", sa.Column("response", sa.LargeBinary))


def downgrade() -> None:
    op.drop_column("idempotency_record", "response")
