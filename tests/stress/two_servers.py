"""Two web processes on one PostgreSQL: what is asked of both at once is done once, and nobody is told to come back.

Three kinds of races, each request of a race sent at the same moment, in turn to one process and to the other:

* four rejections of one declaration: one is taken, the others are told so;
* four certificates under one number: one is issued;
* eight requests under one Idempotency-Key: one record, one answer for all.

Both processes start at once on an empty database and an empty chain, so that their first start is a race too.
``--planted`` takes the guards away (isolation, versions, unique keys) and must find doubles, or the races are none.

Needs PostgreSQL's programs and anvil (make anvil-check). ``python -m tests.stress.two_servers --races 1000``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from backend.adapters.keys.vault import opened_vault
from backend.runtime.app import ledger_accounts
from backend.runtime.data_folder import DataFolder
from tests.conftest import DemoUser, people_in
from tests.helpers.nodes import anvil, free_port
from tests.helpers.postgres import Postgres, running_postgres
from tests.journeys.papers import a_certificate, a_declaration

READY_SECONDS = 300
DATABASE = "two_servers"
WITHOUT_GUARDS = """
import backend.store.database as database
from sqlalchemy import create_engine
database.create_engine = lambda url, isolation_level=None, **rest: create_engine(url, **rest)
database.Repository._next_version = lambda *arguments: None
from backend.cli.main import main
main()
"""
"""Starts the same command on READ COMMITTED, and with no version compared."""

Send = Callable[[int], requests.Response]


class Office:
    """Two servers, and who asks them."""

    def __init__(self, urls: list[str], people: dict[str, DemoUser]) -> None:
        self.urls, self.people = urls, people
        self._own = threading.local()

    def post(self, number: int, path: str, role: str, body: Any, **headers: str) -> requests.Response:
        """Send a request to one server or the other, over a connection that this thread keeps."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        url = f"{self.urls[number % len(self.urls)]}/api/v1{path}"
        answer: requests.Response = self._own.session.post(
            url, json=body, headers={**self.people[role].bearer, **headers}, timeout=120
        )
        return answer


def race(pool: ThreadPoolExecutor, count: int, send: Send) -> list[requests.Response]:
    """Let ``count`` requests go at one barrier."""
    start = threading.Barrier(count)

    def go(number: int) -> requests.Response:
        start.wait(timeout=60)
        return send(number)

    return list(pool.map(go, range(count)))


def decisions(office: Office, pool: ThreadPoolExecutor, races: int) -> tuple[Counter[int], int]:
    """Reject one declaration four times at once; the answers by status, and races with other than one winner."""
    told: Counter[int] = Counter()
    wrong = 0
    body = {"decision": "reject", "reason": "Not in order"}
    for number in range(races):
        lodged = office.post(number, "/declarations", "merchant", a_declaration([]))
        assert lodged.status_code == 201, lodged.text
        path, version = f"/declarations/{lodged.json()['id']}/decisions", {"If-Match": '"1"'}
        answers = race(pool, 4, lambda n, path=path, version=version: office.post(n, path, "officer", body, **version))
        told.update(answer.status_code for answer in answers)
        wrong += sum(answer.status_code == 201 for answer in answers) != 1
    return told, wrong


def numbers(office: Office, pool: ThreadPoolExecutor, races: int) -> tuple[Counter[int], int]:
    """Issue four certificates under one number at once."""
    told: Counter[int] = Counter()
    wrong = 0
    merchant = office.people["merchant"].organisation
    for _ in range(races):
        body = a_certificate(merchant)
        answers = race(pool, 4, lambda n, body=body: office.post(n, "/certificates-of-origin", "chamber", body))
        told.update(answer.status_code for answer in answers)
        wrong += sum(answer.status_code == 201 for answer in answers) != 1
    return told, wrong


