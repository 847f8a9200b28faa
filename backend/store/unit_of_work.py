"""Units of work: one database transaction with a repository for each aggregate, committed as a whole or not at all."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast

import structlog
from sqlalchemy import Engine, Table
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from backend.domain.errors import Contention, StorageUnavailable
from backend.domain.kinds import Kind
from backend.domain.records import RecordOnFile
from backend.store.crypto_shredding import destroy_forgotten, note_keys_made, watch
from backend.store.database import (
    BUSY_MILLISECONDS,
    AlreadyRecorded,
    Repository,
    alone_in_database,
    in_our_words,
    insert_rows,
    integrity_errors_as_conflict,
    reading_options,
    scrub,
)
from backend.store.encryption import keys_of
from backend.store.mapping import Row, bound_for, rows_of, unfollowed
from backend.store.repositories.batches import BatchRepository
from backend.store.repositories.consignments import ConsignmentRepository, DrawdownRepository
from backend.store.repositories.organisations import (
    CustomsOfficeRepository,
    FormDraftRepository,
    KeyRepository,
    OrganisationRepository,
    PersonRepository,
    SigningRequestRepository,
)
from backend.store.repositories.outbox import (
    AccreditationChangeRepository,
    LeaseRepository,
    LedgerRequestRepository,
    OutboxRepository,
    RevocationRepository,
    SimulationRepository,
)
from backend.store.repositories.records import (
    FileRepository,
    IdempotencyRepository,
    NomenclatureRepository,
    ProductRepository,
    RecordRepository,
    RequestRepository,
    RetentionRepository,
    SearchRepository,
    StatusChangeRepository,
)
from backend.store.tables import search_word

Result = TypeVar("Result")

log = structlog.get_logger()


class Repositories:
    """The repositories over one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.organisations = OrganisationRepository(session)
        self.customs_offices = CustomsOfficeRepository(session)
        self.persons = PersonRepository(session)
        self.form_drafts = FormDraftRepository(session)
        self.keys = KeyRepository(session)
        self.signing_requests = SigningRequestRepository(session)
        self.products = ProductRepository(session)
        self.nomenclature = NomenclatureRepository(session)
        self.records = RecordRepository(session)
        self.search = SearchRepository(session)
        self.files = FileRepository(session)
        self.requests = RequestRepository(session)
        self.idempotency = IdempotencyRepository(session)
        self.consignments = ConsignmentRepository(session)
        self.retention = RetentionRepository(session)
        self.drawdowns = DrawdownRepository(session)
        self.batches = BatchRepository(session)
        self.outbox = OutboxRepository(session)
        self.leases = LeaseRepository(session)
        self.status_changes = StatusChangeRepository(session)
        self.revocations = RevocationRepository(session)
        self.ledger_requests = LedgerRequestRepository(session)
        self.accreditation_changes = AccreditationChangeRepository(session)
        self.simulations = SimulationRepository(session)

    def add(self, entity: object) -> None:
        """Store a new entity; later queries in the same unit of work find it.

        Raises:
            Conflict: if it exists already.
        """
        self._session.add(entity)
        with integrity_errors_as_conflict(self._session):
            self._session.flush()
        if isinstance(entity, RecordOnFile):
            self.search.enter([entity])

    def unflushed(self) -> AbstractContextManager[object]:
        """Keep changes of entities from the database while it is asked what they would meet there."""
        return self._session.no_autoflush

    def rows_of(self, entity: object) -> list[Row]:
        """Return the rows of a new entity, encrypted, for ``add_rows`` in a later unit of work; stores nothing."""
        dialect = self._session.get_bind().dialect
        rows = list(rows_of(entity, dialect))
        if isinstance(entity, RecordOnFile):
            recorded_at = bound_for(search_word.c.recorded_at, dialect)(entity.recorded_at)
            rows += [(search_word, (mark, recorded_at, entity.id)) for mark in self.search.marks_of(entity)]
        return rows

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Store new rows, those of each table at once.

        Raises:
            Conflict: if one exists already. Then none of the unit of work is stored.
        """
        connection = self._session.connection()
        note_keys_made(connection, keys_of(connection.dialect))
        by_table: dict[Table, list[tuple[Any, ...]]] = {}
        for table, values in rows:
            by_table.setdefault(table, []).append(values)
        with integrity_errors_as_conflict(self._session):
            for table, several in by_table.items():
                insert_rows(connection, table, several)

    def new_record(self, **values: Any) -> RecordOnFile:
        """Make a record that is to be added."""
        return RecordOnFile(**values)

    def remove(self, entity: object) -> None:
        """Delete an entity."""
        self._session.delete(entity)


class UnitOfWork(Repositories):
    """One transaction on the database.

    Leaving its block without ``commit`` rolls back. It raises StorageFull or StorageUnavailable where the database
    could not be read or written.
    """

    def __init__(
        self,
        engine: Engine,
        sessions: sessionmaker[Session],
        *,
        reading: bool,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._reading = reading
        self._committed = committed

    def __enter__(self) -> Self:
        self._session = self._sessions()
        if self._reading:
            try:
                self._session.connection(execution_options=reading_options(self._engine))
            except SQLAlchemyError as error:
                self._session.close()
                raise in_our_words(error) or error from error
        super().__init__(self._session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session.close()
        finally:
            if (told := in_our_words(error)) is not None:
                raise told from error

    def commit(self) -> None:
        """Write everything to disk.

        Raises:
            Conflict: if another unit of work stored the same thing before.
        """
        assert not self._reading, "a reading unit of work has nothing to commit"
        with integrity_errors_as_conflict(self._session):
            self._session.commit()
        self._committed()
        # Only after the commit: a key destroyed before a rollback would take a value that is still needed.
        if self._session.info.pop("forgotten", False):
            self._destroy_forgotten()

    def _destroy_forgotten(self) -> None:
        """Destroy the recorded keys.

        The commit stands in any case, so a failure is left to the next commit or start.
        """
        try:
            destroy_forgotten(self._engine)
        except (OperationalError, OSError):
            log.exception("keys of what was erased or replaced are not destroyed yet")


class JoinedUnitOfWork(UnitOfWork):
    """A unit of work inside another one: it uses the same session and leaves the commit to the outer one."""

    def __init__(self, outer: UnitOfWork) -> None:
        Repositories.__init__(self, outer._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave rollback and errors to the outer unit of work."""

    def commit(self) -> None:
        """Leave the commit to the outer unit of work."""


