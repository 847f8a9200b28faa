"""What requests cost when much is stored, beside the same requests on an installation that holds next to nothing.

    python tests/benchmarks/growth.py [RECORDS]

Two installations are opened in one process. Both hold the same papers, made through the services; one is filled in bulk
with so many records more (100,000 unless told otherwise), a fifth of them declarations. Each request is asked of the
one and of the other in turn. The program ends with 1 where a figure grows, or misses its goal.

Costs are the processor time of the thread that answers, in milliseconds: other programs of the machine do not count.
The seconds on the wall stand beside them.
"""

import json
import logging
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import Connection, Engine, Table, insert, select

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from backend.domain.consignment import Decision, Step  # noqa: E402
from backend.domain.kinds import Kind  # noqa: E402
from backend.domain.ledger import DeclarationStatus  # noqa: E402
from backend.domain.parties import Role  # noqa: E402
from backend.domain.records import Assurance, ProofState, RequestState  # noqa: E402
from backend.runtime import demo  # noqa: E402
from backend.runtime.app import System, create_app, running  # noqa: E402
from backend.runtime.serving import spare_the_collector  # noqa: E402
from backend.settings import Settings  # noqa: E402
from backend.store import tables as t  # noqa: E402
from backend.store.database import open_engine  # noqa: E402
from backend.store.encryption import DataKeys  # noqa: E402
from tests.benchmarks.figure import Figure  # noqa: E402
from tests.journeys.papers import a_certificate, a_declaration, a_report  # noqa: E402

RECORDS = 100_000
DESK = 50
"""Declarations with papers of their own that are made through the services: a page of the desk."""
DEPENDANTS = 2_000
"""Declarations that name one certificate."""
BATCH = 1_000
PIECE = 5_000
ORGANISATIONS = 2_000
WAITING = 20_000
"""Records that wait for the ledger, at most: under a backlog writes must not slow down either."""
PLANNED = Decision.RELEASE, "Papers in order"
_ENDS = (
    *[DeclarationStatus.RELEASED] * 14,
    DeclarationStatus.DETAINED,
    DeclarationStatus.DOCUMENTS_REQUIRED,
    DeclarationStatus.EXAMINATION,
    DeclarationStatus.LODGED,
    DeclarationStatus.REJECTED,
    DeclarationStatus.WITHDRAWN,
)
"""What became of the declarations that fill the database, in turn."""


@dataclass(frozen=True)
class Goal:
    """What a figure must reach: at most so many milliseconds, or at most so many times the cost on an empty one."""

    milliseconds: float | None = None
    times: float | None = None

    def __str__(self) -> str:
        within = f"<= {self.milliseconds:g} ms" if self.milliseconds is not None else ""
        return within or f"<= {self.times:.2f} x"

    def is_met(self, empty: float, full: float) -> bool:
        """Whether the figure is good enough; a tenth of a millisecond of growth is no growth."""
        if self.milliseconds is not None and full > self.milliseconds:
            return False
        return self.times is None or full <= max(empty * self.times, empty + 0.1)


WRITE = Goal(times=1 / 0.9)
LIST = Goal(milliseconds=100)
DESK_GOAL = Goal(milliseconds=150)
DOSSIER = Goal(milliseconds=25)


@dataclass(frozen=True)
class Cost:
    """The median cost of a request on both installations, in milliseconds of the processor and of the clock."""

    name: str
    goal: Goal
    empty: tuple[float, float]
    full: tuple[float, float]

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.goal.is_met(self.empty[0], self.full[0])