def keys(office: Office, pool: ThreadPoolExecutor, races: int) -> tuple[Counter[int], int]:
    """Send one request eight times at once under one Idempotency-Key."""
    told: Counter[int] = Counter()
    wrong = 0
    merchant = office.people["merchant"].organisation
    for number in range(races):
        body, key = a_certificate(merchant), {"Idempotency-Key": f"race-{number}-{time.time_ns()}"}
        answers = race(
            pool, 8, lambda n, body=body, key=key: office.post(n, "/certificates-of-origin", "chamber", body, **key)
        )
        told.update(answer.status_code for answer in answers)
        wrong += {answer.status_code for answer in answers} != {201} or len({answer.text for answer in answers}) != 1
    return told, wrong


DOUBLES = {
    "decisions": "SELECT count(*) FROM (SELECT 1 FROM decision GROUP BY consignment_id HAVING count(*) > 1) twice",
    "numbers": "SELECT count(*) FROM (SELECT 1 FROM record WHERE number IS NOT NULL AND assurance = 'issued' "
    "GROUP BY issuer_id, kind, number HAVING count(*) > 1) twice",
}
"""What the database itself holds twice, whatever was answered."""


def in_database(server: Postgres, query: str) -> int:
    with server.connect(DATABASE) as connection:
        (count,) = connection.execute(query.encode()).fetchone() or (0,)
        return int(str(count))


@contextmanager
def office(server: Postgres, folder: Path, planted: bool) -> Iterator[Office]:
    """Two processes of the command, started at once on nothing; the chain is a node of its own."""
    with ExitStack() as stack:
        node = stack.enter_context(anvil())
        data = DataFolder.open(folder, "1")
        accounts = ledger_accounts(data, opened_vault(data.master_key, None))
        node.fund(*(account.address for account in accounts.values()))
        environment = {
            **os.environ,
            "DATA_DIR": str(folder),
            "DATABASE_URL": server.create(DATABASE),
            "LEDGER_RPC_URL": node.url,
            "LEDGER_CONFIRMATIONS": "0",
            "LEDGER_REGISTRATION_DELAY_SECONDS": "0",
        }
        command = ["-c", WITHOUT_GUARDS] if planted else ["-m", "backend.cli.main"]
        ports = [free_port(), free_port()]
        for port in ports:
            log = stack.enter_context((folder.parent / f"{port}.log").open("w"))
            arguments = [sys.executable, *command, "serve", "--port", str(port)]
            process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
            stack.callback(_stop, process)
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url, port in zip(urls, ports, strict=True):
            _wait(url, folder.parent / f"{port}.log")
        yield Office(urls, people_in(folder))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if requests.get(f"{url}/healthz", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def main() -> int:
    """Run the races, print a table, and end with 0 where all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=1000, help="of each kind")
    parser.add_argument(
        "--planted", action="store_true", help="without the guards; ends with 0 where doubles are found"
    )
    kinds = {"decisions": decisions, "numbers": numbers, "keys": keys}
    parser.add_argument("--only", choices=list(kinds), action="append", help="this kind; again for another")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="two-servers-") as place,
        running_postgres() as server,
        office(server, Path(place, "data"), asked.planted) as both,
        ThreadPoolExecutor(8) as pool,
    ):
        firsts = {"organisations": in_database(server, "SELECT count(*) FROM organisation")}
        print(f"first start of two processes: {firsts['organisations']} organisations", flush=True)
        if asked.planted:
            with server.connect(DATABASE) as connection:
                connection.execute(b"DROP INDEX uq_record_number")
        for name in asked.only or kinds:
            run = kinds[name]
            began = time.monotonic()
            told, wrong = run(both, pool, asked.races)
            twice = in_database(server, DOUBLES[name]) if name in DOUBLES else 0
            failed = sum(count for status, count in told.items() if status >= 500)
            found[name] = {"races": asked.races, "wrong": wrong, "twice": twice, "5xx": failed, "told": dict(told)}
            print(f"{name:<10} {json.dumps(found[name])}  {time.monotonic() - began:.0f} s", flush=True)
    if asked.planted:
        return 0 if all(found[name]["twice"] for name in DOUBLES if name in found) else 1
    return 0 if not any(one["wrong"] + one["twice"] + one["5xx"] for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
