"""How fast records come in, over HTTP against really started servers: many in one request, and one by one.

On SQLite, and beside it on PostgreSQL where its programs are: from one process, and from two that serve and one that
anchors. They anchor meanwhile, as they always do. Other programs' load on the machine slows the clock; so the
processor's time is told as well, of PostgreSQL's processes apart, and beside what the bare work on a record takes in
the same run: salts, digests, a signature, encryption and a row, of fields that nobody checks.
"""

import base64
import http.client
import itertools
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.domain.kinds import KINDS, Kind
from tests.benchmarks.figure import Figure
from tests.conftest import DemoUser
from tests.helpers.builders import FIELDS
from tests.helpers.nodes import binary
from tests.helpers.postgres import Postgres, ours, programs, running_postgres
from tests.journeys.conftest import Server, start
from tests.journeys.papers import a_certificate
from tests.stress.processes import CANDIDATE_NAMES, WEB, office

LINES = 2_500
"""Of one request; one for each of ``MANY``."""
BULK_CLIENTS = 2
"""One for each core: while the one waits for the disk, the other's records are drafted."""
CLIENTS = 8
SINGLES = 400
PACED_SECONDS, PACED_RATE = 8, 50
DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on")
MANY = {
    Kind.CERTIFICATE_OF_ORIGIN: "chamber",
    Kind.ORDER: "merchant",
    Kind.PAYMENT_RECEIPT: "merchant",
    Kind.WAYBILL: "merchant",
}
"""The kinds that are sent many at once, and who signs them."""


@dataclass(frozen=True)
class Installation:
    """What records are sent to."""

    ports: list[int]
    people: dict[str, DemoUser]
    processes: list[int]
    """The ids of its processes, without those of PostgreSQL."""


def measure(scratch: Path) -> list[Figure]:
    """Bulk and single writes on each database."""
    bare = _bare_seconds(scratch / "bare.sqlite")
    found = _on(scratch / "sqlite", "SQLite", bare)
    if programs() is None:
        return found
    with running_postgres(*DURABLE) as server:
        os.environ["TEST_POSTGRES"] = str(server.folder)
        try:
            found += _on(scratch / "postgresql", "PostgreSQL", bare)
            return found + (_on_two(server, scratch / "two", bare) if binary("anvil") else [])
        finally:
            del os.environ["TEST_POSTGRES"]


def _on(folder: Path, database: str, bare: float) -> list[Figure]:
    server = start(folder)
    try:
        return _figures(Installation([server.port], server.people, [server.process.pid]), database, bare)
    finally:
        server.stop()


def _on_two(server: Postgres, folder: Path, bare: float) -> list[Figure]:
    """Two processes that serve, and one of three that anchors on a node."""
    with office(server, folder, planted=False, at_once=False) as started:
        ports = [started.processes.ports[name] for name in WEB]
        processes = [started.processes.pid(name) for name in WEB + CANDIDATE_NAMES]
        return _figures(Installation(ports, started.people, processes), "PostgreSQL, two servers", bare)


def _figures(installation: Installation, name: str, bare: float) -> list[Figure]:
    found = _bulk(installation, name, bare)
    _await_rest(installation)
    found += _singles(installation, name, bare)
    _await_rest(installation)
    return found + _paced(installation, name)


def _await_rest(installation: Installation, patience_seconds: float = 120) -> None:
    """Wait until what came in is anchored: until the processor is hardly used for two seconds."""
    deadline = time.monotonic() + patience_seconds
    before = _own_seconds(installation)
    while before is not None and time.monotonic() < deadline:
        time.sleep(2)
        now = _own_seconds(installation)
        if now is None or now - before < 0.2:
            return
        before = now


def _bulk(installation: Installation, database: str, bare: float) -> list[Figure]:
    bodies = {kind: "".join(f"{_line(installation, kind)}\n" for _ in range(LINES)) for kind in MANY}
    for port in range(len(installation.ports)):
        for kind in MANY:  # what is only done once is done now
            _send(installation, port, _line(installation, kind), bulk=True, kind=kind)

    def client(number: int) -> None:
        for kind, body in list(bodies.items())[number::BULK_CLIENTS]:
            total = json.loads(_send(installation, number, body, bulk=True, kind=kind).splitlines()[-1])
            assert total["stored"] == LINES, total

    with _timed(installation) as timed:
        _in_threads(BULK_CLIENTS, client)
    count = LINES * len(MANY)
    return [
        Figure(f"{database}: many at once, records stored", count / timed.seconds, "1/s", ">= 3000"),
        *_cpu(f"{database}: many at once", timed, count, bare),
    ]


