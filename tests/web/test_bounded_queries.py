"""Every statement of a request or of the worker is bounded by an index: its cost does not grow with what is stored.

The statements are collected while every operation and every form is used, as the tests derived from description and url
map use them. SQLite then tells how it would carry each one out (EXPLAIN QUERY PLAN).
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from backend.store import tables as t
from tests.web import test_every_operation as derived
from tests.web import test_forms_sent as forms

SMALL = {
    "accreditation_change",
    "alembic_version",
    "key_state",
    "key_to_destroy",
    "lease",
    "signing_key",
    "signing_request",
    "simulation",
}
"""Tables that hold few rows for ever: those of the authority's acts, of keys and leases, or emptied as they are read."""
GROWING = {table.name for table in t.metadata.sorted_tables} - SMALL
WAITING = {
    "ix_activation_pending",
    "ix_drawdown_pending",
    "ix_drawdown_to_refund",
    "ix_record_quarantined",
    "ix_record_unsealed",
    "ix_status_change_pending",
}
"""Indexes of what waits: intake is refused before that is much."""
OWNERS = ("merchant_id", "holder_id", "issuer_id", "status", "state", "product_id", "organisation_id", "record_id")
"""Columns that many rows share: to sort all rows of one value is no better than to scan the table."""
EXPORTS = ("SELECT consignment.id, event.step,",)
"""Statements that hand out everything, row by row, to those who ask for everything: the events for a time study."""
PATHS = {
    "merchant": ["/", "/records", "/records?replaced=yes", "/declarations", "/declarations/new", "/products"],
    "chamber": ["/", "/records", "/requests", "/requests?state=all"],
    "officer": ["/", "/desk", "/desk?status=all", "/desk?status=released"],
    "authority": ["/", "/accreditations"],
    "analyst": ["/", "/release-times", "/simulations"],
    "": ["/healthz", "/metrics"],
}


@contextmanager
def collecting() -> Iterator[dict[str, tuple[Any, ...]]]:
    """The statements that any engine carries out meanwhile, each with what it was given once."""
    found: dict[str, tuple[Any, ...]] = {}

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> None:
        if statement.lstrip()[:6].upper() in ("SELECT", "UPDATE", "DELETE"):
            found.setdefault(statement, tuple(given[0] if many else given))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def statements(app, people, system, settle) -> dict[str, tuple[Any, ...]]:
    """What the database was asked while every operation, form and list was used and the worker did its part."""
    world = derived.World(derived.Api(app.test_client(), people), system, settle)
    installation = forms.Installation(app, system, people, derived.Api(app.test_client(), people), settle)
    with collecting() as found:
        described = derived.operations(world.api.get("/openapi.json").get_json())
        for name, operation in described.items():
            for media_type in operation.get("requestBody", {}).get("content", {None: None}):
                derived.ask(world, name, operation, media_type)
        for case in forms.CASES:
            forms.send(installation, case, 0, "en")
        for role, paths in PATHS.items():
            for path in paths:
                assert installation.browser(role).get(path).status_code == 200, path
        last = world.api.get("/declarations?limit=2", "officer").get_json()["next"]
        world.api.get(f"/declarations?limit=2&status=LODGED&after={last}", "officer")
        settle()
    return found


def plan(database: Path, statement: str, given: tuple[Any, ...]) -> list[str]:
    """How SQLite would carry a statement out, tables by their own names."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
    names = dict(re.findall(r"\b(\w+) AS (\w+)", statement))
    aliases = {alias: table for table, alias in names.items()} | {alias: name for name, alias in names.items()}
    return [re.sub(r"^(SCAN|SEARCH) (\w+)", lambda m: f"{m[1]} {aliases.get(m[2], m[2])}", row[3]) for row in rows]


def unbounded(steps: list[str], statement: str) -> list[str]:
    """The steps of a plan whose cost grows with what is stored."""
    faults = []
    sorts = any(step == "USE TEMP B-TREE FOR ORDER BY" for step in steps)
    for step in steps:
        verb, _, rest = step.partition(" ")
        table, _, how = rest.partition(" ")
        index = re.search(r"INDEX (\w+)", how)
        if table not in GROWING or (index and index[1] in WAITING):
            continue
        first = re.search(r"\((\w+)", how)
        in_order = index is not None and "LIMIT" in statement and "WHERE" not in statement and not sorts
        if (verb == "SCAN" and not in_order) or (verb == "SEARCH" and sorts and first and first[1] in OWNERS):
            faults.append(step)
    return faults


def faults_of(database: Path, statements: dict[str, tuple[Any, ...]]) -> dict[str, list[str]]:
    """The statements that are not bounded, with the steps that are not."""
    found = {
        statement: unbounded(plan(database, statement, given), statement)
        for statement, given in statements.items()
        if not statement.startswith(EXPORTS)
    }
    return {statement: steps for statement, steps in found.items() if steps}


def test_statement_of_any_request_is_bounded(statements, system):
    assert len(statements) > 100
    assert faults_of(system.folder.database_file, statements) == {}


@pytest.mark.parametrize(
    ("index", "table"),
    [
        ("ix_record_number", "record"),
        ("ix_record_held", "record"),
        ("ix_consignment_merchant", "consignment"),
        ("ix_status_change_pending", "status_change"),
    ],
)
def test_missing_index_is_noticed(statements, system, tmp_path, index, table):
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(system.folder.database_file)) as connection, closing(sqlite3.connect(copy)) as other:
        connection.backup(other)
        other.execute(f"DROP INDEX {index}")
    found = faults_of(copy, statements)
    assert any(table in step for steps in found.values() for step in steps), found


@pytest.mark.parametrize(
    "query",
    [
        select(t.record.c.id).where(t.record.c.digest.like("0%")),
        select(t.record.c.id).where(t.record.c.holder_id == "x").order_by(t.record.c.issued_at),
    ],
)
def test_planted_unbounded_query_is_found(system, query):
    with collecting() as found, system.ctx.work(reading=True) as work:
        work._session.execute(query)
    assert len(faults_of(system.folder.database_file, found)) == 1
