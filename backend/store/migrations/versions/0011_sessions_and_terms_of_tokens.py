"""Sessions lie here; tokens have a name, a scope and an end.

Tokens that were there go on: they may do what their person may, for two years from the upgrade. Cookies of before hold
a person's id, which opens no session: whoever was signed in signs in once more.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

TERM = timedelta(days=2 * 365)


def upgrade() -> None:
    op.create_table(
        "sign_in_session",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=80), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_sign_in_session_person_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_session")),
    )
    op.create_index(op.f("ix_sign_in_session_person_id"), "sign_in_session", ["person_id"])
    columns: list[sa.Column[Any]] = [
        sa.Column("name", sa.String(length=80)),
        sa.Column("scope", sa.String(length=40)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
    ]
    for column in (*columns, sa.Column("last_used_at", sa.DateTime(timezone=True))):
        op.add_column("api_token", column)
    token = sa.table("api_token", *(sa.column(column.name, column.type) for column in columns))
    op.execute(token.update().values(name="registration", scope="decide", expires_at=datetime.now(UTC) + TERM))
    with op.batch_alter_table("api_token") as batch_op:
        for column in columns:
            batch_op.alter_column(column.name, existing_type=column.type, nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("api_token") as batch_op:
        for name in ("last_used_at", "expires_at", "scope", "name"):
            batch_op.drop_column(name)
    op.drop_table("sign_in_session")
