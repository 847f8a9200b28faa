"""The embedded chain: one thread mines, other threads read, and one process at a time holds the file.

py-evm is not thread-safe, so its objects are not shared: the miner thread owns its own chain and store, and readers use
a second pair that shows what is committed on disk. Only the pool and the newest block are shared, under a lock.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.db.schema import SchemaV1
from eth.exceptions import HeaderNotFound, PyEVMError, Revert, TransactionNotFound
from eth.vm.spoof import SpoofTransaction
from eth_bloom.bloom import BloomFilter
from eth_keys.exceptions import BadSignature
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.exceptions import ValidationError
from filelock import FileLock, Timeout

from backend.adapters.chains.embedded.store import (
    BLOCK_GAS_LIMIT,
    BlockStore,
    CommittedStore,
    Pool,
    Waiting,
    ensure_genesis,
)
from backend.adapters.ledger.chain import (
    Block,
    CallReverted,
    ChainReceipt,
    ChainUnavailable,
    FoundLog,
    Log,
    Price,
    TransactionRejected,
)
from backend.domain.errors import Message, TraceabilityError, message_of

log = logging.getLogger(__name__)

LINGER_SECONDS = 0.05
"""How long mining waits for more transactions after a pause, so that a burst shares its first block."""

IDLE_SECONDS = 3600
"""Age of the newest block at which an idle chain mines an empty one.

It shows readers that the chain is running, and keeps verifiers from treating it as stale.
"""

IDLE_LOOK_SECONDS = 60.0

POOL_LIMIT = 10_000
TIP = 10**9
CALL_GAS = 20_000_000
CALL_SENDER = Address(b"\0" * 20)
CLOCK_WARNING_SECONDS = 5

_REVERT_PREFIX = b"provenport:revert:"
_UNREADABLE_FILE = (
    sqlite3.DatabaseError,
    HeaderNotFound,
    PyEVMError,
    rlp.exceptions.RLPException,
    KeyError,
    TypeError,
    ValueError,
)
_UNREADABLE = (ValidationError, PyEVMError, rlp.exceptions.RLPException, BadSignature, TypeError, ValueError)


class ChainInUse(Exception):
    """Raised when another process holds the chain's file; ``holder`` is its process id, None if unknown."""

    def __init__(self, path: Path, holder: int | None) -> None:
        self.path = path
        self.holder = holder
        super().__init__(
            Message(
                "{path} is in use by process {holder}: only one may open it at a time", path=path, holder=holder or "?"
            )
        )


class ChainDamaged(TraceabilityError):
    """Raised when the chain's file cannot be read."""

    code = "chain-damaged"


