"""Fakes that obey the ports: a ledger in memory with the contracts' rules, and quick passwords."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from backend.domain.batch import LARGEST_BATCH
from backend.domain.errors import ForeignLedger, LedgerUnavailable
from backend.domain.kinds import DOCUMENT_EDGES, OFFICE_EDGES, WITHDRAWAL_EDGES
from backend.domain.ledger import (
    Accredit,
    Accreditation,
    Act,
    AnchorBatch,
    AnchoredBatch,
    ChangeStatuses,
    Head,
    Receipt,
    SignedTransaction,
    SuspendAccreditation,
)
from tests.builders import NOON

_EDGES = {
    "anchorer": (DOCUMENT_EDGES, WITHDRAWAL_EDGES),
    "office": (frozenset(), OFFICE_EDGES),
    "authority": (DOCUMENT_EDGES, frozenset()),
}


class Clock:
    """A clock that a test moves by hand; every look at it takes a moment, so that no two are the same."""

    def __init__(self, start: datetime = NOON) -> None:
        self.time = start

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def pass_by(self, span: timedelta) -> None:
        self.time += span


@dataclass
class _Block:
    number: int
    time: datetime
    transactions: list[bytes] = field(default_factory=list)
    fork: int = 0

    @property
    def block_hash(self) -> bytes:
        return sha256(f"{self.number} {self.fork} {self.transactions}".encode()).digest()


class _Reverted(Exception):
    """The contract refuses."""


@dataclass
class _State:
    """What the contracts hold."""

    batches: dict[bytes, AnchoredBatch] = field(default_factory=dict)
    statuses: dict[tuple[bytes, int], int] = field(default_factory=dict)
    accreditations: dict[bytes, Accreditation] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)

    def take(self, signer: str, act: Act, time: datetime) -> None:
        match act:
            case AnchorBatch(root, lanes):
                ends = (0, lanes.origin_end, lanes.inspection_end, lanes.declaration_end, lanes.size)
                if list(ends) != sorted(ends) or not 0 < lanes.size <= LARGEST_BATCH:
                    raise _Reverted("TraceLedgerLanesUnordered")
                if root in self.batches:
                    raise _Reverted("TraceLedgerAlreadyAnchored")
                self.batches[root] = AnchoredBatch(root, time, len(self.batches) + 1, 1, lanes)
            case ChangeStatuses(root, places):
                self._change(signer, root, places)
            case Accredit(key, accreditation):
                if accreditation.kinds == 0 or accreditation.chapters == 0:
                    raise _Reverted("AccreditationCoversNothing")
                earlier = self.accreditations.get(key)
                kept = earlier.suspended_since if earlier else None
                self.accreditations[key] = replace(accreditation, suspended_since=kept)
            case SuspendAccreditation(key, since):
                if key not in self.accreditations:
                    raise _Reverted("AccreditationUnknown")
                if since is None and self.accreditations[key].suspended_since is None:
                    raise _Reverted("AccreditationNotSuspended")
                self.accreditations[key] = replace(self.accreditations[key], suspended_since=since)

    def _change(self, signer: str, root: bytes, places: Iterable[tuple[int, int]]) -> None:
        if root not in self.batches:
            raise _Reverted("TraceLedgerBatchUnknown")
        lanes = self.batches[root].lanes
        changed = {}
        for place, status in places:
            if place >= lanes.size:
                raise _Reverted("TraceLedgerPlaceOutsideBatch")
            is_declaration = lanes.inspection_end <= place < lanes.declaration_end
            if (self.statuses.get((root, place), 0), status) not in _EDGES[signer][is_declaration]:
                raise _Reverted("TraceLedgerEdgeForbidden")
            changed[root, place] = status
        self.statuses.update(changed)


class FakeLedger:
    """Obeys ``backend.services.ports.Ledger``. Mines a block with every ``send``, unless told otherwise.

    Switches: ``down`` (every call raises LedgerUnavailable), ``foreign`` (another chain answers), ``swallowing``
    (what is sent gets lost), ``holding`` (what is sent waits until ``mine``), ``refusing`` (every act is reverted).
    """

    def __init__(self, clock: Clock) -> None:
        self.down = self.foreign = self.swallowing = self.holding = self.refusing = False
        self.sent: list[bytes] = []
        self.clock = clock
        self._signed: dict[bytes, tuple[str, int, Act]] = {}
        self._pool: list[bytes] = []
        self._blocks = [_Block(0, clock.time)]
        self._receipts: dict[bytes, Receipt] = {}
        self._state = _State()
        self._fork = 0

    def head(self) -> Head:
        self._answer()
        last = self._blocks[-1]
        return Head(1337, last.number, last.block_hash, last.time, b"\x07" * 32, "0x" + "AB" * 20, "0x" + "CD" * 20)

    def batch(self, root: bytes) -> AnchoredBatch | None:
        self._answer()
        return self._state.batches.get(root)

    def status(self, root: bytes, place: int) -> int:
        self._answer()
        return self._state.statuses.get((root, place), 0)

    def accreditation(self, key: bytes) -> Accreditation | None:
        self._answer()
        return self._state.accreditations.get(key)

    def next_nonce(self, signer: str) -> int:
        self._answer()
        return self._state.nonces.get(signer, 0)

    def sign(self, act: Act, nonce: int) -> SignedTransaction:
        self._answer()
        signer = {AnchorBatch: "anchorer", ChangeStatuses: getattr(act, "by", "")}.get(type(act), "authority")
        raw = f"{signer} {nonce} {act}".encode()
        self._signed[raw] = (signer, nonce, act)
        return SignedTransaction(signer, nonce, raw, sha256(raw).digest())

    def send(self, raw: bytes) -> None:
        self._answer()
        self.sent.append(raw)
        if self.swallowing or raw in self._pool or sha256(raw).digest() in self._receipts:
            return
        self._pool.append(raw)
        if not self.holding:
            self.mine()

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        self._answer()
        return self._receipts.get(transaction_hash)

    # What a test does to it

    def mine(self, count: int = 1) -> None:
        """Make blocks; the first takes every transaction whose turn it is."""
        for _ in range(count):
            self._mine_one()

    def _mine_one(self) -> None:
        block = _Block(len(self._blocks), self.clock.time, fork=self._fork)
        results = []
        while due := [raw for raw in self._pool if self._signed[raw][1] == self._due(raw)]:
            for raw in due:
                self._pool.remove(raw)
                block.transactions.append(raw)
                results.append((raw, self._run(raw, block.time)))
        self._blocks.append(block)
        for raw, refusal in results:
            key = sha256(raw).digest()
            self._receipts[key] = Receipt(key, block.number, block.block_hash, block.time, refusal is None, refusal)

    def _due(self, raw: bytes) -> int:
        return self._state.nonces.get(self._signed[raw][0], 0)

    def _run(self, raw: bytes, time: datetime) -> str | None:
        signer, nonce, act = self._signed[raw]
        self._state.nonces[signer] = nonce + 1
        if self.refusing:
            return "Refusing"
        try:
            self._state.take(signer, act, time)
        except _Reverted as refusal:
            return str(refusal)
        return None

    def reorganise(self, depth: int) -> None:
        """Take away the last blocks; their transactions are forgotten, as by a node that never saw them."""
        kept = self._blocks[: len(self._blocks) - depth]
        self._state, self._receipts, self._blocks = _State(), {}, kept[:1]
        self._fork += 1
        for block in kept[1:]:
            for raw in block.transactions:
                refusal, key = self._run(raw, block.time), sha256(raw).digest()
                self._receipts[key] = Receipt(key, block.number, block.block_hash, block.time, refusal is None, refusal)
            self._blocks.append(block)

    def mined(self, signer: str) -> list[tuple[int, Act]]:
        """Nonces and acts that stand in blocks, in order."""
        raws = [raw for block in self._blocks for raw in block.transactions]
        return [self._signed[raw][1:] for raw in raws if self._signed[raw][0] == signer]

    def _answer(self) -> None:
        if self.down:
            raise LedgerUnavailable("connection refused")
        if self.foreign:
            raise ForeignLedger("the chain is another one")


class QuickPasswords:
    """Obeys the Passwords port without the cost of a real hash; counts the work it did."""

    def __init__(self) -> None:
        self.checked = 0

    def hashed(self, password: str) -> str:
        return sha256(password.encode()).hexdigest()

    def matches(self, password_hash: str, password: str) -> bool:
        self.checked += 1
        return password_hash == self.hashed(password)
