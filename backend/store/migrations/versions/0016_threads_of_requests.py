"""Questions and answers about merchants' requests, with the fields that the issuer marked.

Requests from before begin a thread of their own: which of them corrected another one stands in their statements only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("request", sa.Column("first_id", sa.String(36)))
    op.add_column("request", sa.Column("last_author_id", sa.String(36)))
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
    op.drop_column("request", "last_author_id")
    op.drop_column("request", "first_id")