class DraftingUnitOfWork(JoinedUnitOfWork):
    """Lets use cases that store something be prepared in a reading unit of work.

    What they would store is kept, to be stored together by a later unit of work, which must look again at whatever may
    have changed since. What many of them ask is asked once; whether a number or reference is taken, not at all: that
    is for the later one to find out.
    """

    def __init__(self, outer: UnitOfWork) -> None:
        super().__init__(outer)
        self._added: list[object] = []
        self._count = 0
        asked_often: list[tuple[Repository, tuple[str, ...]]] = [
            (self.organisations, ("get", "find_named")),
            (self.keys, ("active",)),
            (self.records, ("get",)),
            (self.customs_offices, ("find",)),
            (self.batches, ("oldest_unanchored",)),
        ]
        for repository, questions in asked_often:
            for question in questions:
                setattr(repository, question, cache(getattr(repository, question)))
        # Whoever stores it asks of all at once, and must ask in any case.
        for repository, question in ((self.records, "number_is_taken"), (self.consignments, "reference_is_taken")):
            setattr(repository, question, lambda *_: False)
        # Near the limit each record is counted: those of before once, and those that were added since.
        count = cache(self.batches.count_waiting)
        self.batches.count_waiting = lambda issuer=None: count(issuer) + self._count  # type: ignore[method-assign]

    def add(self, entity: object) -> None:
        """Keep an entity that is to be stored later."""
        self._added.append(entity)
        self._count += isinstance(entity, RecordOnFile)

    def new_record(self, **values: Any) -> RecordOnFile:
        """Make a record that no session follows, since only its rows are stored."""
        # A declaration's consignment refers to it by the mapper's means.
        is_referred_to = values["kind"] is Kind.DECLARATION
        return RecordOnFile(**values) if is_referred_to else unfollowed(RecordOnFile, **values)

    def taken(self) -> list[object]:
        """Return what was added since the last call."""
        added, self._added = self._added, []
        return added


