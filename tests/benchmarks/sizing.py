"""What a declaration costs, and what a whole country's would need: a table for docs/deploying.md, from measured costs.

    python -m tests.benchmarks.sizing            measures and prints the table
    python -m tests.benchmarks.sizing --write    writes it into docs/deploying.md too

One server on PostgreSQL with everything synced, and on a node, as an operator runs it. Costs are the processor's time
of the server and of PostgreSQL, rows, bytes of the database and of its log, and transactions: the node and other
programs on the machine do not count. Needs PostgreSQL's programs and anvil (make anvil-check).
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.adapters.keys.vault import opened_vault
from backend.domain.kinds import Kind
from backend.runtime.app import ledger_accounts
from backend.runtime.context import VERSION
from backend.runtime.data_folder import DataFolder
from backend.services.anchoring.batches import LARGEST_ROUND
from backend.services.anchoring.drawdowns import MAX_DRAWDOWNS
from backend.services.anchoring.status_changes import LARGEST_DECISION
from tests.benchmarks import bulk
from tests.benchmarks.figure import Figure
from tests.helpers.nodes import anvil, binary
from tests.helpers.postgres import Postgres, name_for, programs, running_postgres
from tests.journeys.conftest import Server, start
from tests.journeys.papers import a_certificate, a_declaration, a_report

PEAK = 1_417
"""Declarations a second: 85,000 lists a minute, China's cross-border e-commerce at its peak (news of 2024-09)."""
DAILY = 20_000_000
"""Declarations a day: more than 20 million lists, by the same source."""
PAPERS = (Kind.ORDER, Kind.PAYMENT_RECEIPT, Kind.WAYBILL)
"""What a declaration of such goods rests on: one of each."""
PAPER_LINES, DECLARATIONS = 2_000, 300
CLIENTS, TRIES = 8, 20
PATIENCE_SECONDS = 300
PAGE = Path(__file__).parents[2] / "docs" / "deploying.md"
BEGIN, END = "<!-- sizing: written by tests/benchmarks/sizing.py -->\n", "<!-- end of sizing -->\n"


@dataclass(frozen=True)
class Cost:
    """What one of something costs: seconds of the processor, rows, and bytes on disk."""

    server_seconds: float
    database_seconds: float
    rows: float
    stored_bytes: float
    log_bytes: float
    transactions: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + theirs for mine, theirs in zip(self._values, other._values, strict=True)))

    def times(self, count: float) -> "Cost":
        """So many of them."""
        return Cost(*(value * count for value in self._values))

    @property
    def _values(self) -> tuple[float, ...]:
        return (
            self.server_seconds,
            self.database_seconds,
            self.rows,
            self.stored_bytes,
            self.log_bytes,
            self.transactions,
        )


@dataclass(frozen=True)
class Costs:
    """Of a paper that came with many others, of a declaration that was lodged alone, and of its release."""

    paper: Cost
    declaration: Cost
    release: Cost

    @property
    def whole(self) -> Cost:
        """One declaration with its papers, lodged and released."""
        return self.paper.times(len(PAPERS)) + self.declaration + self.release


def measure(scratch: Path) -> list[Figure]:
    """The costs, for ``make bench``; nothing where PostgreSQL's programs or anvil are not installed."""
    if programs() is None or binary("anvil") is None:
        return []
    return [figure for name, cost in vars(measured(scratch)).items() for figure in _figures(name, cost)]


def _figures(name: str, cost: Cost) -> Iterable[Figure]:
    yield Figure(f"a {name}: server's time", cost.server_seconds * 1e6, "µs")
    yield Figure(f"a {name}: PostgreSQL's time", cost.database_seconds * 1e6, "µs")
    yield Figure(f"a {name}: rows", cost.rows, "rows")
    yield Figure(f"a {name}: stored", cost.stored_bytes, "bytes")
    yield Figure(f"a {name}: log", cost.log_bytes, "bytes")
    yield Figure(f"a {name}: transactions on the chain", cost.transactions, "1")


def measured(scratch: Path) -> Costs:
    """Start PostgreSQL and a server, and measure."""
    with ExitStack() as stack:
        database = stack.enter_context(running_postgres(*bulk.DURABLE))
        folder = DataFolder.open(scratch / "sizing", VERSION)
        node = stack.enter_context(anvil())
        node.fund(*(one.address for one in ledger_accounts(folder, opened_vault(folder.master_key, None)).values()))
        given = {
            "TEST_POSTGRES": str(database.folder),
            "LEDGER_RPC_URL": node.url,
            "LEDGER_CONFIRMATIONS": "0",
            "LEDGER_REGISTRATION_DELAY_SECONDS": "0",
        }
        os.environ.update(given)
        for name in given:
            stack.callback(os.environ.pop, name)
        server = start(folder.path)
        stack.callback(server.stop)
        return _Office(server, database).costs()