def _singles(installation: Installation, database: str, bare: float) -> list[Figure]:
    took: list[float] = []

    def client(number: int) -> None:
        for _ in range(SINGLES // CLIENTS):
            begun = time.perf_counter()
            _send(installation, number, _line(installation))
            took.append(time.perf_counter() - begun)

    with _timed(installation) as timed:
        _in_threads(CLIENTS, client)
    target = ">= 250" if database == "SQLite" else ">= 300"
    return [
        Figure(f"{database}: one by one, {CLIENTS} clients", SINGLES / timed.seconds, "1/s", target),
        *(Figure(f"{database}: one by one, {part}th percentile", _part(took, part), "ms") for part in (50, 99)),
        *_cpu(f"{database}: one by one", timed, SINGLES, bare),
    ]


def _paced(installation: Installation, database: str) -> list[Figure]:
    took: list[float] = []
    begun = time.perf_counter()
    turns = iter(range(PACED_SECONDS * PACED_RATE))
    lock = threading.Lock()

    def client(number: int) -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            due = begun + turn / PACED_RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            _send(installation, number, _line(installation))
            # From when it was due: whoever waits for a free client waits too.
            took.append(time.perf_counter() - due)

    _in_threads(2 * CLIENTS, client)
    return [Figure(f"{database}: 99th percentile at {PACED_RATE} a second", _part(took, 99), "ms", "<= 300")]


def _part(took: list[float], part: int) -> float:
    """What so many in a hundred do not exceed, in milliseconds."""
    return sorted(took)[len(took) * part // 100] * 1000


class _Timed:
    seconds = 0.0
    cpu_seconds: float | None = None
    database_seconds: float | None = None
    """The processor's time of PostgreSQL's processes; None on SQLite."""


@contextmanager
def _timed(installation: Installation) -> Iterator[_Timed]:
    timed, begun, own, others = _Timed(), time.perf_counter(), _own_seconds(installation), database_seconds()
    yield timed
    timed.seconds = time.perf_counter() - begun
    after, others_after = _own_seconds(installation), database_seconds()
    timed.cpu_seconds = None if own is None or after is None else after - own
    timed.database_seconds = None if others is None or others_after is None else others_after - others


def _own_seconds(installation: Installation) -> float | None:
    each = [cpu_seconds(process) for process in installation.processes]
    return None if None in each else sum(one or 0.0 for one in each)


def cpu_seconds(process: int) -> float | None:
    """The processor's time of a process and of its children that have ended; None where the system does not say."""
    path = Path(f"/proc/{process}/stat")
    if not path.exists():
        return None
    return sum(map(int, path.read_text().rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")


def database_seconds() -> float | None:
    """The processor's time of all processes of PostgreSQL so far; None where none runs, or the system does not say."""
    if (database := ours()) is None or not Path("/proc").exists():
        return None
    (postmaster,) = (int(found.read_text().splitlines()[0]) for found in database.folder.rglob("postmaster.pid"))
    processes = [postmaster, *map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())]
    return sum(cpu_seconds(one) or 0.0 for one in processes)


def _cpu(name: str, timed: _Timed, count: int, bare: float) -> list[Figure]:
    if timed.cpu_seconds is None:
        return []
    each = timed.cpu_seconds / count
    found = [Figure(f"{name}, processor's time of a record", each * 1e6, "µs", None, "the bare work", bare * 1e6)]
    if timed.database_seconds is not None:
        database = timed.database_seconds / count
        found.append(Figure(f"{name}, PostgreSQL's time of a record", database * 1e6, "µs"))
        each += database
    return [*found, Figure(f"{name}, all of it in bare works", each / bare, "times")]


def _bare_seconds(path: Path, count: int = 2_000, fields: int = 10) -> float:
    """The processor's time that a record of ten fields takes without a check, an index or an answer."""
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE record (id TEXT PRIMARY KEY, text BLOB, disclosures BLOB)")
        begun = time.process_time()
        for first in range(0, count, 250):
            rows = []
            for number in range(first, first + 250):
                disclosures = [
                    _letters(json.dumps([_letters(secrets.token_bytes(32)), f"field{n}", f"value {n} of {number}"]))
                    for n in range(fields)
                ]
                digests = sorted(_letters(sha256(one.encode()).digest()) for one in disclosures)
                signed = f"{_letters(json.dumps({'alg': 'ES256'}))}.{_letters(json.dumps({'_sd': digests}))}".encode()
                signed += key.sign(signed, algorithm)
                texts = (signed, json.dumps(disclosures).encode())
                encrypted = [AESGCM(secrets.token_bytes(32)).encrypt(bytes(12), text, None) for text in texts]
                rows.append((secrets.token_hex(16), *encrypted))
            database.execute("BEGIN")
            database.executemany("INSERT INTO record VALUES (?, ?, ?)", rows)
            database.execute("COMMIT")
        return (time.process_time() - begun) / count


def _letters(content: str | bytes) -> str:
    content = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _line(installation: Installation, kind: Kind = Kind.CERTIFICATE_OF_ORIGIN) -> str:
    if kind is Kind.CERTIFICATE_OF_ORIGIN:
        return json.dumps(a_certificate(installation.people["merchant"].organisation))
    return json.dumps(FIELDS[kind](**{KINDS[kind].number_field: f"B-{next(_NUMBERS)}"}))


_NUMBERS = itertools.count(1)
_LOCAL = threading.local()


def _send(
    installation: Installation,
    number: int,
    body: str,
    *,
    bulk: bool = False,
    kind: Kind = Kind.CERTIFICATE_OF_ORIGIN,
) -> str:
    """Send a body to the server whose turn is this client's, by its number."""
    port = installation.ports[number % len(installation.ports)]
    connections: dict[int, http.client.HTTPConnection] = _LOCAL.__dict__.setdefault("connections", {})
    connection = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=600))
    media_type = "application/x-ndjson" if bulk else "application/json"
    headers = {**installation.people[MANY[kind]].bearer, "Content-Type": media_type}
    path = f"/api/v1/{KINDS[kind].collection}"
    connection.request("POST", f"{path}:bulk" if bulk else path, body.encode(), headers)
    answer = connection.getresponse()
    told = answer.read().decode()
    assert answer.status == (200 if bulk else 201), told
    return told


def send_lines(server: Server, count: int, kind: Kind) -> None:
    """Send so many papers of a kind in one request."""
    installation = Installation([server.port], server.people, [server.process.pid])
    body = "".join(f"{_line(installation, kind)}\n" for _ in range(count))
    total = json.loads(_send(installation, 0, body, bulk=True, kind=kind).splitlines()[-1])
    assert total["stored"] == count, total


def _in_threads(count: int, work: Callable[[int], Any]) -> None:
    """Let so many clients work at once, each by its number; the first fault of one is raised."""
    with ThreadPoolExecutor(count) as clients:
        list(clients.map(work, range(count)))