class Asked:
    """An installation that is asked over its web application, by its people."""

    def __init__(self, system: System) -> None:
        self.system = system
        entries = json.loads(system.folder.demo_credentials.read_text(encoding="utf-8"))
        self.people = {entry["role"]: entry for entry in entries}
        self.app = create_app(system)
        self.app.config.update(RATELIMIT_ENABLED=False)
        self.api_client = self.app.test_client()
        self.browsers = {role: self._browser(role) for role in ("merchant", "chamber", "officer", "analyst")}

    def get(self, path: str, role: str) -> Any:
        """The answer to a program."""
        answer = self.api_client.get(f"/api/v1{path}", headers=self._bearer(role))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()

    def post(self, path: str, role: str, body: Any) -> Any:
        """The answer to a program that writes."""
        answer = self.api_client.post(f"/api/v1{path}", json=body, headers=self._bearer(role))
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return answer.get_json()

    def page(self, path: str, role: str) -> str:
        """A page as its reader sees it."""
        answer = self.browsers[role].get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.get_data(as_text=True)[:500])
        return str(answer.get_data(as_text=True))

    def _bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.people[role]['token']}"}

    def _browser(self, role: str) -> Any:
        client = self.app.test_client()
        token = client.get("/sign-in").get_data(as_text=True).split('name="csrf_token"', 1)[1]
        token = token.split('value="', 1)[1].split('"', 1)[0]
        person = self.people[role]
        typed = {"csrf_token": token, "email": person["email"], "password": person["password"]}
        assert client.post("/sign-in", data=typed).status_code == 302
        return client


# ---- both installations


def make_papers(folder: Path) -> None:
    """The demonstration, and a page of the desk made through the services."""
    with running(Settings(folder)) as system:
        demo.fill(system.ctx, system.folder, lambda step: None)
        asked = Asked(system)
        merchant = asked.people["merchant"]["organisation"]
        for _ in range(DESK):
            certificate = asked.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"]
            report = asked.post("/inspection-reports", "laboratory", a_report(merchant))["id"]
            asked.post("/declarations", "merchant", a_declaration([certificate, report]))
        demo.settle(system.ctx)


# ---- filled in bulk


def fill(folder: Path, records: int) -> None:
    """Put so many records more into a closed data folder: older ones than what is there, all but the newest sealed.

    They are copies of records that are there, under numbers, digests and times of their own: good enough for every
    query and every list, and no request of the measurement asks for a verdict on one of them.
    """
    keys = DataKeys(folder / "record.keys")
    engine = open_engine(f"sqlite:///{folder / 'provenport.sqlite'}", keys)
    try:
        _fill(engine, records)
    finally:
        engine.dispose()
        keys.close()


@dataclass(frozen=True)
class _Sources:
    """The rows that are copied, and who they belong to."""

    certificate: dict[str, Any]
    declaration: dict[str, Any]
    consignment: dict[str, Any]
    decision: dict[str, Any]
    organisations: dict[Role, str]
    shared: str
    """The certificate that thousands of declarations name."""


