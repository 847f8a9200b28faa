"""The processes of one installation on one PostgreSQL, for the tests that race, kill and restart them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from backend.adapters.keys.vault import opened_vault
from backend.runtime.app import ledger_accounts
from backend.runtime.data_folder import DataFolder
from backend.store.coordination import ANCHORING
from backend.store.database import lock_number
from tests.conftest import DemoUser, people_in
from tests.helpers.nodes import anvil, free_port
from tests.helpers.postgres import Postgres

READY_SECONDS = 900
CANDIDATES = 3
DATABASE = "two_servers"
WITHOUT_GUARDS = """
import backend.store.database as database
from sqlalchemy import create_engine

def looked(self, table, entity, read, since):
    if read is not None and read != entity.version:
        raise database.StaleVersion(entity.version, since(read))
    entity.version += 1

database.create_engine = lambda url, isolation_level=None, **rest: create_engine(url, **rest)
database.Repository._next_version = looked
from backend.cli.main import main
main()
"""
"""Starts the same command on READ COMMITTED, with versions that are looked at but not compared in the UPDATE."""
WEB = ("web-1", "web-2")
CANDIDATE_NAMES = tuple(f"anchor-{number}" for number in range(1, CANDIDATES + 1))


class Processes:
    """The programs of one installation, by name."""

    def __init__(self, folder: Path, environment: dict[str, str], command: list[str]) -> None:
        self.folder, self.environment, self._command = folder, environment, command
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start one, or start it again."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *self._command, *arguments], env=self.environment, stdout=log, stderr=log
            )

    def web(self, name: str) -> str:
        """Start one that serves, on the port it had before; its URL."""
        self.start(name, "web", "--port", str(self.ports.setdefault(name, free_port())))
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> Path:
        return self.folder.parent / f"{name}.log"

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def kill(self, pid: int) -> str:
        """Kill the program of this process id; its name."""
        (name,) = (name for name, one in self._running.items() if one.pid == pid)
        self._running[name].kill()
        self._running[name].wait()
        return name

    def wait_until_ready(self, name: str) -> None:
        """Wait until one that serves is ready.

        Raises:
            RuntimeError: It ended instead, or was not ready in time; with its log.
        """
        deadline = time.monotonic() + READY_SECONDS
        while self._running[name].poll() is None and time.monotonic() < deadline:
            try:
                if requests.get(f"http://127.0.0.1:{self.ports[name]}/readyz", timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"{name} is not ready:\n{self.log(name).read_text()}")

    def stop(self, name: str) -> None:
        """Stop one as its operator does."""
        self._running[name].terminate()
        try:
            self._running[name].wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._running[name].kill()
            self._running[name].wait()
            raise

    def stop_all(self) -> None:
        for one in self._running.values():
            one.kill()
            one.wait()


class Office:
    """Two servers, and who asks them."""

    def __init__(self, urls: list[str], people: dict[str, DemoUser], processes: Processes) -> None:
        self.urls, self.people, self.processes = urls, people, processes
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


def in_database(server: Postgres, query: str) -> int:
    with server.connect(DATABASE) as connection:
        (count,) = connection.execute(query.encode()).fetchone() or (0,)
        return int(str(count))


@contextmanager
def office(server: Postgres, folder: Path, planted: bool, at_once: bool = True) -> Iterator[Office]:
    """Two processes of the command, started at once on nothing or in turn; the chain is a node of its own."""
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
        processes = Processes(folder, environment, ["-c", WITHOUT_GUARDS] if planted else ["-m", "backend.cli.main"])
        stack.callback(processes.stop_all)
        urls = []
        for name in WEB:
            urls.append(processes.web(name))
            # Without guards two first starts at once stop each other, which is not what is looked for.
            if planted or not at_once:
                processes.wait_until_ready(name)
        for name in CANDIDATE_NAMES:
            processes.start(name, "anchor")
        for name in WEB:
            processes.wait_until_ready(name)
        yield Office(urls, people_in(folder), processes)


def leader(server: Postgres) -> int | None:
    """The process id of who leads the anchoring, as the database knows it."""
    number = lock_number(ANCHORING) & (2**64 - 1)
    query = (
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' "
        f"AND l.granted AND l.classid = {number >> 32} AND l.objid = {number & (2**32 - 1)}"
    )
    with server.connect(DATABASE) as connection:
        found = connection.execute(query.encode()).fetchone()
    return int(str(found[0]).split()[-1]) if found else None


def until(question: Callable[[], Any], seconds: float) -> float:
    """The seconds until something is so; infinite where it takes longer than asked."""
    began = time.monotonic()
    while not question():
        if time.monotonic() > began + seconds:
            return float("inf")
        time.sleep(0.005)
    return time.monotonic() - began


def final_records(server: Postgres) -> set[str]:
    """The ids of the records that are final on the ledger."""
    query = "SELECT record.id FROM record JOIN batch ON batch.id = record.batch_id WHERE batch.state = 'final'"
    with server.connect(DATABASE) as connection:
        return {str(record) for (record,) in connection.execute(query.encode()).fetchall()}


def audited(office: Office) -> int:
    """The exit code of the audit: 0 where database and ledger agree."""
    command = [sys.executable, "-m", "backend.cli.main", "audit"]
    told = subprocess.run(command, env=office.processes.environment, capture_output=True, text=True, check=False)
    if told.returncode:
        print(told.stdout[-2000:], told.stderr[-2000:], file=sys.stderr)
    return told.returncode
