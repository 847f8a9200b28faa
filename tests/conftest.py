"""What many tests need: a real system in a temporary data folder, and the demonstration's people."""

import gc
import importlib.util
import itertools
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from filelock import FileLock
from flask import Flask
from flask.testing import FlaskClient
from waitress.server import create_server

from backend.adapters.simulator import ProgramSimulator
from backend.cli.operators import processors_for_people
from backend.runtime import demo
from backend.runtime.app import System, create_app, running
from backend.services.anchoring import is_under_way
from backend.settings import Settings
from tests.helpers.postgres import Postgres, database_url, ours, running_postgres

# `make browser` installs what these need; without it they are not even read.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]


_OWN = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """With TEST_DATABASE=postgresql, start one server for all workers of the run; each has the folder by its name."""
    structlog.configure(processors_for_people(is_terminal=False))  # as the commands log, and quicker
    wanted = os.environ.get("TEST_DATABASE", "sqlite")
    assert wanted in ("sqlite", "postgresql"), f"TEST_DATABASE is {wanted}"
    if wanted == "postgresql" and not hasattr(config, "workerinput"):
        stack = config.stash[_OWN] = ExitStack()
        os.environ["TEST_POSTGRES"] = str(stack.enter_context(running_postgres()).folder)


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not in what is loaded: it took a seventh of the whole run's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On PostgreSQL a skipped test fails: what is left out there is told by a mark, or by the make target."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and ours() is not None:
        report.outcome, report.longrepr = "failed", f"skipped on PostgreSQL: {report.longrepr}"
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it."""
    if _OWN in config.stash:
        config.stash[_OWN].close()
        del os.environ["TEST_POSTGRES"]


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The run's PostgreSQL. `make test` needs none, whether its programs are on the machine or not."""
    if (server := ours()) is None:
        pytest.skip("make postgres-check runs it")
    return server


@dataclass(frozen=True)
class DemoUser:
    """One of the demonstration's people, with what they sign in with."""

    role: str
    organisation: str
    email: str
    password: str
    token: str

    @property
    def bearer(self) -> dict[str, str]:
        """The header that a program of theirs sends."""
        return {"Authorization": f"Bearer {self.token}"}


def people_in(folder: Path) -> dict[str, DemoUser]:
    """The people in a data folder's demonstration, by role."""
    entries = json.loads((folder / "demo-credentials.json").read_text(encoding="utf-8"))
    return {entry["role"]: DemoUser(**entry) for entry in entries}


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A closed data folder with the demonstration: built once for all workers of a run, to be copied, not opened."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "demonstration"
    with FileLock(shared / "demonstration.lock"):
        if not folder.exists():
            building = shared / "demonstration-building"
            shutil.rmtree(building, ignore_errors=True)
            with running(Settings(building, database_url=database_url(folder))) as opened:
                demo.fill(opened.ctx, opened.folder, lambda step: None)
            building.rename(folder)  # all or nothing: what another worker finds is whole
    return folder


def copied(folder: Path, to: Path) -> Settings:
    """A copy of a closed data folder, and of its database where that lies elsewhere, to be opened."""
    return Settings(shutil.copytree(folder, to), database_url=database_url(to, folder))


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, demonstration: Path) -> Iterator[System]:
    """A whole system: database, embedded chain, demonstration, worker; a stand-in for the simulator, which is slow."""
    stand_in = (sys.executable, str(Path(__file__).parent / "helpers" / "stand_in_simulator.py"))
    with running(copied(demonstration, tmp_path_factory.mktemp("system") / "data")) as opened:
        opened.ctx = replace(opened.ctx, simulator=ProgramSimulator(opened.folder.simulations, stand_in))
        with opened.working(jobs=False):
            yield opened


@pytest.fixture(scope="session")
def app(system: System) -> Flask:
    """The web application over that system."""
    return create_app(system)


@pytest.fixture(scope="module")
def rpc_url(app: Flask) -> Iterator[str]:
    """The node of that application, served."""
    asked = itertools.count()

    def as_many_clients(environ: Any, start_response: Any) -> Any:
        """Calls of many commands come from one address here, and what one client may ask in a minute is limited."""
        environ["REMOTE_ADDR"] = f"10.9.8.{next(asked) // 500 % 256}"
        return app(environ, start_response)

    server = create_server(as_many_clients, host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    yield f"http://127.0.0.1:{server.effective_port}/rpc"
    server.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody's browser or program, with no cookies yet."""
    return app.test_client()


@pytest.fixture(scope="module")
def nothing_delegated(system: System) -> None:
    """What other tests' offices have let one another do is over: the server is shared."""
    with system.ctx.work() as work:
        for standing in work.customs_offices.delegations(system.ctx.now()):
            standing.ended_at = system.ctx.now()
        work.commit()


@pytest.fixture(scope="session")
def people(system: System) -> dict[str, DemoUser]:
    """The demonstration's people by role."""
    return people_in(system.folder.path)


@pytest.fixture(scope="session")
def settle(system: System) -> Callable[[], None]:
    """Waits until the worker has brought everything to the ledger."""

    def wait() -> None:
        deadline = time.monotonic() + 90
        while is_under_way(system.ctx):
            assert time.monotonic() < deadline, "not everything became final in 30 seconds"
            time.sleep(0.05)

    return wait
