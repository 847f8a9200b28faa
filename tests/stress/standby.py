"""Kill the machine of PostgreSQL's primary, promote the synchronous standby, and look whether anybody was lied to.

Two clusters on one machine, each on a port of its own; all processes name both in DATABASE_URL, with
``target_session_attrs=read-write``, and are told of nothing. While four clients store certificates, the primary is
killed with all its processes (SIGKILL to their group), and the standby promoted, as docs/runbook.md says. Then a new
standby is made from the new primary, and it begins anew.

Nothing that was answered 201 may be missing, and a certificate must be stored again within 30 seconds of the kill.
``--planted`` makes the standby asynchronous and holds it back: then records must be missing, or the test finds nothing.

``python -m tests.stress.standby --kills 50``.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from tests.helpers.nodes import free_port
from tests.helpers.postgres import USER, Postgres, programs, unprivileged
from tests.journeys.papers import a_certificate
from tests.stress.processes import DATABASE, Office, audited, final_records, office, until

if TYPE_CHECKING:
    import psycopg

ANSWERED_SECONDS = 30.0
CLIENTS = 4
SETTINGS = ("listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_connections=300")
"""A killed process leaves the disk as it was, so that syncs would only take time; commits do wait for the standby."""


class Pair(Postgres):
    """A primary and its standby, by their ports."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        found = programs()
        assert found is not None, "PostgreSQL's programs are not here (Debian: apt-get install postgresql)"
        self._programs = found
        self._as_user = unprivileged(folder)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self.primary, self.standby = free_port(), free_port()
        self._run("initdb", "-D", self._cluster(self.primary), "-U", USER, "-A", "trust", "--locale=C", "-E", "UTF8")
        self._start(self.primary)

    def url(self, name: str) -> str:
        """The DATABASE_URL that names both."""
        hosts = f"127.0.0.1:{self.primary},127.0.0.1:{self.standby}"
        return f"postgresql://{USER}@{hosts}/{name}?target_session_attrs=read-write"

    def connect(self, name: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """A connection to the primary that commits each statement by itself."""
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.primary, user=USER, dbname=name, autocommit=True)

    def add_standby(self, synchronous: bool) -> None:
        """Copy the primary to a standby, and let the primary wait for it before it says that anything is stored."""
        cluster = self._cluster(self.standby)
        shutil.rmtree(cluster, ignore_errors=True)
        place = ["-h", "127.0.0.1", "-p", str(self.primary), "-U", USER, "-D", cluster]
        self._run("pg_basebackup", *place, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        # The last line counts: once promoted it has no standby to wait for.
        with (cluster / "postgresql.auto.conf").open("a") as file:
            file.write("synchronous_standby_names = ''\n")
        self._start(self.standby)
        if synchronous:
            self._say(b"ALTER SYSTEM SET synchronous_standby_names = '*'")
            self._say(b"SELECT pg_reload_conf()")
        state = b"sync" if synchronous else b"async"
        until(lambda: self._say(b"SELECT 1 FROM pg_stat_replication WHERE sync_state = '%s'" % state), 60)

    def kill_primary(self) -> None:
        """End all its processes at once."""
        os.killpg(self._running[self.primary].pid, signal.SIGKILL)
        self._running.pop(self.primary).wait()

    def hold_standby_back(self) -> None:
        """Stop the process that receives what the primary wrote."""
        children = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self._running[self.standby].pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        receivers = [int(line.split()[0]) for line in children.stdout.splitlines() if "walreceiver" in line]
        assert len(receivers) == 1, children.stdout
        os.kill(receivers[0], signal.SIGSTOP)
        self._stopped = receivers[0]

    def let_go(self) -> None:
        """Let that process run on, so that it can end."""
        os.kill(self._stopped, signal.SIGCONT)

    def promote(self) -> None:
        """Make the standby the primary; the other port is for the next standby."""
        self._run("pg_ctl", "promote", "-D", self._cluster(self.standby), "-w", "-t", "60")
        self.primary, self.standby = self.standby, self.primary

    def stop(self) -> None:
        for server in self._running.values():
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def _cluster(self, port: int) -> Path:
        return self.folder / str(port)

    def _say(self, statement: bytes) -> Any:
        with self.connect() as connection:
            cursor = connection.execute(statement)
            return cursor.fetchone() if cursor.description else None

    def _run(self, program: str, *arguments: object) -> None:
        command = [self._programs / program, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_user)  # type: ignore[call-overload]

    def _start(self, port: int) -> None:
        import psycopg

        options = [part for setting in (*SETTINGS, f"port={port}") for part in ("-c", setting)]
        command = [self._programs / "postgres", "-D", self._cluster(port), "-k", self.folder, *options]
        with (self.folder / f"{port}.log").open("ab") as log:
            self._running[port] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as_user,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres").close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / f"{port}.log").read_text()[-2000:]
                time.sleep(0.05)


@contextmanager
def pair() -> Iterator[Pair]:
    """A primary without a standby yet."""
    folder = Path(tempfile.mkdtemp(prefix="pg-pair-"))
    folder.chmod(0o711)
    try:
        both = Pair(folder)
        try:
            yield both
        finally:
            both.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Clients:
    """Four clients that store certificates all the time."""

    def __init__(self, office: Office) -> None:
        self.acknowledged: list[tuple[float, str]] = []
        """When each request that was answered 201 began, and the record's id."""
        self.told: Counter[str] = Counter()
        self._office = office
        self._stopping = threading.Event()

    def work(self, client: int) -> None:
        merchant, number = self._office.people["merchant"].organisation, client
        while not self._stopping.is_set():
            number += 1
            began = time.monotonic()
            try:
                answer = self._office.post(number, "/certificates-of-origin", "chamber", a_certificate(merchant))
            except requests.RequestException as error:
                self.told[type(error).__name__] += 1
                continue
            self.told[str(answer.status_code)] += 1
            if answer.status_code not in (201, 503):
                print(answer.status_code, answer.text, file=sys.stderr)
            if answer.status_code == 201:
                self.acknowledged.append((began, answer.json()["id"]))
            else:
                time.sleep(0.1)

    def stop(self) -> None:
        self._stopping.set()

    def begun_after(self, moment: float) -> bool:
        """Whether a request that began after a moment was answered 201."""
        return any(began > moment for began, _ in self.acknowledged[-50:])


def kill_and_promote(both: Pair, clients: Clients, planted: bool) -> float:
    """Kill the primary while clients write; the seconds until a request that came later is answered 201."""
    before = len(clients.acknowledged)
    until(lambda: len(clients.acknowledged) > before + 2 * CLIENTS, 60)
    if planted:
        both.hold_standby_back()
        until(lambda: len(clients.acknowledged) > before + 6 * CLIENTS, 60)
    both.kill_primary()
    killed = time.monotonic()
    if planted:
        both.let_go()
    both.promote()
    until(lambda: clients.begun_after(killed), 4 * ANSWERED_SECONDS)
    return time.monotonic() - killed


def present(both: Pair) -> set[str]:
    """The ids of all records there are."""
    with both.connect(DATABASE) as connection:
        return {str(record) for (record,) in connection.execute(b"SELECT id FROM record").fetchall()}


def main() -> int:
    """Kill and promote, print what came of it, and end with 0 where all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--planted", action="store_true", help="asynchronous; ends with 0 where records are lost")
    asked = parser.parse_args()
    took: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="standby-") as place,
        pair() as both,
        office(both, Path(place, "data"), planted=False) as there,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        clients = Clients(there)
        running = [pool.submit(clients.work, client) for client in range(CLIENTS)]
        try:
            for number in range(asked.kills):
                both.add_standby(synchronous=not asked.planted)
                took.append(kill_and_promote(both, clients, asked.planted))
                print(f"kill {number + 1}: answered again after {took[-1]:.1f} s", flush=True)
        finally:
            clients.stop()
        for one in running:
            one.result()
        records = {record for _, record in clients.acknowledged}
        lost = records - present(both)
        if not asked.planted:
            until(lambda: final_records(both) >= records, 180)
        unsettled = 0 if asked.planted else len(records - final_records(both))
        audit = 0 if asked.planted else audited(there)
        slowest = max(took)
        # Away for a while is told so (503); anything else is a fault of ours.
        odd = sum(number for status, number in clients.told.items() if status not in ("201", "503"))
        for log in ("web-1", "web-2") if odd else ():
            print(there.processes.log(log).read_text()[-6000:], file=sys.stderr)
    told = {
        "kills": asked.kills,
        "acknowledged": len(records),
        "lost": len(lost),
        "not final": unsettled,
        "audit": audit,
        "median": round(sorted(took)[len(took) // 2], 1),
        "slowest": round(slowest, 1),
        "told": dict(clients.told),
    }
    print(f"standby    {json.dumps(told)}", flush=True)
    if asked.planted:
        return 0 if lost else 1
    return int(bool(lost or unsettled or audit or slowest > ANSWERED_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
