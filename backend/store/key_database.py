"""The keys of texts in a PostgreSQL database of their own, for servers on several machines (KEYS_DATABASE_URL).

It is kept, copied and restored apart from the database of records: a restore of that one to a moment before an erasure
brings the text back, but not its key. A key is committed here before the text that it encrypts is committed there, and
destroyed here after the erasure is committed there (``crypto_shredding.py``, decision 0035).
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

from backend.domain.errors import StorageUnavailable
from backend.store.database import WrongDatabase, lock_number, open_plain
from backend.store.disk import sync
from backend.store.encryption import (
    KEY_BLOCK,
    KEY_LENGTH,
    KeyDestroyed,
    KeyMissing,
    KeyStore,
    file_of_keys,
    read_file_of_keys,
)

FRESH_SECONDS = 1.0
"""How long keys that were read count, unless this process destroys one: then another may have destroyed some."""
MOST_BLOCKS = 64
"""Blocks of keys that are remembered, of 1,024 keys each."""

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS text_key (
        number bigint PRIMARY KEY,
        key bytea CHECK (octet_length(key) = 32)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS key_state (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        secret bytea NOT NULL CHECK (octet_length(secret) = 32),
        made bigint NOT NULL DEFAULT 0,
        destroyed bigint NOT NULL DEFAULT 0
    )
    """,
)
"""Beside what a file of keys has in its heading. A destroyed key is NULL."""


