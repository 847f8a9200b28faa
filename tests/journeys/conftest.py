"""A server started the way a user starts it: the real command, its own process, data folder and port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import DemoUser, people_in
from tests.helpers.builders import if_match
from tests.helpers.postgres import installation_at

READY_SECONDS = 180


@dataclass
class Server:
    """A started server and what a client needs to talk to it."""

    folder: Path
    port: int
    process: subprocess.Popen[str]
    output: Path
    people: dict[str, DemoUser] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, role: str | None = None, **kwargs: Any) -> requests.Response:
        """One call of the programming interface, by the person with that role."""
        headers = {**(self.people[role].bearer if role else {}), **kwargs.pop("headers", {})}
        headers |= if_match(method, path, role, headers, lambda thing, who: self.call("GET", thing, who))
        return requests.request(
            method, f"{self.url}/api/v1{path}", headers=headers, timeout=kwargs.pop("timeout", 30), **kwargs
        )

    def get(self, path: str, role: str | None = None, **kwargs: Any) -> Any:
        """What a GET answers; fails where it is not 200."""
        response = self.call("GET", path, role, **kwargs)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, role: str | None = None, body: Any = None, expect: int = 201, **kwargs: Any) -> Any:
        """What a POST answers; fails where the status is another."""
        response = self.call("POST", path, role, json=body, **kwargs)
        assert response.status_code == expect, response.text
        return response.json()

    def until(self, question: Callable[[], Any], patience_seconds: float = 20) -> Any:
        """Ask until the answer is true."""
        deadline = time.monotonic() + patience_seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, f"still {answer!r}"
            time.sleep(0.1)
        return answer

    def settled_verdict(self, declaration_id: str) -> dict[str, Any]:
        """The verdict on a declaration once none of its checks waits for the ledger any more."""

        def final() -> Any:
            found = self.get(f"/declarations/{declaration_id}", "officer")["verdict"]
            return found if all(check["actionBy"] != "wait" for check in found["checks"]) else None

        verdict: dict[str, Any] = self.until(final)
        return verdict

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code. One that does not end is killed, and told."""
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def command(*arguments: str) -> list[str]:
    """The provenport command of the environment under test."""
    return [sys.executable, "-m", "backend.cli.main", *arguments]


def start(folder: Path, port: int | None = None) -> Server:
    """Start a server on a data folder and wait until it answers."""
    port = port or free_port()
    output = folder.with_name(f"{folder.name}-{port}.log")
    environment = {**os.environ, **installation_at(folder), "PORT": str(port)}
    with output.open("a") as log:
        process = subprocess.Popen(command("serve"), env=environment, stdout=log, stderr=log, text=True)
    server = Server(folder, port, process, output)
    deadline = time.monotonic() + READY_SECONDS
    try:
        while not _answers(server):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        server.people = people_in(folder)
    except BaseException:
        process.kill()  # nobody else knows of it yet
        raise
    return server


def _answers(server: Server) -> bool:
    try:
        return requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of one module."""
    started = start(tmp_path_factory.mktemp("journey") / "data")
    yield started
    if started.process.poll() is None:
        started.stop()
