"""Orders beside statements, and questions and answers about requests; simulations that are begun again; keys of files.

Requests from before begin a thread of their own: which of them corrected another one stands in their statements only.
The keys of earlier attachments are noted at the start, from the files.
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
UNNUMBERED = sa.text("key_number IS NULL")
ORDERED = sa.text("order_kind IS NOT NULL")


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("simulation", column)
    op.add_column("stored_file", sa.Column("key_number", sa.BigInteger()))
    op.create_index(
        "ix_stored_file_unnumbered",
        "stored_file",
        ["sha256"],
        sqlite_where=UNNUMBERED,
        postgresql_where=UNNUMBERED,
    )
    op.create_index(op.f("ix_simulation_files_due"), "simulation", ["files_due"])
    with op.batch_alter_table("request") as request:
        request.alter_column("statement_id", existing_type=sa.String(80), nullable=True)
        request.add_column(sa.Column("first_id", sa.String(36)))
        request.add_column(sa.Column("corrects_id", sa.String(36)))
        request.add_column(sa.Column("order_fields", sa.LargeBinary()))
        request.add_column(sa.Column("order_kind", sa.Integer()))
        request.add_column(sa.Column("product_id", sa.String(80)))
        request.add_column(sa.Column("last_author_id", sa.String(36)))
        request.create_foreign_key(op.f("fk_request_product_id"), "product", ["product_id"], ["id"])
    op.create_index(
        "ix_request_order",
        "request",
        ["merchant_id", "order_kind"],
        sqlite_where=ORDERED,
        postgresql_where=ORDERED,
    )
    op.create_table(
        "request_message",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("thread_id", sa.String(36), nullable=False),
        sa.Column("author_id", sa.String(80), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("doubtful", sa.JSON()),
        sa.ForeignKeyConstraint(["thread_id"], ["request.id"], name=op.f("fk_request_message_thread_id")),
        sa.ForeignKeyConstraint(["author_id"], ["organisation.id"], name=op.f("fk_request_message_author_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_message")),
    )
    op.create_index("ix_request_message_thread", "request_message", ["thread_id", "said_at", "id"])


def downgrade() -> None:
    op.drop_table("request_message")
    op.drop_index("ix_request_order", "request")
    op.execute("DELETE FROM request WHERE statement_id IS NULL")
    with op.batch_alter_table("request") as request:
        request.drop_constraint(op.f("fk_request_product_id"), type_="foreignkey")
        for name in ("last_author_id", "product_id", "order_kind", "order_fields", "corrects_id", "first_id"):
            request.drop_column(name)
        request.alter_column("statement_id", existing_type=sa.String(80), nullable=False)
    op.drop_index("ix_stored_file_unnumbered", "stored_file")
    op.drop_column("stored_file", "key_number")
    op.drop_index(op.f("ix_simulation_files_due"), "simulation")
    for column in reversed(COLUMNS):
        op.drop_column("simulation", column.name)