class EmbeddedChain:
    """An EVM chain (Prague rules) in one SQLite file; implements ``backend.adapters.ledger.chain.Chain``.

    ``funded`` lists the accounts that own the chain's money; it is used only when the file is new. By their timestamps
    blocks are at least one second apart and never ahead of ``clock``. With ``in_real_time`` false, which is for tests,
    blocks are mined at once and the chain's own time runs ahead. In real time an empty block is mined when the newest
    one is ``idle_seconds`` old.

    Raises:
        ChainInUse: if another process holds the file.
        ChainDamaged: if the file cannot be read.
    """

    _chain: MiningChain

    def __init__(
        self,
        path: Path,
        funded: Iterable[str] = (),
        *,
        in_real_time: bool = True,
        clock: Callable[[], float] = time.time,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._path = path
        self._in_real_time = in_real_time
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._file_lock = _hold(path)
        self._nonces_head = b""
        self._nonces: dict[Address, int] = {}
        self._head: Block | None = None
        self._open_stores(funded)
        self._pool = Pool()
        self._shared = threading.Condition()
        self._has_news = False
        self._closing = threading.Event()
        self._miner = threading.Thread(target=self._run, name="embedded-chain", daemon=True)
        self._miner.start()

    def __enter__(self) -> "EmbeddedChain":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the current block, drop pending transactions and release the file. It may be called again."""
        with self._shared:
            if self._closing.is_set():
                return
            self._closing.set()
            self._shared.notify_all()
        # The miner uses the store and the lock that are closed below.
        self._miner.join()
        if len(self._pool):
            log.warning(
                "closing with %d transactions that were not mined; their senders must send again", len(self._pool)
            )
        with self._reading:
            self._committed.close()
        self._store.close()
        self._file_lock.release()

    def chain_id(self) -> int:
        """Return the chain id, which signatures are bound to (EIP-155)."""
        return self._chain_class.chain_id

    def head(self) -> Block:
        """Return the newest block on disk.

        The decoded block is cached by its hash, because every answer begins with it.

        Raises:
            ChainUnavailable: if the chain is closed or its file cannot be read.
        """
        with self._asking() as chain:
            newest = self._committed[SchemaV1.make_canonical_head_hash_lookup_key()]
            if self._head is None or self._head.block_hash != newest:
                self._head = _block(chain.get_block_header_by_hash(Hash32(newest)))
            return self._head

    def block(self, number: int) -> Block | None:
        """Return a canonical block, or None beyond the head.

        Raises:
            ChainUnavailable: if the chain is closed or its file cannot be read.
        """
        with self._asking() as chain:
            return _block_at(chain, number)

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """Run a contract's view at the head and return its raw answer (ABI-encoded).

        Raises:
            CallReverted: if the contract reverts.
            ChainUnavailable: if the chain is closed or its file cannot be read.
        """
        caller = CALL_SENDER if sender is None else to_canonical_address(sender)
        with self._asking() as chain, chain.get_vm(chain.get_canonical_head()).in_costless_state() as state:
            transaction = chain.create_unsigned_transaction(
                nonce=state.get_nonce(caller),
                gas_price=0,
                gas=CALL_GAS,
                to=to_canonical_address(to),
                value=0,
                data=data,
            )
            # A question needs no signature: the sender is set directly, and the state is discarded.
            spoofed = SpoofTransaction(transaction, from_=caller)
            computation = state.costless_execute_transaction(spoofed)  # type: ignore[arg-type]
        if computation.is_error:
            raise CallReverted(_revert_data(computation))
        return bytes(computation.output)

    def transaction_count(self, address: str) -> int:
        """Return the number of mined transactions of this account, which is its next nonce."""
        with self._asking() as chain:
            return self._mined_nonce(chain, to_canonical_address(address))

    def send_raw(self, raw: bytes) -> None:
        """Put a signed transaction into the pool.

        One that is already pending or mined is accepted again without an error.

        A nonce ahead of the account's waits until the nonces before it have arrived.

        Raises:
            TransactionRejected: if it is not valid, is for another chain, or its nonce is used.
            ChainUnavailable: if the pool is full or the chain is closed.
        """
        transaction, sender = self._decode(raw)
        with self._asking() as chain:
            if _position(chain, transaction.hash) is not None:
                return
            mined = self._mined_nonce(chain, sender)
            # A block may have come between the two looks: it is this very transaction that used the nonce up then.
            was_mined_meanwhile = transaction.nonce < mined and _position(chain, transaction.hash) is not None
        if was_mined_meanwhile:
            return
        if transaction.nonce < mined:
            raise TransactionRejected(
                Message("nonce {nonce} is used up: the account is at {mined}", nonce=transaction.nonce, mined=mined)
            )
        with self._shared:
            if transaction.hash not in self._pool:
                self._admit(transaction, sender)

    def receipt(self, transaction_hash: bytes) -> ChainReceipt | None:
        """Return the receipt, or None while the transaction is not in a block."""
        with self._asking() as chain:
            position = _position(chain, transaction_hash)
            return None if position is None else self._receipt_at(chain, transaction_hash, *position)

    def balance(self, address: str) -> int:
        """Return the account's balance at the head, in wei."""
        with self._asking() as chain:
            return chain.get_vm(chain.get_canonical_head()).state.get_balance(to_canonical_address(address))

    def price(self) -> Price:
        """Return the price of gas at the head."""
        with self._asking() as chain:
            return Price(chain.get_canonical_head().base_fee_per_gas or 0, TIP)

    def logs(self, first: int, last: int, address: str, topics: Sequence[bytes] = ()) -> Sequence[FoundLog]:
        """Return one contract's events in blocks ``first`` to ``last``, both included, in order.

        ``topics`` are the leading topics that an event must have.
        """
        with self._asking() as chain:
            last = min(last, chain.get_canonical_head().block_number)
            return [
                found
                for number in range(max(first, 0), last + 1)
                for found in logs_of(chain, number, to_canonical_address(address), topics)
            ]

    @contextmanager
    def asking(self) -> Iterator[MiningChain]:
        """Lend the readers' chain to one reader at a time, for a node that answers questions about all of it."""
        with self._asking() as chain:
            yield chain

    # ---- readers

    @contextmanager
    def _asking(self) -> Iterator[MiningChain]:
        """Lend the readers' chain to one reader at a time."""
        with self._reading:
            self._require_open()
            try:
                yield self._readers_chain
            except sqlite3.Error as fault:
                raise ChainUnavailable(
                    Message("{path} cannot be read: {fault}", path=self._path, fault=message_of(fault))
                ) from fault

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise ChainUnavailable(Message("{path} is closed", path=self._path))

    def _mined_nonce(self, chain: MiningChain, address: Address) -> int:
        """Return an account's nonce at the head.

        It is cached per head, because a burst of transactions asks for it often.
        """
        head = self._committed[SchemaV1.make_canonical_head_hash_lookup_key()]
        if head != self._nonces_head:
            self._nonces_head, self._nonces = head, {}
        if address not in self._nonces:
            header = chain.get_block_header_by_hash(Hash32(head))
            self._nonces[address] = chain.get_vm(header).state.get_nonce(address)
        return self._nonces[address]

    def _receipt_at(self, chain: MiningChain, transaction_hash: bytes, number: int, index: int) -> ChainReceipt:
        receipt = chain.get_transaction_receipt_by_index(BlockNumber(number), index)
        # Receipts count gas cumulatively over the block (Yellow Paper, section 4.3.1).
        before = chain.get_transaction_receipt_by_index(BlockNumber(number), index - 1).gas_used if index else 0
        block = _block_at(chain, number)
        assert block is not None, "a transaction's block is canonical"
        return ChainReceipt(
            transaction_hash=transaction_hash,
            block=block,
            succeeded=receipt.state_root == b"\x01",
            gas_used=receipt.gas_used - before,
            logs=_logs(receipt),
            revert_data=self._committed.get(_REVERT_PREFIX + transaction_hash),
        )

    def _decode(self, raw: bytes) -> tuple[SignedTransactionAPI, Address]:
        """Decode and check a transaction that could be mined, and recover its sender."""
        # EIP-2718: 0x01 and 0x02 begin typed transactions, 0xc0 and above the RLP list of a legacy one. Blob (0x03) and
        # set-code (0x04) transactions are not taken.
        if not raw or 2 < raw[0] < 0xC0:
            raise TransactionRejected("only legacy, access-list and fee-market transactions are taken")
        try:
            transaction = self._chain_class.get_vm_class(self._genesis).get_transaction_builder().decode(raw)
            transaction.validate()
            sender = transaction.sender
        except _UNREADABLE as fault:
            raise TransactionRejected(
                Message("the transaction is not valid: {fault}", fault=message_of(fault))
            ) from fault
        # A chain id of None is a legacy signature from before EIP-155, which is not bound to a chain.
        if transaction.chain_id not in (None, self.chain_id()):
            raise TransactionRejected(
                Message(
                    "signed for chain {chain_id}, this is {expected}",
                    chain_id=transaction.chain_id,
                    expected=self.chain_id(),
                )
            )
        if not transaction.intrinsic_gas <= transaction.gas <= BLOCK_GAS_LIMIT:
            raise TransactionRejected(
                Message("gas {gas} is below the least needed or above a block's limit", gas=transaction.gas)
            )
        return transaction, sender

    def _admit(self, transaction: SignedTransactionAPI, sender: Address) -> None:
        if self._pool.holds_nonce(sender, transaction.nonce):
            raise TransactionRejected(Message("another transaction waits with nonce {nonce}", nonce=transaction.nonce))
        if len(self._pool) >= POOL_LIMIT:
            raise ChainUnavailable("too many transactions wait")
        self._pool.add(transaction, sender)
        self._has_news = True
        self._shared.notify_all()

    # ---- the writer

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._await_news():
                    self._mine()
            except Exception:
                # Whatever it was (a full disk, a fault in the EVM), the next attempt starts from what is on disk.
                log.exception("no block could be mined; trying again")
                self._start_over()
                # A full disk stays full for a while: no busy loop.
                self._closing.wait(1)

    def _await_news(self) -> bool:
        """Sleep until a transaction is pending or an idle block is due. Return False when the chain closes."""
        with self._shared:
            while not (self._has_news or self._closing.is_set() or (left := self._until_idle_block()) == 0):
                self._shared.wait(left)
            self._has_news = False
        if self._in_real_time:
            self._closing.wait(LINGER_SECONDS)
            self._await_next_second()
        return not self._closing.is_set()

    def _until_idle_block(self) -> float | None:
        """Return the seconds until an empty block is due, or None where none will be.

        The clock is read again every minute, because it may be set or may have slept with the machine.
        """
        if not self._in_real_time:
            return None
        age = self._clock() - self._chain.get_canonical_head().timestamp
        return min(max(self._idle_seconds - age, 0.0), IDLE_LOOK_SECONDS)

    def _await_next_second(self) -> None:
        """Wait until the clock has passed the newest block, so that the chain never runs ahead of it."""
        while not self._closing.is_set():
            early = self._chain.get_canonical_head().timestamp + 1 - self._clock()
            if early <= 0:
                return
            if early > CLOCK_WARNING_SECONDS:
                log.warning("the clock is %.0f seconds behind the newest block; mining waits for it", early)
            self._closing.wait(min(early, CLOCK_WARNING_SECONDS))

    def _mine(self) -> None:
        chosen = self._choose()
        if not chosen and self._until_idle_block() != 0:
            return
        head = self._chain.get_canonical_head()
        # The header was made when its parent was mined and still carries the time of then.
        self._chain.set_header_timestamp(max(int(self._clock()), head.timestamp + 1))
        mined = self._mine_all(chosen)
        with self._shared:
            self._pool.remove(mined)
            # Others may have become possible by this block, or did not fit into it.
            self._has_news |= bool(mined) and len(self._pool) > 0

    def _choose(self) -> list[Waiting]:
        state = self._chain.get_vm().state
        with self._shared:
            overtaken = self._pool.overtaken(state.get_nonce)
            self._pool.remove(overtaken)
            chosen = self._pool.next_block(state.get_nonce, BLOCK_GAS_LIMIT)
        for waiting in overtaken:
            log.warning("dropped %s: its nonce is used up", waiting.transaction.hash.hex())
        return chosen

    def _mine_all(self, chosen: list[Waiting]) -> list[Waiting]:
        """Mine one block of the chosen transactions and return those that are in it, once it is on disk.

        If a transaction cannot be executed, it is dropped and the choice is repeated, because others may depend on it.
        """
        try:
            return self._mine_block(chosen)
        except sqlite3.Error:
            raise  # the disk's fault, not that of a transaction
        except Exception:
            self._start_over()
            if not self._drop_first_impossible(chosen):
                raise
            return []

    def _mine_block(self, chosen: list[Waiting]) -> list[Waiting]:
        transactions = [waiting.transaction for waiting in chosen]
        _, _, computations = self._chain.mine_all(transactions)
        for transaction, computation in zip(transactions, computations, strict=True):
            if computation.is_error:
                # Receipts carry no revert reason. Stored with the block, it survives a restart and needs no trace of
                # the block.
                self._store[_REVERT_PREFIX + transaction.hash] = _revert_data(computation)
        self._store.commit()
        return chosen

    def _drop_first_impossible(self, chosen: list[Waiting]) -> bool:
        """Try the transactions on a discarded state, and drop the first that the chain's rules do not allow."""
        header = self._chain.header
        vm = self._chain.get_vm(header)
        for waiting in chosen:
            try:
                receipt, _ = vm.apply_transaction(header, waiting.transaction)
                header = vm.add_receipt_to_header(header, receipt)
            except Exception as fault:
                # Any fault: a transaction that breaks the EVM must not be tried for ever.
                log.warning("dropped %s: %s", waiting.transaction.hash.hex(), fault)
                with self._shared:
                    self._pool.remove([waiting])
                return True
        return False

    def _start_over(self) -> None:
        """Discard a partly built block and continue from what is on disk."""
        self._store.discard()
        self._chain = self._chain_class(self._store)
        with self._shared:
            self._has_news = True

    # ---- opening

    def _open_stores(self, funded: Iterable[str]) -> None:
        try:
            self._store = BlockStore(self._path)
            # One second ago, so that the first transaction need not wait for the next second.
            self._chain_class = ensure_genesis(self._store, funded, int(self._clock()) - 1)
            self._chain = self._chain_class(self._store)
            self._reading = threading.Lock()
            self._committed = CommittedStore(self._path)
            self._readers_chain = self._chain_class(self._committed)
            self._genesis = self._chain.get_canonical_block_header_by_number(BlockNumber(0))
        except BaseException as error:
            self._file_lock.release()
            # An OperationalError is the machine's (no room, no right), which a copy would not cure.
            if isinstance(error, _UNREADABLE_FILE) and not isinstance(error, sqlite3.OperationalError):
                raise ChainDamaged(
                    "{path} is damaged ({why}): put it back from a copy that provenport backup made",
                    path=self._path,
                    why=message_of(error) or type(error).__name__,
                ) from error
            raise


def _hold(path: Path) -> FileLock:
    """Lock the file against other processes, and leave our process id for the message that they show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_name(path.name + ".pid")
    # thread_local=False: the thread that closes the chain may not be the one that opened it.
    lock = FileLock(path.with_name(path.name + ".lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ChainInUse(path, _holder(note)) from None
    note.write_text(f"{os.getpid()}\n", encoding="ascii")
    return lock


def _holder(note: Path) -> int | None:
    try:
        return int(note.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _block(header: BlockHeaderAPI) -> Block:
    return Block(
        number=header.block_number,
        block_hash=bytes(header.hash),
        parent_hash=bytes(header.parent_hash),
        time=datetime.fromtimestamp(header.timestamp, UTC),
    )


def _block_at(chain: MiningChain, number: int) -> Block | None:
    try:
        return _block(chain.get_canonical_block_header_by_number(BlockNumber(number)))
    except HeaderNotFound:
        return None


def _position(chain: MiningChain, transaction_hash: bytes) -> tuple[int, int] | None:
    """Find the block number and index of a mined transaction by its hash (eth-tester would scan every block)."""
    try:
        return chain.get_canonical_transaction_index(Hash32(transaction_hash))
    except TransactionNotFound:
        return None


def _logs(receipt: ReceiptAPI) -> tuple[Log, ...]:
    return tuple(
        Log(
            address=to_checksum_address(entry.address),
            topics=tuple(topic.to_bytes(32, "big") for topic in entry.topics),
            data=bytes(entry.data),
        )
        for entry in receipt.logs
    )


def logs_of(
    chain: MiningChain, number: int, address: Address | None, topics: Sequence[bytes | None]
) -> Iterator[FoundLog]:
    """Yield the events of one block that match; None in ``topics`` matches any topic.

    The block's bloom filter (a test without false negatives) spares most blocks a closer look.
    """
    header = chain.get_canonical_block_header_by_number(BlockNumber(number))
    bloom = BloomFilter(header.bloom)
    if not all(part in bloom for part in (address, *topics) if part is not None):
        return
    index = 0
    block = chain.get_block_by_header(header)
    for position, (transaction, receipt) in enumerate(
        zip(block.transactions, block.get_receipts(chain.chaindb), strict=True)
    ):
        for log_entry, raw in zip(_logs(receipt), receipt.logs, strict=True):
            fits = len(topics) <= len(log_entry.topics) and all(
                wanted in (None, topic) for wanted, topic in zip(topics, log_entry.topics, strict=False)
            )
            if fits and address in (None, raw.address):
                yield FoundLog(log_entry, number, bytes(header.hash), bytes(transaction.hash), position, index)
            index += 1


def _revert_data(computation: ComputationAPI) -> bytes:
    return bytes(computation.output) if isinstance(computation.error, Revert) else b""
