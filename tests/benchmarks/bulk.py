"""How fast records come in, over HTTP against the really started server: many in one request, and one by one.

On SQLite, and beside it on PostgreSQL where its programs are. The server anchors meanwhile, as it always does. Other
programs' load on the machine slows the clock; so the processor's time is told as well, of PostgreSQL's processes apart,
and in signatures: what a bare ES256 signature takes in the same run.
"""

import http.client
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from backend.domain.kinds import KINDS, Kind
from tests.benchmarks.figure import Figure
from tests.helpers.builders import FIELDS
from tests.helpers.postgres import ours, programs, running_postgres
from tests.journeys.conftest import Server, start
from tests.journeys.papers import a_certificate

LINES = 2_500
"""Of one request; one for each of ``MANY``."""
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


def measure(scratch: Path) -> list[Figure]:
    """Bulk and single writes on each database."""
    found = _on(scratch / "sqlite", "SQLite")
    if programs() is None:
        return found
    with running_postgres(*DURABLE) as server:
        os.environ["TEST_POSTGRES"] = str(server.folder)
        try:
            return found + _on(scratch / "postgresql", "PostgreSQL")
        finally:
            del os.environ["TEST_POSTGRES"]


def _on(folder: Path, database: str) -> list[Figure]:
    server = start(folder)
    try:
        return [*_bulk(server, database), *_singles(server, database), *_paced(server, database)]
    finally:
        server.stop()


def _bulk(server: Server, database: str) -> list[Figure]:
    bodies = {kind: "".join(f"{_line(server, kind)}\n" for _ in range(LINES)) for kind in MANY}
    for kind in MANY:
        _send(server, _line(server, kind), bulk=True, kind=kind)  # what is only done once is done now
    signature = _signature_seconds()
    with _timed(server) as timed:
        for kind, body in bodies.items():
            total = json.loads(_send(server, body, bulk=True, kind=kind).splitlines()[-1])
            assert total["stored"] == LINES, total
    count = LINES * len(MANY)
    signature = (signature + _signature_seconds()) / 2
    return [
        Figure(f"{database}: many at once, records stored", count / timed.seconds, "1/s", ">= 3000"),
        *_cpu(f"{database}: many at once", timed, count, signature),
    ]


def _singles(server: Server, database: str) -> list[Figure]:
    signature = _signature_seconds()
    took: list[float] = []

    def client() -> None:
        for _ in range(SINGLES // CLIENTS):
            begun = time.perf_counter()
            _send(server, _line(server))
            took.append(time.perf_counter() - begun)

    with _timed(server) as timed:
        _in_threads(CLIENTS, client)
    target = ">= 250" if database == "SQLite" else ">= 300"
    return [
        Figure(f"{database}: one by one, {CLIENTS} clients", SINGLES / timed.seconds, "1/s", target),
        *(Figure(f"{database}: one by one, {part}th percentile", _part(took, part), "ms") for part in (50, 99)),
        *_cpu(f"{database}: one by one", timed, SINGLES, signature),
    ]


def _paced(server: Server, database: str) -> list[Figure]:
    took: list[float] = []
    begun = time.perf_counter()
    turns = iter(range(PACED_SECONDS * PACED_RATE))
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            due = begun + turn / PACED_RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            _send(server, _line(server))
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
def _timed(server: Server) -> Iterator[_Timed]:
    timed, begun, own, others = _Timed(), time.perf_counter(), cpu_seconds(server.process.pid), database_seconds()
    yield timed
    timed.seconds = time.perf_counter() - begun
    after, others_after = cpu_seconds(server.process.pid), database_seconds()
    timed.cpu_seconds = None if own is None or after is None else after - own
    timed.database_seconds = None if others is None or others_after is None else others_after - others


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


def _cpu(name: str, timed: _Timed, count: int, signature: float) -> list[Figure]:
    if timed.cpu_seconds is None:
        return []
    each = timed.cpu_seconds / count
    return [
        Figure(f"{name}, processor's time of a record", each * 1e6, "µs", None, "a bare signature", signature * 1e6),
        Figure(f"{name}, the same in signatures", each / signature, "times"),
        *(
            [Figure(f"{name}, PostgreSQL's time of a record", timed.database_seconds / count * 1e6, "µs")]
            if timed.database_seconds is not None
            else []
        ),
    ]


def _signature_seconds(count: int = 500) -> float:
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    begun = time.process_time()
    for _ in range(count):
        key.sign(b"as much as that", algorithm)
    return (time.process_time() - begun) / count


def _line(server: Server, kind: Kind = Kind.CERTIFICATE_OF_ORIGIN) -> str:
    if kind is Kind.CERTIFICATE_OF_ORIGIN:
        return json.dumps(a_certificate(server.people["merchant"].organisation))
    return json.dumps(FIELDS[kind](**{KINDS[kind].number_field: f"B-{next(_NUMBERS)}"}))


_NUMBERS = itertools.count(1)
_LOCAL = threading.local()


def _send(server: Server, body: str, *, bulk: bool = False, kind: Kind = Kind.CERTIFICATE_OF_ORIGIN) -> str:
    connections: dict[int, http.client.HTTPConnection] = _LOCAL.__dict__.setdefault("connections", {})
    connection = connections.setdefault(server.port, http.client.HTTPConnection("127.0.0.1", server.port, timeout=600))
    media_type = "application/x-ndjson" if bulk else "application/json"
    headers = {**server.people[MANY[kind]].bearer, "Content-Type": media_type}
    path = f"/api/v1/{KINDS[kind].collection}"
    connection.request("POST", f"{path}:bulk" if bulk else path, body.encode(), headers)
    answer = connection.getresponse()
    told = answer.read().decode()
    assert answer.status == (200 if bulk else 201), told
    return told


def send_lines(server: Server, count: int, kind: Kind) -> None:
    """Send so many papers of a kind in one request."""
    body = "".join(f"{_line(server, kind)}\n" for _ in range(count))
    total = json.loads(_send(server, body, bulk=True, kind=kind).splitlines()[-1])
    assert total["stored"] == count, total


def _in_threads(count: int, work: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
