"""What the embedded chain holds: its blocks in SQLite, and in memory the transactions that wait for one.

Each block is one disk transaction, so a crash leaves whole blocks only. Pending transactions are lost with the process:
their senders keep the bytes and send them again after a restart.
"""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from eth.abc import AtomicWriteBatchAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB
from eth.db.schema import SchemaV1
from eth_tester import PyEVMBackend
from eth_typing import Address
from eth_utils.address import to_canonical_address


class CommittedStore(BaseAtomicDB):
    """Reads what is committed on disk: readers see no partly written block and never wait for mining."""

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
        """Group writes, as py-evm requires. They still reach the disk only with their block."""
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:
            yield batch

    def close(self) -> None:
        """Close the database connection."""
        with self._guard:
            self._connection.close()

    def _read(self, key: bytes) -> bytes | None:
        with self._guard:
            row = self._connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])


class BlockStore(CommittedStore):
    """The miner's store: changes stay in memory until ``commit`` writes all of them or ``discard`` drops them."""

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
        # None marks a deletion, so that a read before the commit does not find the old value on disk.
        self._waiting[key] = None

    def commit(self) -> None:
        """Write all pending changes in one transaction.

        Raises:
            sqlite3.Error: if the disk refuses, in which case nothing is written and the changes stay pending.
        """
        kept = [(key, value) for key, value in self._waiting.items() if value is not None]
        removed = [(key,) for key, value in self._waiting.items() if value is None]
        with self._guard:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", kept)
                self._connection.executemany("DELETE FROM entries WHERE key = ?", removed)
                self._connection.execute("COMMIT")
            except BaseException:
                # After some errors, such as a full disk, SQLite has rolled back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        # The next block begins with the nodes that this one wrote.
        self._newest = dict(kept)
        self._waiting = {}

    def discard(self) -> None:
        """Drop all pending changes."""
        self._waiting = {}

    def _read(self, key: bytes) -> bytes | None:
        if key in self._waiting:
            return self._waiting[key]
        return self._newest[key] if key in self._newest else super()._read(key)


BLOCK_GAS_LIMIT = 300_000_000
"""Enough for thousands of anchors in a block, so that the base fee falls to its minimum and stays there."""

BALANCE = 10**30
"""Wei for each funded account, more than our transactions can ever use."""


def ensure_genesis(store: BlockStore, funded: Iterable[str], timestamp: int) -> type[MiningChain]:
    """Write the genesis block into an empty store, and return the chain class to open it with.

    ``funded`` and ``timestamp`` (seconds since 1970) are used only for an empty store. eth-tester's own accounts are
    never funded, because anybody can compute their keys.
    """
    chain = _in_memory(funded, timestamp)
    if SchemaV1.make_canonical_head_hash_lookup_key() not in store:
        for key, value in chain.chaindb.db.wrapped_db.kv_store.items():  # type: ignore[attr-defined]
            store[key] = value
        store.commit()
    return type(chain)


def _in_memory(funded: Iterable[str], timestamp: int) -> MiningChain:
    state = {
        to_canonical_address(address): {"balance": BALANCE, "nonce": 0, "code": b"", "storage": {}}
        for address in funded
    }
    parameters = PyEVMBackend.generate_genesis_params(
        # Random, so that two chains of the same accounts and the same second can be told apart.
        {"gas_limit": BLOCK_GAS_LIMIT, "timestamp": timestamp, "extra_data": secrets.token_bytes(32)}
    )
    backend = PyEVMBackend(genesis_parameters=parameters, genesis_state=state)
    return cast(MiningChain, backend.chain)


@dataclass(frozen=True)
class Waiting:
    """A transaction in the pool; ``arrival`` counts up, so that transactions are served in the order of arrival."""

    transaction: SignedTransactionAPI
    sender: Address
    arrival: int


class Pool:
    """Pending transactions by sender and nonce. It is not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._by_sender: dict[Address, dict[int, Waiting]] = {}
        self._hashes: set[bytes] = set()
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._hashes

    def holds_nonce(self, sender: Address, nonce: int) -> bool:
        """Whether a transaction of this sender already waits with this nonce."""
        return nonce in self._by_sender.get(sender, {})

    def add(self, transaction: SignedTransactionAPI, sender: Address) -> None:
        """Add a transaction."""
        self._arrivals += 1
        self._by_sender.setdefault(sender, {})[transaction.nonce] = Waiting(transaction, sender, self._arrivals)
        self._hashes.add(transaction.hash)

    def remove(self, gone: Iterable[Waiting]) -> None:
        """Remove transactions that were mined or dropped."""
        for waiting in gone:
            self._hashes.discard(waiting.transaction.hash)
            queue = self._by_sender.get(waiting.sender, {})
            queue.pop(waiting.transaction.nonce, None)
            if not queue:
                self._by_sender.pop(waiting.sender, None)

    def overtaken(self, nonce_of: Callable[[Address], int]) -> list[Waiting]:
        """Return transactions whose nonce is below the account's: they can never be mined."""
        return [
            waiting
            for sender, queue in self._by_sender.items()
            for nonce, waiting in queue.items()
            if nonce < nonce_of(sender)
        ]

    def next_block(self, nonce_of: Callable[[Address], int], gas_limit: int) -> list[Waiting]:
        """Choose what fits into a block: for each sender its nonces without a gap, and by arrival among senders."""
        next_nonce = {sender: nonce_of(sender) for sender in self._by_sender}
        chosen: list[Waiting] = []
        while candidates := self._candidates(next_nonce):
            first = min(candidates, key=lambda waiting: waiting.arrival)
            gas_limit -= first.transaction.gas
            # Stop rather than try smaller ones: a large transaction must not wait for ever behind later, smaller ones.
            if gas_limit < 0:
                break
            # A sender's next nonce becomes a candidate only now: a block must hold its nonces in order and without a
            # gap.
            chosen.append(first)
            next_nonce[first.sender] += 1
        return chosen

    def _candidates(self, next_nonce: dict[Address, int]) -> list[Waiting]:
        return [
            self._by_sender[sender][nonce] for sender, nonce in next_nonce.items() if nonce in self._by_sender[sender]
        ]
