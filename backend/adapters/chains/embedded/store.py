"""The chain's key-value store in SQLite: one disk transaction for each block, so a crash leaves whole blocks only."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eth.abc import AtomicWriteBatchAPI
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB


class CommittedStore(BaseAtomicDB):
    """What is on disk, for readers: they never see a block half written and never wait for one to be mined."""

    def __init__(self, path: Path) -> None:
        self._guard = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA busy_timeout=5000")

    def __getitem__(self, key: bytes) -> bytes:
        value = self._read(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError("readers do not write")

    def __delitem__(self, key: bytes) -> None:
        raise TypeError("readers do not write")

    def _exists(self, key: bytes) -> bool:
        return self._read(key) is not None

    @contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        """Group writes, as py-evm asks; they still reach the disk only with their block."""
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:
            yield batch

    def close(self) -> None:
        """Let go of the file."""
        with self._guard:
            self._connection.close()

    def _read(self, key: bytes) -> bytes | None:
        with self._guard:
            row = self._connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])


class BlockStore(CommittedStore):
    """The one writer's store: changes wait in memory until ``commit`` writes them all, and ``discard`` forgets them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._waiting: dict[bytes, bytes | None] = {}
        self._newest: dict[bytes, bytes] = {}
        # FULL: a block that was reported must survive a power cut, not only the end of this process.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
        )

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._waiting[key] = value

    def __delitem__(self, key: bytes) -> None:
        if not self._exists(key):
            raise KeyError(key)
        self._waiting[key] = None

    def commit(self) -> None:
        """Write everything that waits, all or nothing."""
        kept = [(key, value) for key, value in self._waiting.items() if value is not None]
        removed = [(key,) for key, value in self._waiting.items() if value is None]
        with self._guard:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", kept)
                self._connection.executemany("DELETE FROM entries WHERE key = ?", removed)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        # The next block begins with the nodes that this one wrote.
        self._newest = dict(kept)
        self._waiting = {}

    def discard(self) -> None:
        """Forget everything that waits."""
        self._waiting = {}

    def _read(self, key: bytes) -> bytes | None:
        if key in self._waiting:
            return self._waiting[key]
        return self._newest[key] if key in self._newest else super()._read(key)
