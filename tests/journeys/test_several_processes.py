"""Several processes on one PostgreSQL: restarted in turn behind nginx, and killed while they run a simulation."""

import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.nodes import NEEDS_ANVIL, free_port
from tests.helpers.postgres import Postgres, programs, running_postgres
from tests.journeys.papers import a_certificate
from tests.journeys.test_analyst import FILE
from tests.journeys.test_behind_a_proxy import NGINX, wait_for
from tests.stress.processes import WEB, Office, in_database, office, until

pytestmark = [
    pytest.mark.slow,
    *NEEDS_ANVIL,
    pytest.mark.skipif(programs() is None, reason="PostgreSQL's programs are not installed"),
]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ROUNDS, CLIENTS = 3, 4


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="module")
def both(server: Postgres) -> Iterator[Office]:
    with (
        tempfile.TemporaryDirectory(prefix="several-") as place,
        office(server, Path(place, "data"), planted=False, at_once=False) as found,
    ):
        yield found


@contextmanager
def nginx_before(ports: list[int], folder: Path) -> Iterator[str]:
    """nginx by the documented configuration, without TLS; its URL."""
    assert NGINX is not None
    outside = free_port()
    site = (EXAMPLES / "nginx.conf").read_text(encoding="utf-8").partition("server {\n    listen 80;")[0]
    site = "\n".join(line for line in site.splitlines() if "ssl_certificate" not in line)
    upstream = (EXAMPLES / "nginx-upstream.conf").read_text(encoding="utf-8")
    for documented, here in (
        ("listen 443 ssl", f"listen {outside}"),
        ("server_name trace.example.org", "server_name _"),
        ("http://127.0.0.1:8080", "http://provenport"),
    ):
        assert documented in site, documented
        site = site.replace(documented, here)
    for documented, port in zip((8081, 8082), ports, strict=True):
        assert f"127.0.0.1:{documented}" in upstream
        upstream = upstream.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{port}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{upstream}\n{site}\n}}\n"
    )
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(configuration)])
    try:
        wait_for(outside, process)
        yield f"http://127.0.0.1:{outside}"
    finally:
        process.terminate()
        process.wait(10)


class Load:
    """Clients that write and read through the proxy until they are told to stop."""

    def __init__(self, both: Office, url: str) -> None:
        self.stored: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.failed: list[str] = []
        self._both, self._url, self._stopping = both, url, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        people = self._both.people
        with requests.Session() as session:
            while not self._stopping.is_set():
                body = a_certificate(people["merchant"].organisation)
                try:
                    made = session.post(
                        f"{self._url}/api/v1/certificates-of-origin", json=body, headers=people["chamber"].bearer
                    )
                    self._note(made, 201)
                    if made.status_code == 201:
                        self.stored.append(made.json()["id"])
                        at = f"{self._url}/api/v1/records/{self.stored[-1]}"
                        self._note(session.get(at, headers=people["merchant"].bearer), 200)
                except requests.RequestException as error:
                    self.failed.append(str(error))

    def _note(self, answer: requests.Response, expected: int) -> None:
        self.statuses[answer.status_code] += 1
        if answer.status_code != expected:
            self.failed.append(f"{answer.status_code} {answer.text[:300]}")


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_rolling_restart_behind_nginx_fails_no_request(both: Office, server: Postgres, tmp_path: Path) -> None:
    processes = both.processes
    with nginx_before([processes.ports[name] for name in WEB], tmp_path) as url, Load(both, url) as load:
        for _ in range(ROUNDS):
            for name in WEB:
                time.sleep(1)
                processes.stop(name)
                processes.web(name)
                processes.wait_until_ready(name)
    print(f"{2 * ROUNDS} restarts, answers by status: {dict(load.statuses)}")
    assert load.failed == []
    assert len(load.stored) > 50
    found = in_database(server, f"SELECT count(*) FROM record WHERE id IN ({', '.join(map(repr, load.stored))})")
    assert found == len(load.stored)


def test_simulation_of_a_killed_worker_is_taken_up(both: Office, server: Postgres) -> None:
    """By another process, after ``kill -9`` of the one that ran it; and its result is the same."""
    processes = both.processes
    processes.start("work-1", "work")
    order: dict[str, Any] = {"scenarioText": FILE.replace("declarations = 500", "declarations = 30000")}
    made = both.post(0, "/simulations", "analyst", {**order, "replications": 100})
    assert made.status_code == 201, made.text
    url, bearer = f"{both.urls[0]}/api/v1/simulations/{made.json()['id']}", both.people["analyst"].bearer

    def state() -> str:
        return str(requests.get(url, headers=bearer, timeout=60).json()["state"])

    assert until(lambda: state() == "running", 120) < 120
    processes.kill(processes.pid("work-1"))
    processes.start("work-2", "work")
    query = "SELECT attempts FROM simulation ORDER BY ordered_at DESC LIMIT 1"
    taken_up = until(lambda: in_database(server, query) == 2, 120)
    print(f"begun again {taken_up:.1f} s after the kill")
    assert taken_up < 60
    assert until(lambda: state() not in ("waiting", "running"), 300) < 300
    assert state() == "done"
    processes.stop("work-2")