class DatabaseKeys(KeyStore):
    """Implements KeyStore in PostgreSQL. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._blocks: OrderedDict[int, dict[int, bytes | None]] = OrderedDict()
        self._reading = threading.Lock()
        self._seen_destroyed, self._looked = -1, 0.0
        with self._asking() as connection:
            _alone(connection)
            for statement in _TABLES:
                connection.execute(text(statement))
            connection.execute(
                text("INSERT INTO key_state (secret) VALUES (:secret) ON CONFLICT DO NOTHING"),
                {"secret": os.urandom(32)},
            )
            secret = bytes(connection.execute(text("SELECT secret FROM key_state")).scalar_one())
        super().__init__(secret)

    @classmethod
    def opened_at(cls, url: str) -> "DatabaseKeys":
        """Open the keys in the database with this address, and make its tables where they are missing.

        Raises:
            WrongDatabase: if it cannot be reached or used, or its driver is not installed.
        """
        engine = open_plain(url)
        try:
            return cls(engine)
        except StorageUnavailable as error:
            engine.dispose()
            raise WrongDatabase(
                "the database that KEYS_DATABASE_URL names cannot be used, in its own words: “{why}”", why=str(error)
            ) from error

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        """Open a transaction, which is committed at the end."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, NoneFree) as error:
            why = str(error.orig).strip() if isinstance(error, DBAPIError) else str(error)
            raise StorageUnavailable("the database of keys does not answer: {why}", why=why) from error

    # ---- read

    def _read(self, number: int) -> bytes:
        key = self._known(number)
        if key is None:
            raise KeyDestroyed("its key was destroyed", key=number)
        return key

    def is_destroyed(self, number: int) -> bool:
        """Tell whether this key was destroyed, as of a second ago at most."""
        try:
            return self._known(number) is None
        except KeyMissing:
            return False

    def _known(self, number: int) -> bytes | None:
        """Return a key, None for a destroyed one.

        Keys are read a block at a time, because texts of one page were mostly made one after the other, and a question
        for each would cost a round trip for each.
        """
        with self._reading:
            self._look_for_destroyed()
            block = number // KEY_BLOCK
            if block not in self._blocks or number not in self._blocks[block]:
                self._blocks[block] = self._read_block(block)
                while len(self._blocks) > MOST_BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(block)
            if number not in self._blocks[block]:
                raise KeyMissing("the database of keys is older than what was sealed with it: restore its newest copy")
            return self._blocks[block][number]

    def _look_for_destroyed(self) -> None:
        if time.monotonic() - self._looked < FRESH_SECONDS:
            return
        destroyed, now = self.destroyed, time.monotonic()
        if destroyed != self._seen_destroyed:
            self._blocks.clear()
        self._seen_destroyed, self._looked = destroyed, now

    def _read_block(self, block: int) -> dict[int, bytes | None]:
        chosen = text("SELECT number, key FROM text_key WHERE number BETWEEN :first AND :last")
        with self._asking() as connection:
            rows = connection.execute(chosen, {"first": block * KEY_BLOCK, "last": (block + 1) * KEY_BLOCK - 1})
            return {number: None if key is None else bytes(key) for number, key in rows}

    # ---- make and destroy

    def _append(self, keys: bytes) -> int:
        with self._asking() as connection:
            made = text("UPDATE key_state SET made = made + :count RETURNING made")
            # The row's lock lets one process at a time number its keys.
            first = int(connection.execute(made, {"count": KEY_BLOCK}).scalar_one()) - KEY_BLOCK
            _insert(connection, first, [keys[n * KEY_LENGTH : (n + 1) * KEY_LENGTH] for n in range(KEY_BLOCK)])
        return first

    def destroy(self, numbers: Iterable[int]) -> int:
        """Destroy these keys, committed before this returns. Return how many still existed.

        Raises:
            StorageUnavailable: if the database does not answer.
        """
        wanted = sorted(set(numbers))
        ended = text("UPDATE text_key SET key = NULL WHERE number = ANY(:numbers) AND key IS NOT NULL")
        with self._asking() as connection:
            count = connection.execute(ended, {"numbers": wanted}).rowcount
            connection.execute(text("UPDATE key_state SET destroyed = destroyed + :count"), {"count": count})
        with self._reading:
            self._blocks.clear()
            self._looked = 0.0
        if count:
            self._vacuum()
        return count

    def _vacuum(self) -> None:
        """Free the space of destroyed keys, so that the next ones are written over them."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM text_key"))
        except DBAPIError:
            return  # they cannot be read through the database anyway, and it cleans up by itself

    @property
    def present(self) -> int:
        """The number of keys, destroyed ones included."""
        return self._state("made")

    @property
    def destroyed(self) -> int:
        """The number of keys that were ever destroyed."""
        return self._state("destroyed")

    def _state(self, column: str) -> int:
        with self._asking() as connection:
            return int(connection.execute(text(f"SELECT {column} FROM key_state")).scalar_one())

    # ---- from a file and to a file

    def take_over(self, path: Path) -> None:
        """Bring a file of keys into the database, in one transaction. What is destroyed in either is destroyed.

        It may be repeated: a run that was cut short, or a file that was restored from a copy.

        Raises:
            KeyMissing: if the database has other keys than the file.
            NotEncrypted: if it is no file of keys.
        """
        secret, destroyed, keys = read_file_of_keys(path)
        with self._asking() as connection:
            _alone(connection)
            here = connection.execute(text("SELECT secret, made, destroyed FROM key_state FOR UPDATE")).one()
            if not here.made:
                connection.execute(text("UPDATE key_state SET secret = :secret"), {"secret": secret})
            elif bytes(here.secret) != secret:
                raise KeyMissing(
                    "the database that KEYS_DATABASE_URL names has the keys of another installation than {path}",
                    path=path,
                )
            rows = connection.execute(text("SELECT number, key FROM text_key WHERE key IS NOT NULL"))
            stored = {number: bytes(key) for number, key in rows}
            known = {number: key for number, key in enumerate(keys) if key is not None and number in stored}
            if any(stored[number] != key for number, key in known.items()):
                raise KeyMissing(
                    "the database that KEYS_DATABASE_URL names and {path} have each made keys since they were one",
                    path=path,
                )
            ended = [number for number in stored if number < len(keys) and keys[number] is None]
            connection.execute(text("UPDATE text_key SET key = NULL WHERE number = ANY(:numbers)"), {"numbers": ended})
            _insert(connection, here.made, keys[here.made :])
            count = max(destroyed, here.destroyed + len(ended))
            connection.execute(
                text("UPDATE key_state SET made = greatest(made, :made), destroyed = :destroyed"),
                {"made": len(keys), "destroyed": count},
            )
        self._secret = secret
        with self._reading:
            self._blocks.clear()
            self._looked = 0.0

    def write_file(self, path: Path) -> None:
        """Write all keys into a new file of keys, synced, with mode 600: a copy of the database at one moment.

        Raises:
            OSError: if it cannot be written.
        """
        with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            state = connection.execute(text("SELECT secret, made, destroyed FROM key_state")).one()
            rows = connection.execute(text("SELECT key FROM text_key ORDER BY number"))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines(file_of_keys(bytes(state.secret), state.destroyed, (row.key for row in rows)))
                file.flush()
                os.fsync(file.fileno())
        sync(path.parent)


def _alone(connection: Connection) -> None:
    """Keep other processes out that make tables or bring keys, until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock_number("keys")})


def _insert(connection: Connection, first: int, keys: list[bytes] | list[bytes | None]) -> None:
    rows: list[dict[str, Any]] = [{"number": first + n, "key": key} for n, key in enumerate(keys)]
    if rows:
        connection.execute(text("INSERT INTO text_key (number, key) VALUES (:number, :key)"), rows)
