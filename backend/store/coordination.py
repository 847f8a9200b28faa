"""How the processes on one PostgreSQL database find one another: one of them leads, and all are told of news at once.

An advisory lock ends with the connection that holds it: who is killed leads no more, without a term to wait for.
SQLite has neither; there the lease's row and the pauses of the workers do (services/anchoring/pipeline.py).
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import structlog
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

from backend.store.database import lock_number

if TYPE_CHECKING:  # the driver is an extra
    import psycopg

CHANNEL = "provenport"
ANCHORING, SIMULATING = "anchoring", "simulating"
"""Topics: there is something to take to the ledger, or a simulation to run."""
LISTEN_SECONDS = 1.0
"""How long the listener waits for news before it looks whether it is to stop."""
RECONNECT_SECONDS = 2.0

log = structlog.get_logger()


class AdvisoryLeadership:
    """Leads while its own connection holds the lock of this name."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._held: Connection | None = None
        self._is_waiting = False

    def acquire(self) -> bool:
        """Take the lead, or find that it is still held. False while another process has it, or the database is away."""
        try:
            if self._held is not None:
                self._held.execute(select(1))
                return True
            return self._take()
        except (DBAPIError, NoneFree):
            self._drop()
            return False

    def release(self) -> None:
        """Give the lead up, so that another process can go on at once."""
        if self._held is not None:
            with suppress(DBAPIError):
                self._held.execute(select(func.pg_advisory_unlock(lock_number(self._name))))
            self._drop()

    def _take(self) -> bool:
        # Committed at once: a transaction left open would hold back the database's cleaning up.
        connection = self._held = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        is_ours = connection.execute(select(func.pg_try_advisory_lock(lock_number(self._name)))).scalar_one()
        if not is_ours:
            self._held = None
            connection.close()
        if is_ours or not self._is_waiting:
            log.info("this process leads" if is_ours else "another process leads; this one waits", of=self._name)
        self._is_waiting = not is_ours
        return bool(is_ours)

    def _drop(self) -> None:
        connection, self._held = self._held, None
        if connection is not None:
            with suppress(DBAPIError):
                # Not handed back to the pool: with the lock still held on it, nobody could lead.
                connection.invalidate()
            connection.close()


def notify(engine: Engine, topic: str) -> None:
    """Tell every process that listens. Where the database is away, nobody is told: they look by themselves too."""
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(select(func.pg_notify(CHANNEL, topic)))
    except (DBAPIError, NoneFree) as error:
        log.debug("nobody could be told", topic=topic, error=str(error))


class Listener:
    """A thread that calls the function of a topic whenever some process tells of it."""

    def __init__(self, engine: Engine, heard: Mapping[str, Callable[[], None]]) -> None:
        self._engine, self._heard = engine, dict(heard)
        self._stopping = threading.Event()
        self._is_deaf = False
        self._thread = threading.Thread(target=self._run, name="listening", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it, within a second or so."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:
                # Where the database is away, psycopg's own faults come too: the next connection tries again.
                if not self._is_deaf:
                    log.warning("news of other processes cannot be heard", error=str(error))
                self._is_deaf = True
                self._stopping.wait(RECONNECT_SECONDS)

    def _listen(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Not one of the pool's: it is never handed back.
            connection.detach()
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            self._is_deaf = False
            for call in self._heard.values():
                call()  # what was told while nobody listened
            driver = cast("psycopg.Connection", connection.connection.dbapi_connection)
            while not self._stopping.is_set():
                for notice in driver.notifies(timeout=LISTEN_SECONDS):
                    if notice.payload in self._heard:
                        self._heard[notice.payload]()
                    if self._stopping.is_set():
                        return