class Work(Protocol):
    """Opens units of work."""

    commits_by_itself: bool
    """Whether what a unit of work commits is on disk at once, rather than with a larger one."""

    def __call__(self, *, reading: bool = False) -> UnitOfWork:
        """Open a unit of work; a ``reading`` one takes no write lock and must not commit."""

    def run(self, use_case: Callable[[], Result]) -> Result:
        """Run a use case, and again where the database ended its transaction for the sake of another one."""

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Keep every other holder of this name out where writing units of work do not exclude each other."""

    def scrub(self) -> None:
        """Remove erased values from the database's files."""

    def after_commit(self, step: Callable[[], object]) -> None:
        """Take a step that must not come before what was written so far is committed."""


class JoinedWork:
    """Opens units of work that all join an outer one, whose owner commits them together."""

    commits_by_itself = False

    def __init__(self, outer: UnitOfWork) -> None:
        self._outer = outer
        self.steps: list[Callable[[], object]] = []
        """What is left to the outer one's owner, to be done after the commit."""

    def __call__(self, *, reading: bool = False) -> UnitOfWork:
        """Open a unit of work inside the outer one."""
        return JoinedUnitOfWork(self._outer)

    def run(self, use_case: Callable[[], Result]) -> Result:
        """Run it once: where the transaction ends, all that is in it must run again, which its owner does."""
        return use_case()

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Keep others out, as without the outer unit of work."""
        return alone_in_database(cast(Engine, self._outer._session.get_bind()), name)

    def scrub(self) -> None:
        """Do nothing: nothing is erased before the outer commit."""

    def after_commit(self, step: Callable[[], object]) -> None:
        """Leave it to the outer one's owner."""
        self.steps.append(step)


