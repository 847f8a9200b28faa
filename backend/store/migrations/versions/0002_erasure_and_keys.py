"""Keys that are kept outside, give way or were stolen; records that were erased; acts that wait for a signature."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("signing_key", schema=None) as batch_op:
        batch_op.alter_column("sealed_private", existing_type=sa.LargeBinary(), nullable=True)
        batch_op.add_column(sa.Column("successor", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("usable_from", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("compromised_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("record", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "prepared",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=80), nullable=False),
        sa.Column("thumbprint", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=40), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("moment", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seed", sa.LargeBinary(length=32), nullable=False),
        sa.Column("text_digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_prepared_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prepared")),
    )
    with op.batch_alter_table("prepared", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_prepared_moment"), ["moment"], unique=False)
        batch_op.create_index(batch_op.f("ix_prepared_person_id"), ["person_id"], unique=False)
