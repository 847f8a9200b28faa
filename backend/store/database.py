"""Opens the database (SQLite or PostgreSQL), upgrades its tables, and copies an SQLite one while it is in use."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    Table,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from backend.domain.errors import (
    Conflict,
    Contention,
    Invalid,
    LaterChange,
    NotFound,
    StaleVersion,
    StorageFull,
    StorageUnavailable,
    TraceabilityError,
)
from backend.store.disk import sync
from backend.store.encryption import KeyStore, let_find
from backend.store.mapping import columns_of, map_the_domain

# SQLite before 3.32 takes 999 values at most.
AT_ONCE = 500
"""Ids in one statement: databases bound how many values one may have."""
BUSY_MILLISECONDS = 15_000
CONNECTIONS, MORE_CONNECTIONS = 12, 12
"""Kept open to PostgreSQL by each process, and opened beyond that for a moment. A thread needs two at most."""


class ForeignDatabase(TraceabilityError):
    """Raised when the database was written by a version of Provenport that this one cannot read."""

    code = "foreign-database"


class AlreadyRecorded(Conflict):
    """Raised when PostgreSQL refuses a duplicate: another unit of work may have stored it since this one looked."""


class WrongDatabase(TraceabilityError):
    """Raised when a database cannot be used as it is."""

    code = "wrong-database"


def open_engine(url: str, keys: KeyStore) -> Engine:
    """Open an engine that encrypts with these keys. SQLite uses write-ahead logging, full sync, and queued writers.

    Raises:
        WrongDatabase: if the driver for PostgreSQL is not installed.
    """
    map_the_domain()
    address = make_url(url)
    engine = create_engine(url) if address.get_backend_name() == "sqlite" else _open_postgresql(address)
    let_find(engine.dialect, keys)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        _WriteQueue().listen(engine)
    return engine


def open_plain(url: str) -> Engine:
    """Open an engine on another PostgreSQL database, whose transactions are READ COMMITTED and rest on row locks.

    Raises:
        WrongDatabase: if its driver is not installed.
    """
    return _open_postgresql(make_url(url)).execution_options(isolation_level="READ COMMITTED")


def _open_postgresql(address: URL) -> Engine:
    given = {
        "application_name": f"provenport {os.getpid()}",
        "connect_timeout": "5",
        # A serializable unit that reads a small table from end to end conflicts with each that writes a row of it; by
        # an index it conflicts only over what it looked for.
        "options": f"-c timezone=UTC -c lock_timeout={BUSY_MILLISECONDS} -c enable_seqscan=off",
    }
    try:
        return create_engine(
            address.set(drivername="postgresql+psycopg", query=given | dict(address.query)),
            # Units of work rest on this: what two of them did is always what one after the other would have done.
            isolation_level="SERIALIZABLE",
            pool_pre_ping=True,  # the database may have been restarted since
            pool_size=CONNECTIONS,
            max_overflow=MORE_CONNECTIONS,
            pool_timeout=BUSY_MILLISECONDS / 1000,
        )
    except ModuleNotFoundError as error:
        raise WrongDatabase(
            "DATABASE_URL names PostgreSQL, whose driver is not installed here: install provenport[postgres]"
        ) from error


@contextmanager
def usable(engine: Engine) -> Iterator[None]:
    """Tell in our words where a database cannot be reached or used at the start.

    Raises:
        WrongDatabase: if PostgreSQL cannot be reached, refuses, or does not store text as UTF-8.
    """
    if engine.dialect.name == "sqlite":
        yield
        return
    try:
        with engine.connect() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise WrongDatabase(
                "the database that DATABASE_URL names stores text as {encoding}: make it with ENCODING 'UTF8'",
                encoding=encoding,
            )
        yield
    except DBAPIError as error:
        raise WrongDatabase(
            "the database that DATABASE_URL names cannot be used, in its own words: “{why}”",
            why=str(error.orig).strip(),
        ) from error


def reading_options(engine: Engine) -> dict[str, Any]:
    """Return the options of a transaction that only reads, from one state of the database."""
    if engine.dialect.name == "sqlite":
        return {"reading": True}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


@contextmanager
def alone_in_database(engine: Engine, name: str) -> Iterator[None]:
    """Keep every other holder of this name out, in any process on the same PostgreSQL database; they wait.

    On SQLite it does nothing: units of work that write exclude each other there.

    Raises:
        StorageUnavailable: if the database does not answer, or somebody holds the name for longer than
            ``BUSY_MILLISECONDS``.
    """
    if engine.dialect.name == "sqlite":
        yield
        return
    try:
        # Not inside a transaction: its snapshot would be taken before the wait, and show what was before.
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except DBAPIError as error:
        raise in_our_words(error) or error from error
    with connection:
        try:
            connection.execute(select(func.pg_advisory_lock(lock_number(name))))
        except DBAPIError as error:
            raise in_our_words(error) or error from error
        try:
            yield
        finally:
            # A connection that broke has given the lock up by itself.
            with suppress(DBAPIError):
                connection.execute(select(func.pg_advisory_unlock(lock_number(name))))


def lock_number(name: str) -> int:
    """Return the number of an advisory lock: 64 bits with a sign."""
    return int.from_bytes(sha256(f"provenport {name}".encode()).digest()[:8], "big", signed=True)


_AGAIN = {"40001", "40P01"}  # serialization_failure, deadlock_detected
_FULL = {"53100"}  # disk_full


def in_our_words(error: BaseException | None) -> TraceabilityError | None:
    """Turn a fault of the database into an error of ours; None where it is none, but a fault of the program.

    Whatever it is, nothing of the transaction is stored.
    """
    if isinstance(error, NoneFree):
        return StorageUnavailable("every connection to the database is in use")
    if isinstance(error, IntegrityError):
        # On SQLite nobody else writes meanwhile: there it would be refused a second time too.
        if getattr(error.orig, "sqlstate", None) == "23505":
            return AlreadyRecorded("this was recorded already", fact=str(error.orig))
        return Conflict("this was recorded already", fact=str(error.orig))
    if isinstance(error, StatementError) and isinstance(error.orig, StorageUnavailable):
        return error.orig  # no key could be made for a text of it
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error, DataError) and "NUL" in str(error.orig):
        return Invalid("no text may hold the character U+0000, which the database cannot keep")
    state, why = getattr(error.orig, "sqlstate", None), str(error.orig)
    if state in _AGAIN:
        return Contention("others changed the same things at the same moment")
    if state in _FULL or (isinstance(error, OperationalError) and state is None and "full" in why):
        return StorageFull("no room is left on the disk that holds the database")
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return StorageUnavailable("the database could not be written or read: {why}", why=why)
    return None


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


class _WriteQueue:
    """Lets one transaction at a time write to an SQLite file, among those of one process.

    SQLite has them wait as well, but by sleeping, for up to 100 ms each time, while nobody writes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: Any = None

    def listen(self, engine: Engine) -> None:
        """Queue the writers of an engine."""
        event.listen(engine, "begin", self._begin)
        # Only a connection that is given back has certainly committed or rolled back, or was closed.
        event.listen(engine, "checkin", self._end)
        event.listen(engine, "close", self._end)

    def _begin(self, connection: Any) -> None:
        if connection.get_execution_options().get("reading", False):
            connection.exec_driver_sql("BEGIN")
            return
        own = connection.connection.dbapi_connection
        if self._holder is not own:
            if not self._lock.acquire(timeout=BUSY_MILLISECONDS / 1000):
                raise StorageUnavailable("the database could not be written or read: {why}", why="database is locked")
            self._holder = own
        # A transaction that starts to write after reading fails with "database is locked" if another has written
        # since. Therefore writers take the lock at the start and wait for it, up to the busy timeout: other processes
        # may write too.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _end(self, connection: Any, _: Any = None) -> None:
        if connection is not None and self._holder is connection:
            self._holder = None
            self._lock.release()


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
    present, newest = revisions(engine)
    if present == newest:
        return False
    if present is not None and present not in {script.revision for script in _scripts().walk_revisions()}:
        raise ForeignDatabase(
            "the database is at revision {present}, which this version does not know", present=present
        )
    first()
    # One transaction for all steps: SQLite's schema changes are transactional, so an interrupted upgrade changes
    # nothing.
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return True


