"""The store on PostgreSQL: units of work that get in each other's way, a database that goes away, the first start."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import Engine, text

from backend.cli.main import cli
from backend.domain.errors import Conflict, Invalid, StorageFull, StorageUnavailable
from backend.domain.outbox import Lease
from backend.runtime.context import opened
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.settings import Settings, WrongSetting
from backend.store.coordination import RECONNECT_SECONDS, AdvisoryLeadership, Listener, notify
from backend.store.crypto_shredding import follow_the_keys
from backend.store.database import WrongDatabase, in_our_words, open_engine, upgrade, usable
from backend.store.encryption import DataKeys, KeyMissing
from backend.store.tables import metadata
from backend.store.unit_of_work import RERUNS, UnitOfWork, UnitOfWorkFactory
from tests.helpers.postgres import Postgres, running_postgres

NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def work(postgres: Postgres, tmp_path: Path) -> Iterator[UnitOfWorkFactory]:
    """Units of work on an empty database of its own."""
    name = f"store_{tmp_path.name.lower()}"[:60]
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(postgres.create(name), keys)
        upgrade(engine)
        yield UnitOfWorkFactory(engine)
        engine.dispose()
    postgres.drop(name)


def holder(work: UnitOfWorkFactory, name: str) -> str | None:
    with work(reading=True) as unit:
        found = unit.leases.find(name)
        return found and found.holder


def test_migrations_lead_to_the_tables_of_the_code(work):
    with work.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


class Doctors:
    """Two who may each go off duty while the other is on: the usual example of write skew."""

    def __init__(self, work: UnitOfWorkFactory) -> None:
        self._work = work
        self._both_have_looked = threading.Barrier(2, timeout=20)
        self.looks = 0
        with work() as unit:
            for name in ("a", "b"):
                unit.add(Lease(name, "on duty", NOW))
            unit.commit()

    def go_off(self, own: str, other: str) -> bool:
        with self._work() as unit:
            self.looks += 1
            is_first_look, seen = self.looks <= 2, unit.leases.find(other)
            if is_first_look:
                self._both_have_looked.wait()
            mine = unit.leases.find(own)
            assert None not in (seen, mine)
            if seen.holder != "on duty":
                return False
            mine.holder = "off"
            unit.commit()
        return True


def test_units_that_exclude_each_other_have_one_winner(work):
    doctors = Doctors(work)
    with ThreadPoolExecutor(2) as pool:
        went = list(pool.map(lambda pair: work.run(lambda: doctors.go_off(*pair)), [("a", "b"), ("b", "a")]))
    assert sorted(went) == [False, True]
    assert {holder(work, "a"), holder(work, "b")} == {"on duty", "off"}
    assert doctors.looks == 3


def test_same_units_read_committed_have_two(work):
    """The planted fault: without SERIALIZABLE both go, so the test above can fail."""
    weak = UnitOfWorkFactory(work.engine.execution_options(isolation_level="READ COMMITTED"))
    doctors = Doctors(weak)
    with ThreadPoolExecutor(2) as pool:
        went = list(pool.map(lambda pair: weak.run(lambda: doctors.go_off(*pair)), [("a", "b"), ("b", "a")]))
    assert went == [True, True]


def interfered(work: UnitOfWorkFactory, unit: UnitOfWork) -> None:
    """Change a row that this unit has read, in another one that commits first."""
    unit.leases.find("a")
    with work() as other:
        lease = other.leases.find("a")
        assert lease is not None
        lease.holder += "+"
        other.commit()


def test_contention_without_end_is_told_as_unavailable(work):
    Doctors(work)
    tries = []

    def never() -> None:
        tries.append(1)
        with work() as unit:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(interfered, work, unit).result()
            lease = unit.leases.find("a")
            assert lease is not None
            lease.holder = "mine"
            unit.commit()

    with pytest.raises(StorageUnavailable) as refusal:
        work.run(never)
    assert len(tries) == RERUNS + 1
    assert refusal.value.retry_after_seconds
    assert holder(work, "a") != "mine"


def test_nothing_runs_again_after_a_part_is_committed(work):
    Doctors(work)
    tries = []

    def in_two_parts() -> None:
        tries.append(1)
        with work() as first:
            first.add(Lease(f"part-{len(tries)}", "done", NOW))
            first.commit()
        with work() as second:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(interfered, work, second).result()
            lease = second.leases.find("a")
            assert lease is not None
            lease.holder = "mine"
            second.commit()

    with pytest.raises(StorageUnavailable):
        work.run(in_two_parts)
    assert tries == [1]


def test_duplicate_stored_since_the_look_is_found(work):
    looks = []

    def add_unless_there() -> str:
        with work() as unit:
            found = unit.leases.find("new")
            looks.append(found)
            if found is not None:
                return "found"
            if len(looks) == 1:
                with ThreadPoolExecutor(1) as elsewhere:
                    elsewhere.submit(add, "other").result()
            unit.add(Lease("new", "mine", NOW))
            unit.commit()
        return "added"

    def add(whose: str) -> None:
        with work() as unit:
            unit.add(Lease("new", whose, NOW))
            unit.commit()

    assert work.run(add_unless_there) == "found"
    with pytest.raises(Conflict):
        work.run(lambda: add("third"))


def test_reading_unit_sees_one_state_and_writes_nothing(work):
    Doctors(work)
    with work(reading=True) as unit:
        assert unit.leases.find("a") is not None
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(interfered, work, unit).result()
        unit._session.expire_all()
        lease = unit.leases.find("a")
        assert lease is not None
        assert lease.holder == "on duty"
        assert unit._session.scalar(text("SHOW transaction_read_only")) == "on"
    assert holder(work, "a") == "on duty+"


def test_text_with_nul_is_refused_as_input(work):
    with pytest.raises(Invalid), work(reading=True) as unit:
        unit.leases.find("a\0b")


def test_name_keeps_other_holders_out(work):
    inside, most = [], []

    def enter(_: int) -> None:
        with work.alone("one thing"):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.02)
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(8)))
    assert most == [1] * 8
    with work.alone("one thing"), work.alone("another"):
        pass


@pytest.mark.usefixtures("postgres")
def test_database_away_is_told_and_comes_back(tmp_path):
    with running_postgres() as server, closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(server.create("one"), keys)
        upgrade(engine)
        work = UnitOfWorkFactory(engine)
        with work() as unit:
            unit.add(Lease("a", "me", NOW))
            unit.commit()
        with server.connect() as admin:
            admin.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'one'")
        assert holder(work, "a") == "me"  # a connection that was cut is noticed before it is used
    for reading in (True, False):
        with pytest.raises(StorageUnavailable) as refusal, work(reading=reading) as unit:
            unit.leases.find("a")
        assert refusal.value.retry_after_seconds
    with pytest.raises(WrongDatabase), usable(engine):
        pass
    engine.dispose()


def test_full_disk_is_told_as_full(work):
    raised = "DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$"
    with pytest.raises(StorageFull), work() as unit:
        unit._session.execute(text(raised))


def test_fault_of_the_program_stays_one(work):
    with pytest.raises(Exception, match="no_such_table") as fault, work() as unit:
        unit._session.execute(text("SELECT * FROM no_such_table"))
    assert in_our_words(fault.value) is None


@pytest.mark.parametrize(
    "url", ["sqlite:///x", "mysql://u@h/d", "postgresql://host", "postgresql:///", "postgresql://[/x"]
)
def test_address_of_no_postgresql_database_is_refused(url):
    with pytest.raises(WrongSetting) as refusal:
        Settings.from_environment({"DATABASE_URL": url})
    assert url not in str(refusal.value)


def test_password_is_not_shown_with_the_settings():
    settings = Settings.from_environment({"DATABASE_URL": "postgres://me:secret@host/db"})
    assert settings.database_url == "postgresql://me:secret@host/db"
    assert "secret" not in repr(settings)


@pytest.fixture
def installed(postgres: Postgres, tmp_path: Path) -> Iterator[Settings]:
    """A data folder whose database is in PostgreSQL, as the first start leaves it."""
    name = f"folder_{tmp_path.name.lower()}"[:60]
    settings = Settings(tmp_path / "data", database_url=postgres.create(name))
    DataFolder.open(settings.data_dir, "1")
    with opened(settings):
        pass
    with closing(DataKeys(settings.data_dir / "record.keys")) as keys:
        keys.reserve(1)
    yield settings
    postgres.drop(name)


def test_folder_and_database_belong_together(installed, postgres):
    with opened(installed) as ctx, ctx.work(reading=True) as work:
        assert list(work.batches.all()) == []
    with pytest.raises(UnusableFolder, match="DATABASE_URL"), opened(replace(installed, database_url=None)):
        pass
    assert not (installed.data_dir / "provenport.sqlite").exists()
    empty = postgres.create("an_empty_one")
    with pytest.raises(UnusableFolder, match="empty"), opened(replace(installed, database_url=empty)):
        pass
    postgres.drop("an_empty_one")


@pytest.mark.parametrize("command", [["backup", "safe"], ["restore", "."]])
def test_copies_are_left_to_postgresql(installed, tmp_path, command):
    (tmp_path / "here").mkdir()
    environment = {"DATA_DIR": str(installed.data_dir), "DATABASE_URL": installed.database_url, "LC_ALL": "C.UTF-8"}
    with CliRunner(env=environment).isolated_filesystem(tmp_path / "here"):
        told = CliRunner(env=environment).invoke(cli, command)
        assert told.exit_code == 1
        assert "pg_dump" in told.output
        assert list(Path.cwd().iterdir()) == []
        told = CliRunner(env=environment | {"DATABASE_URL": ""}).invoke(cli, ["backup", "safe"])
        assert told.exit_code == 1
        assert "DATABASE_URL" in told.output
        assert list(Path.cwd().iterdir()) == []


def test_command_tells_that_database_is_out_of_reach(tmp_path):
    DataFolder.open(tmp_path / "data", "1")
    environment = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    told = CliRunner(env=environment).invoke(cli, ["keys", "list"])
    assert told.exit_code == 1
    assert "DATABASE_URL" in told.output
    assert "Traceback" not in told.output


def test_database_of_another_folder_is_refused(installed, tmp_path):
    DataFolder.open(tmp_path / "other", "1")
    with pytest.raises(KeyMissing), opened(replace(installed, data_dir=tmp_path / "other")):
        pass


def test_folder_with_sqlite_is_not_left_behind(installed, tmp_path):
    older = Settings(tmp_path / "older")
    DataFolder.open(older.data_dir, "1")
    with opened(older):
        pass
    with pytest.raises(UnusableFolder, match="SQLite"), opened(replace(older, database_url=installed.database_url)):
        pass


def test_unreachable_database_keeps_its_password_untold(tmp_path):
    DataFolder.open(tmp_path / "data", "1")
    settings = Settings(tmp_path / "data", database_url="postgresql://me:secret@127.0.0.1:1/none")
    with pytest.raises(WrongDatabase) as refusal, opened(settings):
        pass
    assert "secret" not in str(refusal.value)


def test_two_first_starts_make_one_set_of_tables(postgres, tmp_path):
    url = postgres.create("first_starts")
    with closing(DataKeys(tmp_path / "record.keys")):
        pass

    def start(_: int) -> bool:
        settings = Settings(tmp_path / "data", database_url=url)
        DataFolder.open(settings.data_dir, "1")
        with opened(settings):
            return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, range(4))) == [True] * 4
    with closing(DataKeys(tmp_path / "data" / "record.keys")) as keys:
        engine = open_engine(url, keys)
        follow_the_keys(engine, _NoFiles(), NOW)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM key_state")).scalar_one() == 1
        engine.dispose()
    postgres.drop("first_starts")


class _NoFiles:
    def is_erased(self, digest: str) -> bool:
        return False


# ---- several processes


@pytest.fixture
def engine(work: UnitOfWorkFactory) -> Engine:
    return work.engine


def cut_off(postgres: Postgres, engine: Engine) -> None:
    """End every connection to a database, as when its server or a process is killed."""
    with postgres.connect() as admin:
        admin.execute(
            b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [engine.url.database]
        )


def within(seconds: float, question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_of_two_processes_one_leads(engine):
    first, second = AdvisoryLeadership(engine, "anchoring"), AdvisoryLeadership(engine, "anchoring")
    assert first.acquire()
    assert not second.acquire()
    assert first.acquire()  # held, not taken once more
    first.release()
    assert second.acquire()
    assert not first.acquire()
    assert AdvisoryLeadership(engine, "another").acquire()


def test_leader_without_its_connection_leads_no_more(engine, postgres):
    first, second = AdvisoryLeadership(engine, "anchoring"), AdvisoryLeadership(engine, "anchoring")
    assert first.acquire()
    cut_off(postgres, engine)
    assert not first.acquire()
    assert second.acquire()
    assert not first.acquire()


def test_lost_lead_does_not_stay_in_the_pool(engine):
    """Handed back, its connection would hold the lock for whoever takes it next."""
    first = AdvisoryLeadership(engine, "anchoring")
    assert first.acquire()
    assert engine.pool.checkedout() == 1
    first.release()
    assert engine.pool.checkedout() == 0
    # Other tests' databases are in the same cluster.
    held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory'"
    with engine.connect() as connection:
        assert connection.execute(text(f"{held} AND d.datname = current_database()")).scalar() == 0


def test_news_reach_who_listens(engine, postgres):
    """Also what was told while the connection was away; another topic's do not."""
    heard: list[str] = []
    listener = Listener(engine, {"anchoring": lambda: heard.append("anchoring")})
    listener.start()
    try:
        assert within(5, lambda: len(heard) == 1)  # what may have been told before
        notify(engine, "anchoring")
        assert within(1, lambda: len(heard) == 2)
        notify(engine, "simulating")
        time.sleep(RECONNECT_SECONDS + 0.5)
        assert len(heard) == 2  # the connection held meanwhile
        cut_off(postgres, engine)
        assert within(10, lambda: len(heard) == 3)
        notify(engine, "anchoring")
        assert within(2, lambda: len(heard) == 4)
    finally:
        listener.stop()


def test_news_of_an_absent_database_are_no_fault(postgres, tmp_path):
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(postgres.url("absent"), keys)
        notify(engine, "anchoring")
        assert not AdvisoryLeadership(engine, "anchoring").acquire()
        engine.dispose()
