"""Every statement of a request or of the worker is bounded by an index: its cost does not grow with what is stored.

The statements are collected while every operation and every form is used, as the tests derived from description and url
map use them. SQLite then tells how it would carry each one out (EXPLAIN QUERY PLAN).
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from backend.store import tables as t
from tests.helpers.builders import KeyedApi
from tests.web import test_every_operation as derived
from tests.web import test_forms_sent as forms

pytestmark = pytest.mark.sqlite
SMALL = {
    "accreditation_change",
    "alembic_version",
    "customs_office",
    "hs_heading",
    "hs_word",
    "key_state",
    "key_to_destroy",
    "lease",
    "office_delegation",
    "signing_key",
    "signing_request",
    "simulation",
}
"""Tables that stay small: those of acts, offices, keys and leases, or emptied as they are read; the nomenclature."""
GROWING = {table.name for table in t.metadata.sorted_tables} - SMALL
WAITING = {
    "ix_activation_pending",
    "ix_drawdown_pending",
    "ix_drawdown_to_refund",
    "ix_ledger_request_pending",
    "ix_record_quarantined",
    "ix_record_unsealed",
    "ix_revocation_notice_pending",
    "ix_status_change_pending",
}
"""Indexes of what waits: intake is refused before that is much."""
ORDERED = {"ix_ledger_request_asked": "WHERE operation NOT IN ('fund', 'announce', 'withdraw') ORDER BY"}
"""Partial indexes that are read in their order, by statements whose only condition is that of the index."""
SHARED = ("merchant_id", "holder_id", "issuer_id", "kind", "status", "state", "product_id", "organisation_id")
OWNERS = {
    (table.name, column.name) for table in t.metadata.sorted_tables for column in table.columns if column.name in SHARED
} | {("paper", "record_id")}
"""Columns of which many rows share a value: to sort all rows of one value is no better than to scan the table."""
EXEMPT = {
    "SELECT consignment.id, event.step,": "hands out every event, row by row, to whoever asks for all of them",
    "FROM organisation ORDER BY organisation.name": "the authority's list of all whom it has registered, one by one",
    "batch.state IN (?, ?, ?)": "names the states before the end: batches that are under way",
    "batch.state = ?": "names a state before the end: batches that are to be sent",
    "outbound_transaction.state IN (?, ?, ?)": "names the states before the end: transactions under way",
}
"""Parts of statements that are not bounded, and why that is so."""
PATHS = {
    "merchant": [
        *(
            "/",
            "/records",
            "/records?replaced=yes",
            "/records?q=lamp+desk",
            "/declarations?q=lamp&status=released",
            "/products",
            "/products?retired=yes",
            "/hs-codes?q=desk+lamp",
            "/requests",
            "/requests?state=all",
        ),
        *("/declarations", "/declarations?alerted=yes", "/declarations/new"),
        *("/declarations?order=reference", "/declarations/new?choose=1", "/declarations/new?choose=1&q=lamp+desk"),
    ],
    "chamber": ["/", "/records", "/requests", "/requests?state=all"],
    "officer": ["/", "/desk", "/desk?status=all", "/desk?status=released", "/desk?alerted=yes"],
    "authority": ["/", "/accreditations", "/ledger-accounts", "/ledger-roles"],
    "analyst": ["/", "/release-times", "/simulations"],
    "": ["/healthz", "/readyz", "/metrics"],
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
    world = derived.World(KeyedApi(app.test_client(), people), system, settle)
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
        certificate = _revoked_after_release(world.api, settle)
        for path, role in (
            ("/confirmation-requests?limit=1", "merchant"),
            ("/confirmation-requests?limit=1&state=sent-back", "chamber"),
            ("/declarations?alerted=true&limit=1", "merchant"),
            ("/declarations?alerted=true&limit=1", "officer"),
        ):
            after = world.api.get(path, role).get_json()["next"]
            assert after is not None, path
            assert world.api.get(f"{path}&after={after}", role).status_code == 200
        paper = world.api.get("/confirmation-requests?limit=1", "merchant").get_json()["requests"][0]["statement"]
        for path in (
            f"/declarations?paper={certificate}&after={after}",
            f"/products/{installation.record(paper).product.id}?after={paper}",
        ):
            assert installation.browser("merchant").get(path).status_code == 200, path
        _choose_and_check(installation, world.api)
        settle()
    return found


def _choose_and_check(installation: forms.Installation, api: Any) -> None:
    """What a merchant's desk asks: papers that belong to those chosen, all of one order, the check of a draft."""
    merchant, papers = installation.browser("merchant"), [api.certificate()["id"], api.invoice()["id"]]
    named = "&".join(f"records={paper}" for paper in papers)
    for path in (
        f"/declarations/new?choose=1&{named}",
        f"/declarations/new?choose=1&q=lamp&after={papers[0]}",
        f"/declarations/new?take={papers[1]}",
        f"/declarations/new?check=1&{named}",
    ):
        assert merchant.get(path, follow_redirects=True).status_code == 200, path