def _fill(engine: Engine, records: int) -> None:
    with engine.begin() as connection:
        sources = _sources(connection)
        connection.exec_driver_sql("PRAGMA cache_size=-400000")
        _organisations(connection)
    declarations = records // 5
    waiting = min(WAITING, records // 10)
    now = datetime.now(UTC) - timedelta(days=1)
    for first in range(0, records, PIECE):
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA cache_size=-400000")
            _piece(connection, sources, range(first, min(first + PIECE, records)), declarations, records - waiting, now)


def _sources(connection: Connection) -> _Sources:
    def newest(kind: Kind) -> dict[str, Any]:
        query = select(t.record).where(t.record.c.kind == kind, t.record.c.batch_id.is_not(None))
        return dict(connection.execute(query.order_by(t.record.c.recorded_at.desc()).limit(1)).mappings().one())

    declaration = newest(Kind.DECLARATION)
    return _Sources(
        newest(Kind.CERTIFICATE_OF_ORIGIN),
        declaration,
        dict(connection.execute(select(t.consignment).where(t.consignment.c.id == declaration["id"])).mappings().one()),
        dict(connection.execute(select(t.decision).limit(1)).mappings().one()),
        {Role(role): one for one, role in connection.execute(select(t.organisation.c.id, t.organisation.c.role))},
        newest(Kind.CERTIFICATE_OF_ORIGIN)["id"],
    )


def _organisations(connection: Connection) -> None:
    source = dict(connection.execute(select(t.organisation).limit(1)).mappings().one())
    rows = [
        source
        | {"id": str(uuid4()), "role": Role.MERCHANT, "name": f"Trader {n}", "local_name": None, "identifier": f"T{n}"}
        for n in range(ORGANISATIONS)
    ]
    connection.execute(insert(t.organisation), rows)


def _piece(
    connection: Connection, sources: _Sources, numbers: range, declarations: int, sealed: int, now: datetime
) -> None:
    batches = [dict(_batch(connection, now)) for _ in range(0, len(numbers), BATCH)]
    rows: dict[Table, list[dict[str, Any]]] = {
        table: [] for table in (t.record, t.consignment, t.paper, t.event, t.decision, t.request, t.planned_drawdown)
    }
    for place, number in enumerate(numbers):
        moment = now - timedelta(seconds=numbers.stop * 10 - number)
        batch = batches[place // BATCH] if number < sealed else None
        at = {"batch_id": batch["id"], "leaf_index": place % BATCH} if batch else {"batch_id": None, "leaf_index": None}
        if number % 5 == 0 and number // 5 < declarations:
            _declaration(rows, sources, number, moment, at)
        else:
            rows[t.record].append(_copy(sources.certificate, moment) | at | _issued(sources, number, moment))
            if number % 5 == 1:
                _request(rows, sources, moment)
    for table, found in rows.items():
        if found:
            connection.execute(insert(table), found)


def _batch(connection: Connection, now: datetime) -> dict[str, Any]:
    source = connection.execute(select(t.batch).where(t.batch.c.state == ProofState.FINAL).limit(1)).mappings().one()
    row = dict(source) | {"id": str(uuid4()), "root": secrets.token_bytes(32), "size": BATCH, "sealed_at": now}
    connection.execute(insert(t.batch), [row])
    return row


def _copy(source: dict[str, Any], moment: datetime) -> dict[str, Any]:
    return source | {
        "id": str(uuid4()),
        "digest": secrets.token_hex(32),
        "label_code": secrets.token_hex(13),
        "issued_at": moment,
        "recorded_at": moment,
        "supersedes_id": None,
        "superseded_by_id": None,
        "status": 0,
    }


def _issued(sources: _Sources, number: int, moment: datetime) -> dict[str, Any]:
    return {"number": f"bulk{number}", "status": int(number % 50 == 2)}


def _request(rows: dict[Table, list[dict[str, Any]]], sources: _Sources, moment: datetime) -> None:
    """The record just made becomes a merchant's statement that waits for the chamber."""
    statement = rows[t.record][-1]
    merchant, chamber = sources.organisations[Role.MERCHANT], sources.organisations[Role.CHAMBER]
    statement |= {"assurance": Assurance.STATED, "issuer_id": merchant, "status": 0}
    rows[t.request].append(
        {
            "id": str(uuid4()),
            "statement_id": statement["id"],
            "issuer_id": chamber,
            "merchant_id": merchant,
            "made_at": moment,
            "state": RequestState.SENT_BACK if len(rows[t.request]) % 10 == 0 else RequestState.WAITING,
        }
    )


def _declaration(
    rows: dict[Table, list[dict[str, Any]]], sources: _Sources, number: int, moment: datetime, at: dict[str, Any]
) -> None:
    status = _ENDS[number // 5 % len(_ENDS)]
    if status is DeclarationStatus.LODGED:  # newer than those that the desk shows, which have waited longest
        moment = datetime.now(UTC) + timedelta(microseconds=number)
    record = _copy(sources.declaration, moment) | at
    released = moment + timedelta(hours=2, seconds=number % 90_000)
    rows[t.record].append(record | {"status": int(status)})
    rows[t.consignment].append(
        sources.consignment
        | {
            "id": record["id"],
            "reference": f"BULK-{number}",
            "lodged_at": moment,
            "status": status,
            "arrived_at": moment - timedelta(hours=1),
            "released_at": released if status is DeclarationStatus.RELEASED else None,
        }
    )
    named = sources.shared if number // 5 < DEPENDANTS else rows[t.record][-2]["id"] if rows[t.record][1:] else None
    if named is not None:
        rows[t.paper].append({"consignment_id": record["id"], "record_id": named})
        rows[t.planned_drawdown].append(
            {
                "consignment_id": record["id"],
                "certificate_id": named,
                "heading": "940521",
                "unit_code": "H87",
                "quantity": 0,
                "is_shared": False,
            }
        )
    steps = [(Step.LODGED, moment, Role.MERCHANT)]
    if status is not DeclarationStatus.LODGED:
        steps.append((Step.of(status), released, Role.OFFICER))
        rows[t.decision].append(
            sources.decision | {"id": str(uuid4()), "consignment_id": record["id"], "decided_at": released}
        )
    rows[t.event] += [
        {
            "id": str(uuid4()),
            "consignment_id": record["id"],
            "step": step,
            "occurred_at": occurred,
            "recorded_at": occurred,
            "organisation_id": sources.organisations[role],
        }
        for step, occurred, role in steps
    ]


# ---- measured


def measurements(one: Asked) -> Iterator[tuple[str, Goal, int, Callable[[], object]]]:
    """(what, goal, how often, the request) of everything whose cost may grow, on one installation."""
    merchant = one.people["merchant"]["organisation"]
    declaration = _made(one)
    shared = _shared(one)
    papers = [record["id"] for record in one.get(f"/declarations/{declaration}", "officer")["records"]]
    deep = _deep(one)
    yield (
        "POST certificate of origin",
        WRITE,
        60,
        lambda: one.post("/certificates-of-origin", "chamber", a_certificate(merchant)),
    )
    yield "POST declaration", WRITE, 40, lambda: one.post("/declarations", "merchant", a_declaration(papers[:2]))
    for role in ("officer", "merchant"):
        yield (
            f"API list of 50 declarations, {role}",
            LIST,
            15,
            lambda role=role: one.get("/declarations?limit=50", role),
        )
    yield (
        "API list of 50, deep page",
        LIST,
        15,
        lambda: one.get(f"/declarations?limit=50&after={deep}", "officer"),
    )
    yield (
        "API list of 50, by status",
        LIST,
        15,
        lambda: one.get("/declarations?limit=50&status=DETAINED", "merchant"),
    )
    for role in ("merchant", "officer", "chamber", "analyst"):
        yield f"home, {role}", LIST, 10, lambda role=role: one.page("/", role)
    yield "documents list, merchant", LIST, 10, lambda: one.page("/records", "merchant")
    yield "documents list, issuer", LIST, 10, lambda: one.page("/records", "chamber")
    yield "requests list, issuer", LIST, 10, lambda: one.page("/requests", "chamber")
    yield "declarations list, merchant", LIST, 10, lambda: one.page("/declarations", "merchant")
    yield "choosing papers for a declaration", LIST, 10, lambda: one.page("/declarations/new", "merchant")
    yield "desk, 50 rows", DESK_GOAL, 8, lambda: one.page("/desk", "officer")
    yield "dossier by API", DOSSIER, 30, lambda: one.get(f"/declarations/{declaration}", "officer")
    yield "dossier page", DOSSIER, 30, lambda: one.page(f"/desk/{declaration}", "officer")
    yield (
        f"certificate with {DEPENDANTS:,} dependants, officer",
        DOSSIER,
        15,
        lambda: one.get(f"/records/{shared}", "officer"),
    )
    yield "certificate page, its merchant", LIST, 10, lambda: one.page(f"/records/{shared}", "merchant")
    yield "release times by API", LIST, 10, lambda: one.get("/release-times", "officer")
    yield "healthz", LIST, 10, lambda: one.api_client.get("/healthz")


def _made(one: Asked) -> str:
    """A declaration that was made through the services."""
    with one.system.ctx.work(reading=True) as work:
        query = select(t.consignment.c.id).where(t.consignment.c.reference.like("D-0%"))
        return str(work._session.execute(query.limit(1)).scalar_one())


def _shared(one: Asked) -> str:
    with one.system.ctx.work(reading=True) as work:
        query = select(t.record.c.id).where(t.record.c.kind == Kind.CERTIFICATE_OF_ORIGIN)
        query = query.where(t.record.c.batch_id.is_not(None), t.record.c.assurance == Assurance.ISSUED)
        return str(work._session.execute(query.order_by(t.record.c.recorded_at.desc()).limit(1)).scalar_one())


def _deep(one: Asked) -> str:
    """A declaration in the middle of all of them."""
    with one.system.ctx.work(reading=True) as work:
        every = select(t.consignment.c.id).order_by(t.consignment.c.lodged_at)
        count = len(work._session.scalars(every).all())
        return str(work._session.execute(every.offset(count // 2).limit(1)).scalar_one())


def costs(empty: Asked, full: Asked, only: Sequence[str] = ()) -> Iterator[Cost]:
    """Each request asked of both in turn: what the machine does besides hits both alike."""
    for (name, goal, times, on_empty), (_, _, _, on_full) in zip(measurements(empty), measurements(full), strict=True):
        if only and not any(part in name for part in only):
            continue
        for request in (on_empty, on_full) * 2:
            request()  # what is only done once, is done now
        taken: tuple[list[tuple[float, float]], ...] = ([], [])
        for _ in range(times):
            for request, found in zip((on_empty, on_full), taken, strict=True):
                found.append(_cost(request))
        yield Cost(name, goal, _medians(taken[0]), _medians(taken[1]))


def _cost(request: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.thread_time()
    request()
    return 1000 * (time.thread_time() - processor), 1000 * (time.perf_counter() - wall)


def _medians(found: Iterable[tuple[float, float]]) -> tuple[float, float]:
    processor, wall = zip(*found, strict=True)
    return statistics.median(processor), statistics.median(wall)


@contextmanager
def both(scratch: Path, records: int) -> Iterator[tuple[Asked, Asked]]:
    """The two installations, open; no worker runs, so that nothing else takes their time."""
    small, large = scratch / "empty", scratch / "full"
    make_papers(small)
    shutil.copytree(small, large)
    fill(large, records)
    with ExitStack() as opened:
        # What waits was stored long ago, on purpose: intake is not to be refused for it.
        every = (Settings(folder, intake_longest_wait_seconds=0) for folder in (small, large))
        asked = tuple(Asked(opened.enter_context(running(settings))) for settings in every)
        spare_the_collector()  # as a server does when it begins
        yield asked  # type: ignore[misc]


def measure(scratch: Path, records: int = 20_000) -> list[Figure]:
    """The table of ``make bench``: the cost on a filled installation, beside that on an empty one."""
    with both(scratch, records) as (empty, full):
        return [
            Figure(f"{c.name}, {records:,} records", c.full[0], "ms CPU", str(c.goal), "empty", c.empty[0])
            for c in costs(empty, full)
        ]


def main(records: int, only: Sequence[str] = (), kept: Path | None = None) -> int:
    """Print the table; 1 where a goal is missed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        with both(kept or Path(scratch), records) as (empty, full):
            print(f"{records:,} records more, {records // 5:,} of them declarations", end="")
            print(f" (filled in {time.perf_counter() - begun:.0f} s)")
            print(f"{'milliseconds of the processor (on the wall)':<46}{'empty':>18}{'full':>18}{'goal':>12}")
            for cost in costs(empty, full, only):
                row = [f"{cpu:.1f} ({wall:.1f})" for cpu, wall in (cost.empty, cost.full)]
                mark = "" if cost.is_met else "  missed"
                print(f"{cost.name:<46}{row[0]:>18}{row[1]:>18}{cost.goal!s:>12}{mark}", flush=True)
                missed += [] if cost.is_met else [cost.name]
    print("\nflat" if not missed else f"\n{len(missed)} missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else RECORDS, sys.argv[2:]))
