"""What records say is sealed, each text under a key of its own."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TEXTS = {
    ("record", "signed_jwt"): False,
    ("record", "disclosures"): False,
    ("record", "status_reason"): True,
    ("request", "reason"): True,
    ("status_change", "reason"): False,
    ("status_change", "reason_salt"): False,
    ("prepared", "arguments"): False,
}
"""The columns, and whether they may be empty."""


def upgrade() -> None:
    op.create_table(
        "forgotten_key",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_forgotten_key")),
    )
    op.create_table(
        "key_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(length=60), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("destroyed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_state")),
    )
    keys: Any = op.get_bind().dialect.data_keys  # type: ignore[attr-defined]
    for (table, column), may_be_empty in TEXTS.items():
        # A column that must not be empty needs a default while its values are still in the old one.
        default = None if may_be_empty else sa.text("''")
        op.add_column(table, sa.Column("sealed", sa.LargeBinary(), nullable=may_be_empty, server_default=default))
        _fill(table, column, "sealed", lambda value: keys.encrypt(_bytes(value)) if value else b"")
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        op.execute(f"ALTER TABLE {table} RENAME COLUMN sealed TO {column}")
    _fill("record", "number", "number", keys.mark)
    state = {"mark": keys.mark("record.keys"), "made": keys.made, "destroyed": keys.destroyed}
    op.get_bind().execute(sa.text("INSERT INTO key_state VALUES (1, :mark, :made, :destroyed)"), state)


def _fill(table: str, source: str, target: str, made: Callable[[Any], Any]) -> None:
    """Write each row's new value."""
    connection = op.get_bind()
    ids = connection.execute(sa.text(f"SELECT id FROM {table} WHERE {source} IS NOT NULL")).scalars().all()
    read = sa.text(f"SELECT {source} FROM {table} WHERE id = :id")
    write = sa.text(f"UPDATE {table} SET {target} = :value WHERE id = :id")
    for one in ids:
        value = connection.execute(read, {"id": one}).scalar_one()
        connection.execute(write, {"id": one, "value": made(value)})


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
