"""Tables and columns are called what the code calls them.

SQLite renames tables and columns in place, but neither indexes nor constraints: indexes are made anew, and the names of
constraints are changed in the schema's text, which SQLite allows for what does not alter the content
(https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes"). Making the tables anew
would not do: rows of other tables point to them, and the checks on that cannot be put off inside a transaction.
"""

import re
from collections.abc import Iterator, Mapping

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = {
    "sending": "outbound_transaction",
    "claim": "lease",
    "opening": "activation",
    "draw": "planned_drawdown",
    "certificate_draw": "drawdown",
    "accreditation_act": "accreditation_change",
    "answer": "idempotency_record",
    "prepared": "signing_request",
    "forgotten_key": "key_to_destroy",
}
COLUMNS = {
    "sending": {"earlier": "earlier_attempts"},
    "record": {"place": "leaf_index"},
    "signing_key": {"sealed_private": "encrypted_private"},
    "opening": {"sending_id": "transaction_id"},
    "certificate_draw": {
        "line_id": "original_id",
        "sending_id": "transaction_id",
        "drawing": "set_root",
        "back_asked_at": "refund_asked_at",
        "back_sending_id": "refund_transaction_id",
        "given_back_at": "refunded_at",
    },
    "status_change": {"sending_id": "transaction_id"},
    "accreditation_act": {"verb": "operation", "sending_id": "transaction_id", "cancelling_id": "cancellation_id"},
}
STATES = {"displaced": "replaced"}
"""States of transactions that are stored under another word from now on."""
OPEN_NONCE = sa.text("state IN ('signed', 'sent', 'mined')")


def upgrade() -> None:
    _rename(TABLES, COLUMNS, STATES)


def downgrade() -> None:
    columns = {TABLES.get(table, table): _swapped(renamed) for table, renamed in COLUMNS.items()}
    _rename(_swapped(TABLES), columns, _swapped(STATES))


def _swapped(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _rename(tables: Mapping[str, str], columns: Mapping[str, Mapping[str, str]], states: Mapping[str, str]) -> None:
    inspector = sa.inspect(op.get_bind())
    renamed = [
        (table, tables.get(table, table), columns.get(table, {})) for table in dict.fromkeys([*tables, *columns])
    ]
    # PostgreSQL lists the index behind a constraint too, which goes and comes with it.
    indexes = {
        table: [index for index in inspector.get_indexes(table) if "duplicates_constraint" not in index]
        for table, _, _ in renamed
    }
    constraints = {table: sorted(_constraints(inspector, table)) for table, _, _ in renamed}
    for table, _, _ in renamed:
        for index in indexes[table]:
            op.drop_index(str(index["name"]), table)
    for old, new, changed in renamed:
        for column, better in changed.items():
            op.execute(f"ALTER TABLE {old} RENAME COLUMN {column} TO {better}")
        if old != new:
            op.execute(f"ALTER TABLE {old} RENAME TO {new}")
    for old, new, changed in renamed:
        names = {name: _renamed(name, old, new, changed) for name in constraints[old]}
        _rename_constraints(new, {name: better for name, better in names.items() if name != better})
        for index in indexes[old]:
            name = str(index["name"])
            held = [changed.get(str(column), str(column)) for column in index["column_names"]]
            where = OPEN_NONCE if name.endswith("open_nonce") else None
            better = _renamed(name, old, new, changed)
            op.create_index(better, new, held, unique=index["unique"], sqlite_where=where, postgresql_where=where)
    for old, new in states.items():
        for table in {"sending", "outbound_transaction"} & set(tables.values()):
            op.execute(f"UPDATE {table} SET state = '{new}' WHERE state = '{old}'")


def _constraints(inspector: sa.Inspector, table: str) -> Iterator[str]:
    found = [inspector.get_pk_constraint(table), *inspector.get_foreign_keys(table)]
    yield from (str(one["name"]) for one in [*found, *inspector.get_unique_constraints(table)] if one["name"])


def _renamed(name: str, old: str, new: str, columns: Mapping[str, str]) -> str:
    """The name of an index or a constraint by the convention: what it is, its table, its first column."""
    what, _, rest = name.partition("_")
    column = rest.removeprefix(old)
    return f"{what}_{new}_{columns.get(column[1:], column[1:])}" if column else f"{what}_{new}"


def _rename_constraints(table: str, names: Mapping[str, str]) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        for old, new in names.items():
            op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
        return
    read = sa.text("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = :table")
    text = connection.execute(read, {"table": table}).scalar_one()
    for old, new in names.items():
        text = re.sub(rf"CONSTRAINT {old}\b", f"CONSTRAINT {new}", text)
    write = sa.text("UPDATE sqlite_schema SET sql = :text WHERE type = 'table' AND name = :table")
    op.execute("PRAGMA writable_schema = ON")
    connection.execute(write, {"text": text, "table": table})
    # RESET, unlike OFF, also has the connection read the schema anew.
    op.execute("PRAGMA writable_schema = RESET")