class _Office:
    def __init__(self, server: Server, database: Postgres) -> None:
        self._server, self._database = server, database
        self.asked_again = 0

    def costs(self) -> Costs:
        for kind in PAPERS:
            bulk.send_lines(self._server, 1, kind)  # what is only done once is done now
        papers = self._cost(lambda: [bulk.send_lines(self._server, PAPER_LINES, kind) for kind in PAPERS])
        pairs = list(self._each(DECLARATIONS, self._papers_of_one))
        self._settle()
        lodged: list[str] = []
        declarations = self._cost(lambda: lodged.extend(self._each(pairs, self._lodge)))
        releases = self._cost(lambda: list(self._each(lodged, self._release)))
        print(f"{len(pairs)} releases, {self.asked_again} of them asked for again after 503", file=sys.stderr)
        return Costs(
            papers.times(1 / (PAPER_LINES * len(PAPERS))),
            declarations.times(1 / len(pairs)),
            releases.times(1 / len(pairs)),
        )

    def _papers_of_one(self, _: int) -> list[str]:
        merchant = self._server.people["merchant"].organisation
        return [
            self._server.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"],
            self._server.post("/inspection-reports", "laboratory", a_report(merchant))["id"],
        ]

    def _lodge(self, papers: list[str]) -> str:
        return str(self._server.post("/declarations", "merchant", a_declaration(papers))["id"])

    def _release(self, declaration: str) -> None:
        body = {"decision": "release", "reason": "Papers in order"}
        for _ in range(TRIES):
            answer = self._server.call("POST", f"/declarations/{declaration}/decisions", "officer", json=body)
            if answer.status_code != 503:  # two that decide at the same moment: their programs ask again
                break
            self.asked_again += 1
        assert answer.status_code == 201, answer.text

    @staticmethod
    def _each(what: Sequence[Any] | int, do: Callable[[Any], Any]) -> Iterable[Any]:
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(do, range(what) if isinstance(what, int) else what))

    def _cost(self, do: Callable[[], Any]) -> Cost:
        """What something costs until the ledger has all of it."""
        before = self._now()
        do()
        self._settle()
        return self._now() + before.times(-1)

    def _now(self) -> Cost:
        server, database = bulk.cpu_seconds(self._server.process.pid), bulk.database_seconds()
        assert server is not None
        assert database is not None
        with self._database.connect(name_for(self._server.folder)) as connection:

            def ask(query: str) -> int:
                (value,) = connection.execute(query.encode()).fetchone() or (0,)
                return int(str(value))

            tables = connection.execute(b"SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            rows = sum(ask(f'SELECT count(*) FROM "{name}"') for (name,) in tables)
            connection.execute(b"VACUUM")  # what was only rewritten is not counted as stored
            stored = ask("SELECT pg_database_size(current_database())")
            log = ask("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            transactions = ask("SELECT count(*) FROM outbound_transaction")
        return Cost(server, database, rows, stored, log, transactions)

    def _settle(self) -> None:
        """Wait until the ledger has everything, without asking the server, whose time counts."""
        query = (
            b"SELECT (SELECT count(*) FROM record WHERE batch_id IS NULL) + "
            b"(SELECT count(*) FROM batch WHERE state <> 'final') + "
            b"(SELECT count(*) FROM outbound_transaction WHERE state IN ('signed', 'sent', 'mined'))"
        )
        deadline, quiet = time.monotonic() + PATIENCE_SECONDS, 0
        with self._database.connect(name_for(self._server.folder)) as connection:
            while quiet < 3:  # a release is sent once its draws are final
                (left,) = connection.execute(query).fetchone() or (0,)
                quiet = quiet + 1 if left == 0 else 0
                assert time.monotonic() < deadline, f"{left} still on their way to the ledger"
                time.sleep(0.5)


# ---- the table


def table(costs: Costs, peak: int = PEAK, daily: int = DAILY) -> str:
    """Return the table in Markdown: what one costs, and what so many a second and a day need."""
    whole = costs.whole
    records = daily * (len(PAPERS) + 1)
    batches, decisions, sets = (
        -(-count // most)
        for count, most in ((records, LARGEST_ROUND), (daily, LARGEST_DECISION), (daily, MAX_DRAWDOWNS))
    )
    sent = peak * ((len(PAPERS) + 1) / LARGEST_ROUND + 1 / LARGEST_DECISION + 1 / MAX_DRAWDOWNS)
    lines = [
        "| one of each | server's processor | PostgreSQL's processor | rows | on disk | log (WAL) | transactions |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {_ms(cost.server_seconds)} | {_ms(cost.database_seconds)} | {cost.rows:.1f} | "
            f"{cost.stored_bytes / 1024:.1f} KiB | {cost.log_bytes / 1024:.1f} KiB | {cost.transactions:.3f} |"
            for name, cost in (
                ("paper, of many in one request", costs.paper),
                ("declaration, lodged alone on two papers", costs.declaration),
                ("release, with its drawdowns", costs.release),
                (f"**all of it**: {len(PAPERS)} papers, declaration, release", whole),
            )
        ),
        "",
        f"| what a country needs | {peak:,} declarations a second | {daily:,} declarations a day |",
        "|---|---|---|",
        f"| cores for servers, busy all the time | {peak * whole.server_seconds:,.0f} | "
        f"{daily * whole.server_seconds / 86_400:,.0f} on average |",
        f"| cores for PostgreSQL | {peak * whole.database_seconds:,.0f} | "
        f"{daily * whole.database_seconds / 86_400:,.0f} on average |",
        f"| rows | {peak * whole.rows:,.0f} a second | {daily * whole.rows / 1e6:,.0f} million a day |",
        f"| database | {peak * whole.stored_bytes / 1024**2:,.1f} MiB a second | "
        f"{daily * whole.stored_bytes / 1024**3:,.0f} GiB a day |",
        f"| log | {peak * whole.log_bytes / 1024**2:,.1f} MiB a second | "
        f"{daily * whole.log_bytes / 1024**3:,.0f} GiB a day |",
        f"| transactions on the chain, each as full as it may be | {sent:,.1f} a second | {batches:,} that anchor, "
        f"{decisions:,} with decisions, {sets:,} with a drawdown for each; one more for each certificate used first |",
        "",
    ]
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def write(text: str, page: Path = PAGE) -> None:
    """Put the table between its marks in the page."""
    content = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    assert len(pattern.findall(content)) == 1, f"{page} has no place for the table"
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", content), encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Measure, print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/deploying.md")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sizing-") as scratch:
        text = table(measured(Path(scratch)))
    print(text)
    if asked.write:
        write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