def revisions(engine: Engine) -> tuple[str | None, str]:
    """Return the revision of the existing tables, None where there are none, and the newest known one."""
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
    return present, str(_scripts().get_current_head())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def _scripts() -> ScriptDirectory:
    # Reading it imports every migration, and each opening of an installation asks it several times.
    return ScriptDirectory.from_config(_config())


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
        raise in_our_words(error) or error from error


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values are as the driver takes them, in the order of ``columns_of``.

    Raises:
        DBAPIError: as the database refuses them; none of the transaction may be committed then.
    """
    dialect, names = connection.dialect, [column.name for column in columns_of(table)]
    if dialect.name != "postgresql":
        connection.exec_driver_sql(str(insert(table).compile(dialect=dialect, column_keys=names)), list(rows))
        return
    quoted = ", ".join(map(dialect.identifier_preparer.quote, names))
    named = f"{dialect.identifier_preparer.format_table(table)} ({quoted})"
    try:
        # A statement for each row costs PostgreSQL twice as much of the processor's time.
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(f"COPY {named} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except dialect.loaded_dbapi.Error as error:
        raised = DBAPIError.instance(named, None, error, dialect.loaded_dbapi.Error, dialect=dialect)
        raise raised from error


def in_portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the ids, as many at a time as one statement takes."""
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


class Repository:
    """Base class: finds and stores one kind of entity within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        return self._session.scalars(query).unique().all()

    def _count(self, query: Select[Any], most: int) -> int:
        """Count what a query finds, up to ``most``: no more is read."""
        return self._session.scalar(select(func.count()).select_from(query.limit(most).subquery())) or 0

    def _hold(self, name: str) -> None:
        """Keep others out who hold this name, until the transaction ends; see ``alone_in_database``."""
        connection = self._session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(lock_number(name))))

    def _one(self, query: Select[Any], kind: type[Entity]) -> Entity | None:
        found = self._session.scalars(query.limit(1)).unique().first()
        assert found is None or isinstance(found, kind)
        return found

    def _get(self, kind: type[Entity], key: str, absent: str) -> Entity:
        # Looked up here first, since lists ask for each paper several times, and the session's own way takes long.
        entity: Entity | None = self._session.identity_map.get((kind, (key,), None))
        if entity is None or instance_state(entity).expired:
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
