"""Opens the database, upgrades its tables, and copies it while it is in use."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Select, Table, create_engine, event, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from backend.domain.errors import Conflict, LaterChange, NotFound, StaleVersion, TraceabilityError
from backend.store.disk import sync
from backend.store.encryption import DataKeys, let_find
from backend.store.mapping import map_the_domain

BUSY_MILLISECONDS = 15_000


class ForeignDatabase(TraceabilityError):
    """Raised when the database was written by a version of Provenport that this one cannot read."""

    code = "foreign-database"


def open_engine(url: str, keys: DataKeys) -> Engine:
    """Open an engine that encrypts with these keys. SQLite uses write-ahead logging, full sync, and queued writers."""
    map_the_domain()
    engine = create_engine(url)
    let_find(engine.dialect, keys)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's sqlite3 would otherwise begin transactions only before a change, so that reads before it are not in them.
    connection.isolation_level = None  # we say BEGIN ourselves, below
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        # Freed pages are overwritten: they hold what was erased.
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    # A transaction that starts to write after reading fails with "database is locked" if another has written since.
    # Therefore writers take the lock at the start and wait for it, up to the busy timeout.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def scrub(engine: Engine) -> None:
    """Remove erased values from the write-ahead log, and delete the copies that were made before upgrades."""
    if engine.dialect.name == "sqlite":
        database = Path(engine.url.database or "")
        for copy in database.parent.glob(copy_before(database, "*").name):
            copy.unlink(missing_ok=True)
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def upgrade(engine: Engine, to: str = "head", first: Callable[[], object] = lambda: None) -> bool:
    """Upgrade the tables to this version, and return whether they were of an earlier one.

    ``first`` runs before the upgrade. It is repeated after a crash, because only the tables' revision tells that all of
    it was done.

    Raises:
        ForeignDatabase: if the tables are of a later version.
    """
    config, scripts = _scripts()
    present = revisions(engine)[0]
    if present == scripts.get_current_head():
        return False
    if present is not None and present not in {script.revision for script in scripts.walk_revisions()}:
        raise ForeignDatabase(
            "the database is at revision {present}, which this version does not know", present=present
        )
    first()
    # One transaction for all steps: SQLite's schema changes are transactional, so an interrupted upgrade changes
    # nothing.
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return True


def revisions(engine: Engine) -> tuple[str | None, str]:
    """Return the revision of the existing tables, None where there are none, and the newest known one."""
    _config, scripts = _scripts()
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
    return present, str(scripts.get_current_head())


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config, ScriptDirectory.from_config(config)


def copy_before(database: Path, revision: str) -> Path:
    """Return the path of the copy that is made before the tables are upgraded from a revision."""
    return database.with_name(f"{database.name}.before-{revision}")


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database that may be in use, atomically and with mode 600.

    Raises:
        OSError: if the copy cannot be written.
        sqlite3.Error: if the copy is damaged.
    """
    unfinished = target.with_name(target.name + ".new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as present,
            closing(sqlite3.connect(unfinished)) as copied,
        ):
            # SQLite's online backup: copying the file would miss what is still in the write-ahead log.
            present.backup(copied)
        check_database(unfinished)
        sync(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    sync(target.parent)


def check_database(path: Path) -> None:
    """Check an SQLite file's integrity.

    Raises:
        sqlite3.DatabaseError: if it is damaged or empty.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        (whole,) = database.execute("PRAGMA integrity_check").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if whole != "ok" or not tables:
        raise sqlite3.DatabaseError(f"{path.name} is damaged: {whole if tables else 'it is empty'}")


Entity = TypeVar("Entity")


@contextmanager
def integrity_errors_as_conflict(session: Session) -> Iterator[None]:
    """Roll back and raise Conflict where the database refuses a duplicate or a missing reference."""
    try:
        yield
    except IntegrityError as error:
        session.rollback()
        raise Conflict("this was recorded already", fact=str(error.orig)) from error


class Repository:
    """Base class: finds and stores one kind of entity within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        return self._session.scalars(query).unique().all()

    def _one(self, query: Select[Any], kind: type[Entity]) -> Entity | None:
        found = self._session.scalars(query.limit(1)).unique().first()
        assert found is None or isinstance(found, kind)
        return found

    def _get(self, kind: type[Entity], key: str, absent: str) -> Entity:
        entity = self._session.get(kind, key)
        if entity is None:
            raise NotFound(absent, id=key)
        return entity

    def _next_version(
        self, table: Table, entity: Any, read: int | None, since: Callable[[int], Sequence[LaterChange]]
    ) -> None:
        """Take the next version of a row; whoever else rests on the same one is refused from now on.

        The comparison stands in the UPDATE itself, so that it holds between processes and on any database: the second
        one waits for the first one's commit, and then finds no row of that version.

        Args:
            table: Where the entity lies; it has the columns ``id`` and ``version``.
            entity: What is about to be changed.
            read: The version that the change rests on; None where it rests on nothing but this unit of work.
            since: What happened to the entity since a version, asked only where it has moved on.

        Raises:
            StaleVersion: It has another version than the one that was read.
            Conflict: Nobody said what was read, and another unit of work was quicker.
        """
        wanted = entity.version if read is None else read
        taken = update(table).where(table.c.id == entity.id, table.c.version == wanted).values(version=wanted + 1)
        with self._session.no_autoflush:
            if wanted == entity.version and self._session.connection().execute(taken).rowcount == 1:
                set_committed_value(entity, "version", wanted + 1)
                return
            self._session.refresh(entity)
            if read is None:
                raise Conflict("this was changed at the same moment: read it again")
            raise StaleVersion(entity.version, since(read))
