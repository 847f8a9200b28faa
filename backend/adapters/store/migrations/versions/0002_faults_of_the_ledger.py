"""Raised fees, numbers used once, quarantine, claims."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_claim")),
    )
    with op.batch_alter_table("sending", schema=None) as batch_op:
        batch_op.add_column(sa.Column("earlier", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("raised_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("trouble", sa.String(length=200), nullable=True))
        batch_op.create_index(
            "uq_sending_open_nonce",
            ["signer", "nonce"],
            unique=True,
            sqlite_where=sa.text("state IN ('signed', 'sent', 'mined')"),
            postgresql_where=sa.text("state IN ('signed', 'sent', 'mined')"),
        )
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("trouble", sa.String(length=200), nullable=True))
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("quarantined", sa.String(length=200), nullable=True))
    with op.batch_alter_table("status_change", schema=None) as batch_op:
        batch_op.add_column(sa.Column("settled", sa.String(length=200), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("status_change", schema=None) as batch_op:
        batch_op.drop_column("settled")
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_column("quarantined")
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.drop_column("trouble")
    with op.batch_alter_table("sending", schema=None) as batch_op:
        batch_op.drop_index("uq_sending_open_nonce")
        batch_op.drop_column("trouble")
        batch_op.drop_column("raised_at")
        batch_op.drop_column("earlier")
    op.drop_table("claim")