def _revoked_after_release(api: Any, settle: Any) -> str:
    """A certificate that was revoked once goods were released on it; its declaration is the latest alerted one."""
    certificate = api.certificate()
    declaration = api.declaration([certificate, api.report()])["id"]
    settle()
    decision = {"decision": "release", "reason": "Papers in order"}
    assert api.post(f"/declarations/{declaration}/decisions", "officer", decision).status_code == 201
    settle()
    assert (
        api.post(f"/records/{certificate['id']}/revocation", "chamber", {"reason": "Made elsewhere"}).status_code == 201
    )
    return str(certificate["id"])


@dataclass(frozen=True)
class Step:
    """A step of a plan: what is done, to which table by its own name, how, and inside of which other step."""

    verb: str
    table: str
    how: str
    parent: int
    index_columns: tuple[str, ...] = ()

    @property
    def index(self) -> str | None:
        found = re.search(r"INDEX (\w+)", self.how)
        return found and found[1]

    @property
    def bound_by(self) -> str:
        """What an index is searched for, as SQLite tells it: ``merchant_id=? AND lodged_at<?``."""
        found = re.search(r"\((.*)\)", self.how)
        return found[1] if found else ""


def plan(database: Path, statement: str, given: tuple[Any, ...]) -> list[Step]:
    """How SQLite would carry a statement out."""
    names = {alias: table for table, alias in re.findall(r"\b(\w+) AS (\w+)", statement)}
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
        steps = [_step(parent, text, names) for _, parent, _, text in rows]
        return [replace(step, index_columns=_columns(connection, step.index)) if step.index else step for step in steps]


def _step(parent: int, text: str, names: dict[str, str]) -> Step:
    verb, _, rest = text.partition(" ")
    table, _, how = rest.partition(" ")
    return (
        Step(verb, names.get(table, table), how, parent) if verb in ("SCAN", "SEARCH") else Step(verb, "", rest, parent)
    )


def _columns(connection: sqlite3.Connection, index: str) -> tuple[str, ...]:
    return tuple(name for _, _, name in connection.execute("SELECT * FROM pragma_index_info(?)", (index,)))


def unbounded(steps: list[Step], statement: str) -> list[Step]:
    """The steps of a plan whose cost grows with what is stored: scans, and sorts of all that somebody has."""
    sorted_within = {step.parent for step in steps if step.how == "TEMP B-TREE FOR ORDER BY"}
    faults = []
    for step in steps:
        if step.table not in GROWING or step.index in WAITING:
            continue
        sorts = step.parent in sorted_within
        # The newest of all, read off an index in its order: as many rows as the statement asks for.
        is_whole = "WHERE" not in statement or (
            step.index in ORDERED and ORDERED[step.index] in " ".join(statement.split())
        )
        is_newest = step.index is not None and "LIMIT" in statement and is_whole and not sorts
        finds_all = is_shared(step, statement)
        looks_on = filters(step.table, statement) - set(step.index_columns)
        if (step.verb == "SCAN" and not is_newest) or (step.verb == "SEARCH" and finds_all and (sorts or looks_on)):
            faults.append(step)
    return faults


def is_shared(step: Step, statement: str) -> bool:
    """Whether the index is only searched for what many rows share."""
    bound = re.findall(r"(\w+)([=<>]+)", step.bound_by)
    nothing = {name for name, _ in bound if f"{step.table}.{name} IS NULL" in statement}
    if step.table == "record" and "batch_id" in nothing:
        return False  # what has no batch waits for one
    return bool(bound) and all(
        sign == "=" and ((step.table, name) in OWNERS or name in nothing) for name, sign in bound
    )


def filters(table: str, statement: str) -> set[str]:
    """The columns of a table that a statement's conditions are about."""
    _, _, conditions = statement.partition("WHERE")
    return set(re.findall(rf"\b{table}\.(\w+) (?:=|!=|<|>|IN|NOT IN|IS|LIKE)", conditions))


def faults_of(database: Path, statements: dict[str, tuple[Any, ...]]) -> dict[str, list[Step]]:
    """The statements that are not bounded, with the steps that are not."""
    found = {
        statement: unbounded(plan(database, statement, given), statement)
        for statement, given in statements.items()
        if not any(part in statement for part in EXEMPT)
    }
    return {statement: steps for statement, steps in found.items() if steps}


def test_statement_of_any_request_is_bounded(statements, system):
    assert len(statements) > 100
    assert faults_of(system.folder.database_file, statements) == {}


@pytest.mark.parametrize(
    ("index", "table"),
    [
        ("uq_record_number", "record"),
        ("ix_record_held", "record"),
        ("ix_consignment_merchant", "consignment"),
        ("ix_status_change_pending", "status_change"),
        ("ix_paper_kept", "paper"),
        ("ix_ledger_request_asked", "ledger_request"),
    ],
)
def test_missing_index_is_noticed(statements, system, tmp_path, index, table):
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(system.folder.database_file)) as connection, closing(sqlite3.connect(copy)) as other:
        connection.backup(other)
        other.execute(f"DROP INDEX {index}")
    found = faults_of(copy, statements)
    assert any(step.table == table for steps in found.values() for step in steps), found


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


def test_exempt_statement_is_still_issued(statements):
    """An exemption that nothing needs any more goes."""
    assert [part for part in EXEMPT if not any(part in statement for statement in statements)] == []
