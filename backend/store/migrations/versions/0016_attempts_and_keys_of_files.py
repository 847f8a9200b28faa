"""Simulations are begun again where their process ended; attachments' rows name their keys.

Their files are tried until they are stored. The keys of earlier attachments are noted at the start, from the files.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

COLUMNS = (
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("files_due", sa.DateTime(timezone=True)),
    sa.Column("files_attempts", sa.Integer(), nullable=False, server_default="0"),
)


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("simulation", column)
    op.add_column("stored_file", sa.Column("key_number", sa.BigInteger()))
    op.create_index(op.f("ix_simulation_files_due"), "simulation", ["files_due"])


def downgrade() -> None:
    op.drop_column("stored_file", "key_number")
    op.drop_index(op.f("ix_simulation_files_due"), "simulation")
    for column in reversed(COLUMNS):
        op.drop_column("simulation", column.name)