class DeferredWork:
    """Opens units of work whose writing is one transaction, committed by whoever holds this.

    The transaction begins with the first unit that writes: what is read before, and whoever is asked meanwhile, locks
    nothing. ``begun`` is then called, before anything else is written. Nothing stands unless the holder commits.
    """

    commits_by_itself = False

    def __init__(self, work: Work, begun: Callable[[UnitOfWork], None]) -> None:
        self._work = work
        self._begun = begun
        self._outer: UnitOfWork | None = None
        self._is_committed = False
        self._steps: list[Callable[[], object]] = []
        self.has_written = False
        """Whether a unit of work has ended well: then those after it must not undo it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kind, error, trace)

    def __call__(self, *, reading: bool = False) -> UnitOfWork:
        """A unit of work: the transaction's, or one of its own that reads before there is a transaction."""
        if self._is_committed or (reading and self._outer is None):
            return self._work(reading=reading)
        if reading and self._outer is not None:
            return JoinedUnitOfWork(self._outer)  # it sees what is written so far, and undoes nothing
        return _DeferredUnitOfWork(self)

    def run(self, use_case: Callable[[], Result]) -> Result:
        """Run it once: where the transaction ends, all that is in it must run again, which its owner does."""
        return self._work.run(use_case) if self._is_committed else use_case()

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Keep others out, as without the transaction."""
        return self._work.alone(name)

    def scrub(self) -> None:
        """Once it is committed."""
        self.after_commit(self._work.scrub)

    def after_commit(self, step: Callable[[], object]) -> None:
        """Once it is committed."""
        if self._is_committed:
            step()
        else:
            self._steps.append(step)

    def session(self) -> Session:
        """The transaction's session, begun where there is none."""
        if self._outer is None:
            self._outer = self._work().__enter__()
            try:
                self._begun(self._outer)
            except BaseException as error:
                self.close(type(error), error, error.__traceback__)
                raise
        return self._outer._session

    def commit(self) -> None:
        """Commit all that was written, then take the steps that wait for it; raises Conflict."""
        assert self._outer is not None, "there is nothing to commit"
        self._outer.commit()
        self.close()
        self._is_committed = True
        for step in self._steps:
            step()

    def close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Let go of what is not committed; an error of the database is told in our words."""
        outer, self._outer, self.has_written = self._outer, None, False
        if outer is not None:
            outer.__exit__(kind, error, trace)


class _DeferredUnitOfWork(UnitOfWork):
    """A unit of work in the transaction of a DeferredWork; where it ends without a commit, it is undone alone."""

    def __init__(self, deferred: DeferredWork) -> None:
        self._deferred = deferred

    def __enter__(self) -> Self:
        Repositories.__init__(self, self._deferred.session())
        # The transaction itself is given up with its first unit, so that nothing stays locked between two attempts.
        self._savepoint = self._session.begin_nested() if self._deferred.has_written else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._deferred.has_written:
            self._deferred.close(kind, error, trace)
        elif self._savepoint is not None and self._savepoint.is_active:
            self._savepoint.rollback()

    def commit(self) -> None:
        """Write it into the transaction; raises Conflict where another unit of work was quicker."""
        with integrity_errors_as_conflict(self._session):
            self._session.flush()
            if self._savepoint is not None:
                self._savepoint.commit()
        self._deferred.has_written = True


RERUNS = 5
LONGEST_PAUSE_SECONDS = 0.05
"""Before the first rerun; it doubles with each, and a random part of it is waited, lest the same two meet again."""


class UnitOfWorkFactory:
    """Opens units of work on one engine."""

    commits_by_itself = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        self._thread = threading.local()
        self._queue = threading.Lock()
        watch(self._sessions)

    def __call__(self, *, reading: bool = False) -> UnitOfWork:
        """Open a unit of work."""
        return UnitOfWork(self.engine, self._sessions, reading=reading, committed=self._note_commit)

    def run(self, use_case: Callable[[], Result]) -> Result:
        """Run a use case, and up to ``RERUNS`` times again where its transaction met with contention.

        Raises:
            StorageUnavailable: It met with contention each time, or after a part of it was committed.
        """
        for rerun in range(RERUNS + 1):
            before = self._commits()
            try:
                with nullcontext() if rerun == 0 else self._turn():
                    return use_case()
            except Contention as contention:
                if self._commits() != before or rerun == RERUNS:
                    raise StorageUnavailable(contention.message, **contention.values) from contention
            except AlreadyRecorded:
                # Somebody was quicker since it looked: once more, and it finds that and says it in its own words.
                if self._commits() != before or rerun > 0:
                    raise
            time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS * 2**rerun))
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let those that run again do so one after the other, in all processes: at once they would meet again.

        A process waits in the database with one connection, lest those that wait leave none to the one that works.
        """
        if getattr(self._thread, "has_turn", False):
            yield
            return
        if not self._queue.acquire(timeout=BUSY_MILLISECONDS / 1000):
            raise StorageUnavailable("every connection to the database is in use")
        self._thread.has_turn = True
        try:
            with self.alone("rerun"):
                yield
        finally:
            self._thread.has_turn = False
            self._queue.release()

    def _commits(self) -> int:
        """Return how many units of work this thread has committed."""
        return int(getattr(self._thread, "commits", 0))

    def _note_commit(self) -> None:
        self._thread.commits = self._commits() + 1

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Keep every other holder of this name out; on SQLite writing units of work do so already."""
        return alone_in_database(self.engine, name)

    def scrub(self) -> None:
        """Empty the write-ahead log into the database, so that pages from before an erasure are gone."""
        scrub(self.engine)

    def after_commit(self, step: Callable[[], object]) -> None:
        """At once: each unit of work commits by itself."""
        step()


class Headroom:
    """Counts how many records may still be stored before the waiting ones must be counted again, which takes long.

    After a count, an eighth of the room that it found is used without another count. So the limit holds with up to
    eight processes on one database that do not know of each other.
    """

    def __init__(self) -> None:
        self._left = 0
        self._lock = threading.Lock()
        self._oldest: datetime | None = None
        self._looked_at: datetime | None = None

    def take(self) -> bool:
        """Take a place; False where the waiting records must be counted first."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def found(self, room: int) -> None:
        """Set how much room a count has found."""
        with self._lock:
            self._left = room // 8

    def oldest(self, now: datetime, longest: timedelta, look: Callable[[], datetime | None]) -> datetime | None:
        """Return since when the oldest record waits, or None; as it was found a hundredth of the longest wait ago.

        Once it has waited that long, it is looked for each second, so that intake opens soon.
        """
        with self._lock:
            looked_at, oldest = self._looked_at, self._oldest
        is_late = oldest is not None and now - oldest > longest
        pause = timedelta(seconds=1) if is_late else max(longest / 100, timedelta(seconds=1))
        if looked_at is not None and timedelta() <= now - looked_at < pause:
            return oldest
        oldest = look()
        with self._lock:
            self._looked_at, self._oldest = now, oldest
        return oldest
