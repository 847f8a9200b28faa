"""SQLite's writers within one process: one at a time, woken as soon as the one before has ended, however it ended."""

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import event, text

from backend.domain.errors import StorageUnavailable
from backend.store import database
from backend.store.database import open_engine, upgrade
from backend.store.encryption import DataKeys
from backend.store.unit_of_work import UnitOfWork, UnitOfWorkFactory

pytestmark = pytest.mark.sqlite
SECONDS = 30


@pytest.fixture
def work(tmp_path: Path) -> Iterator[UnitOfWorkFactory]:
    """Units of work on an empty database."""
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", keys)
        upgrade(engine)
        yield UnitOfWorkFactory(engine)
        engine.dispose()


def begin(unit: UnitOfWork) -> None:
    unit._session.execute(text("SELECT 1"))


def is_free(work: UnitOfWorkFactory, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether somebody may write now, without a wait."""
    found: list[bool] = []

    def ask() -> None:
        with suppress(StorageUnavailable), work() as unit:
            begin(unit)
            found.append(True)

    with monkeypatch.context() as patched:
        patched.setattr(database, "BUSY_MILLISECONDS", 50)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(SECONDS)
    return bool(found)


def test_second_writer_waits_for_the_first(work, monkeypatch):
    with work() as unit:
        begin(unit)
        assert not is_free(work, monkeypatch)
        unit.commit()
        assert is_free(work, monkeypatch)


def test_second_transaction_of_one_unit_queues_anew(work, monkeypatch):
    with work() as unit:
        begin(unit)
        unit.commit()
        begin(unit)
        assert not is_free(work, monkeypatch)
    assert is_free(work, monkeypatch)


def test_readers_wait_for_nobody(work):
    with work() as writer:
        begin(writer)
        with work(reading=True) as reader:
            begin(reader)


@pytest.mark.parametrize("ending", ["error", "no commit", "refused statement", "lost connection"])
def test_writer_that_fails_lets_the_next_in(work, monkeypatch, ending):
    with suppress(Exception), work() as unit:
        begin(unit)
        assert not is_free(work, monkeypatch)
        match ending:
            case "error":
                raise RuntimeError
            case "refused statement":
                unit._session.execute(text("no SQL"))
            case "lost connection":
                unit._session.connection().invalidate()
    assert is_free(work, monkeypatch)


def test_writer_that_ends_wakes_one_of_many(work):
    order: list[int] = []

    def write(number: int) -> None:
        with work() as unit:
            begin(unit)
            order.append(number)
            order.append(number)
            unit.commit()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(set(order)) == list(range(12))
    assert all(one == other for one, other in zip(order[::2], order[1::2], strict=True)), "nobody came between"


def test_other_processes_are_still_waited_for(work, monkeypatch, tmp_path):
    """The queue is one process's: SQLite's own lock stays what keeps two processes apart."""
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", keys)
        event.listen(work.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout=50"))
        with UnitOfWorkFactory(engine)() as unit:
            begin(unit)
            assert not is_free(work, monkeypatch)
        engine.dispose()
