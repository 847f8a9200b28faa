"""The database knows which file of keys is its own, and how many keys there were at least."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("key_state", sa.Column("made", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("key_state", sa.Column("mark", sa.String(60)))
