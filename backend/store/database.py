"""Opens the database, brings its tables up to date, and gives out units of work."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from backend.domain.errors import StorageFull, StorageUnavailable, TraceabilityError
from backend.store.crypto_shredding import destroy_forgotten, watch
from backend.store.data_keys import RecordKeys
from backend.store.encrypted_types import let_find
from backend.store.mapping import map_the_domain
from backend.store.repositories import SqlStore, as_conflicts

log = structlog.get_logger()

BUSY_MILLISECONDS = 15_000


class ForeignDatabase(TraceabilityError):
    """The database was made by another version of Provenport that this one cannot read."""

    code = "foreign-database"


def open_engine(url: str, keys: RecordKeys) -> Engine:
    """An engine that seals with these keys; on SQLite with write-ahead log, full sync, and writers that queue up."""
    map_the_domain()
    engine = create_engine(url)
    let_find(engine.dialect, keys)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, below
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    # A reader that starts to write halfway would fail with "database is locked"; writers therefore say so at once.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def scrub(engine: Engine) -> None:
    """Move the write-ahead log into the database and empty it: pages from before an erasure go with it."""
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def upgrade(engine: Engine, to: str = "head", first: Callable[[], object] = lambda: None) -> bool:
    """Bring the tables to this version; whether they were of an earlier one. Raises ForeignDatabase for a later one.

    What is to be done ``first`` is done anew after a crash: the tables tell that all of it was done.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
    if present == scripts.get_current_head():
        return False
    if present is not None and present not in {script.revision for script in scripts.walk_revisions()}:
        raise ForeignDatabase(
            "the database is at revision {present}, which this version does not know", present=present
        )
    first()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return True


def _in_our_words(error: OperationalError) -> StorageUnavailable:
    """A database that cannot write: whatever was to be kept is not."""
    why = str(error.orig)
    if "full" in why:
        return StorageFull("no room is left on the disk that holds the database")
    return StorageUnavailable("the database could not be written or read: {why}", why=why)


class SqlUnitOfWork:
    """One transaction on the database."""

    store: SqlStore

    def __init__(self, engine: Engine, sessions: sessionmaker[Session], *, reading: bool) -> None:
        self._engine = engine
        self._sessions = sessions
        self._reading = reading

    def __enter__(self) -> Self:
        self._session = self._sessions()
        if self._reading:
            self._session.connection(execution_options={"reading": True})
        self.store = SqlStore(self._session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session.close()
        finally:
            if isinstance(error, OperationalError):
                raise _in_our_words(error) from error
            if isinstance(error, StatementError) and isinstance(error.orig, StorageUnavailable):
                raise error.orig from error  # no key could be made for a text of it

    def commit(self) -> None:
        """Write everything to disk; raises Conflict where another unit of work was quicker."""
        assert not self._reading, "a reading unit of work has nothing to commit"
        with as_conflicts(self._session):
            self._session.commit()
        if self._session.info.pop("forgotten", False):
            self._destroy_forgotten()

    def _destroy_forgotten(self) -> None:
        """What is committed stands: keys that cannot be destroyed now go with the next ones, or at the next start."""
        try:
            destroy_forgotten(self._engine)
        except (OperationalError, OSError):
            log.exception("keys of what was erased or replaced are not destroyed yet")


class SqlWork:
    """Opens units of work on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        watch(self._sessions)

    def __call__(self, *, reading: bool = False) -> SqlUnitOfWork:
        """A unit of work."""
        return SqlUnitOfWork(self._engine, self._sessions, reading=reading)
