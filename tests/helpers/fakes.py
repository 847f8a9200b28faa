"""Fakes that obey the ports: a ledger in memory with the contracts' rules, and quick passwords."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from backend.domain.errors import ForeignLedger, LedgerRefused, LedgerUnavailable
from backend.domain.evidence import LARGEST_BATCH, InclusionProof
from backend.domain.ledger import (
    DOCUMENT_EDGES,
    OFFICE_EDGES,
    WITHDRAWAL_EDGES,
    Accredit,
    Accreditation,
    ActivateCertificate,
    AnchorBatch,
    AnchoredBatch,
    Anchoring,
    Announce,
    CancelAnnounced,
    CancelNonce,
    CertificateBalance,
    ChangeStatuses,
    DeclarationStatus,
    DrawdownSet,
    Head,
    LedgerCall,
    LedgerDrawdown,
    LedgerRecord,
    MakeDrawdowns,
    Receipt,
    RefundDrawdown,
    RotateKey,
    SignedTransaction,
    SuspendAccreditation,
)
from tests.helpers.builders import NOON

_EDGES = {
    "anchorer": (DOCUMENT_EDGES, WITHDRAWAL_EDGES),
    "office": (frozenset(), OFFICE_EDGES),
    "authority": (DOCUMENT_EDGES, frozenset()),
}


_SIGNERS = dict.fromkeys((AnchorBatch, ActivateCertificate, MakeDrawdowns, RefundDrawdown), "anchorer")
_SIGNERS[CancelAnnounced] = "guardian"
REFUNDING = (DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.WITHDRAWN)


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
    announced: dict[LedgerCall, datetime] = field(default_factory=dict)
    delay: timedelta = timedelta(0)
    balances: dict[LedgerRecord, CertificateBalance] = field(default_factory=dict)
    drawdown_sets: dict[bytes, tuple[MakeDrawdowns, set[int]]] = field(default_factory=dict)
    history: dict[bytes, list[tuple[datetime, Accreditation]]] = field(default_factory=dict)

    def take(self, signer: str, call: LedgerCall, time: datetime) -> None:
        self._be_due(call, time)
        match call:
            case Announce(announced):
                if announced in self.announced:
                    raise _Reverted("AccessManagerAlreadyScheduled")
                self.announced[announced] = time + self.delay
            case CancelAnnounced(announced):
                if self.announced.pop(announced, None) is None:
                    raise _Reverted("AccessManagerNotScheduled")
            case AnchorBatch(root, segments):
                ends = (0, segments.origin_end, segments.inspection_end, segments.declaration_end, segments.size)
                if list(ends) != sorted(ends) or not 0 < segments.size <= LARGEST_BATCH:
                    raise _Reverted("TraceLedgerLanesUnordered")
                if root in self.batches:
                    raise _Reverted("TraceLedgerAlreadyAnchored")
                self.batches[root] = AnchoredBatch(root, time, len(self.batches) + 1, 1, segments)
            case ChangeStatuses(root, places):
                self._change(signer, root, places)
            case Accredit(key, accreditation):
                if accreditation.kinds == 0 or accreditation.chapters == 0:
                    raise _Reverted("AccreditationCoversNothing")
                earlier = self.accreditations.get(key)
                kept = earlier.suspended_since if earlier else None
                self.accreditations[key] = replace(accreditation, suspended_since=kept)
            case CancelNonce():
                pass
            case ActivateCertificate():
                self._open(call)
            case MakeDrawdowns(drawdowns):
                if call.set_root in self.drawdown_sets:
                    raise _Reverted("CertificateBalanceAlreadyDrawn")
                before = dict(self.balances)
                try:
                    for drawdown in drawdowns:
                        self._draw(drawdown, time)
                except _Reverted:
                    self.balances = before
                    raise
                self.drawdown_sets[call.set_root] = (call, set())
            case RefundDrawdown(drawn, position):
                self._refund_one(drawn, position)
            case RotateKey(key, successor):
                if key not in self.accreditations:
                    raise _Reverted("AccreditationUnknown")
                if successor in self.accreditations:
                    raise _Reverted("AccreditationSuccessorKnown")
                terms = self.accreditations[key]
                if not terms.valid_from < time < terms.valid_until:
                    raise _Reverted("AccreditationNotCurrent")
                self.accreditations[successor] = replace(terms, valid_from=time, suspended_since=None)
                self.accreditations[key] = replace(terms, valid_until=time)
            case SuspendAccreditation(key, since):
                if key not in self.accreditations:
                    raise _Reverted("AccreditationUnknown")
                if since is None and self.accreditations[key].suspended_since is None:
                    raise _Reverted("AccreditationNotSuspended")
                self.accreditations[key] = replace(self.accreditations[key], suspended_since=since)

    def _be_due(self, call: LedgerCall, time: datetime) -> None:
        if not self.delay or not isinstance(call, Accredit | SuspendAccreditation) or getattr(call, "since", None):
            return
        if call not in self.announced:
            raise _Reverted("AccessManagerNotScheduled")
        if time < self.announced[call]:
            raise _Reverted("AccessManagerNotReady")
        del self.announced[call]

    def _open(self, call: ActivateCertificate) -> None:
        certificate, held = call.certificate, self.accreditations.get(call.issuer_key)
        if certificate in self.balances:
            raise _Reverted("CertificateBalanceAlreadyOpened")
        batch = self.batches.get(certificate.root)
        if batch is None:
            raise _Reverted("CertificateBalanceNotOwnBatch")
        proof = InclusionProof(certificate.leaf_index, batch.segments.size, call.path)
        if certificate.leaf_index >= batch.segments.origin_end or not proof.proves(call.entry, certificate.root):
            raise _Reverted("CertificateBalanceNotIncluded")
        if self.statuses.get((certificate.root, certificate.leaf_index), 0):
            raise _Reverted("CertificateBalanceNotActive")
        if held is None or not held.covers_chapter(call.chapter) or not held.held_at(call.issued_at):
            raise _Reverted("CertificateBalanceIssuerNotAccredited")
        quantity, until = int.from_bytes(call.entry[1:17], "big"), call.valid_until or datetime.max.replace(tzinfo=UTC)
        self.balances[certificate] = CertificateBalance(quantity, quantity, 1, until)

    def _draw(self, drawdown: LedgerDrawdown, time: datetime) -> None:
        certificate, declaration = drawdown.certificate, drawdown.declaration
        balance = self.balances.get(certificate)
        if balance is None:
            raise _Reverted("CertificateBalanceNotOpened")
        if not 0 < drawdown.quantity <= balance.remaining:
            raise _Reverted("CertificateBalanceOverdrawn")
        if balance.valid_until <= time:
            raise _Reverted("CertificateBalanceExpired")
        if self.statuses.get((certificate.root, certificate.leaf_index), 0):
            raise _Reverted("CertificateBalanceNotActive")
        if self.statuses.get((declaration.root, declaration.leaf_index), 0) in REFUNDING:
            raise _Reverted("CertificateBalanceDeclarationEnded")
        self.balances[certificate] = replace(balance, remaining=balance.remaining - drawdown.quantity)

    def _refund_one(self, drawn: MakeDrawdowns, position: int) -> None:
        if drawn.set_root not in self.drawdown_sets:
            raise _Reverted("CertificateBalanceDrawUnknown")
        back, drawdown = self.drawdown_sets[drawn.set_root][1], drawn.drawdowns[position]
        if position in back:
            raise _Reverted("CertificateBalanceAlreadyGivenBack")
        if self.statuses.get((drawdown.declaration.root, drawdown.declaration.leaf_index), 0) not in REFUNDING:
            raise _Reverted("CertificateBalanceDeclarationStands")
        back.add(position)
        balance = self.balances[drawdown.certificate]
        self.balances[drawdown.certificate] = replace(balance, remaining=balance.remaining + drawdown.quantity)

    def _change(self, signer: str, root: bytes, places: Iterable[tuple[int, int]]) -> None:
        if root not in self.batches:
            raise _Reverted("TraceLedgerBatchUnknown")
        segments = self.batches[root].segments
        changed = {}
        for leaf_index, status in places:
            if leaf_index >= segments.size:
                raise _Reverted("TraceLedgerPlaceOutsideBatch")
            is_declaration = segments.inspection_end <= leaf_index < segments.declaration_end
            if (self.statuses.get((root, leaf_index), 0), status) not in _EDGES[signer][is_declaration]:
                raise _Reverted("TraceLedgerEdgeForbidden")
            changed[root, leaf_index] = status
        self.statuses.update(changed)


class FakeLedger:
    """Obeys ``backend.services.ports.Ledger``. Mines a block with every ``send``, unless told otherwise.

    Switches: ``down`` (every call raises LedgerUnavailable), ``foreign`` (another chain answers), ``swallowing``
    (what is sent gets lost), ``holding`` (what is sent waits until ``mine``), ``refusing`` (every act is reverted),
    ``poor`` (nobody can pay), ``lowest_fee`` (what blocks take), ``highest_fee`` (what we may offer).
    """

    def __init__(self, clock: Clock) -> None:
        self.down = self.foreign = self.swallowing = self.holding = self.refusing = self.poor = False
        self.highest_fee = 64
        self.counts_quantities = True
        self.confirmations = 0
        self.lowest_fee = 0
        self.sent: list[bytes] = []
        self.clock = clock
        self._signed: dict[bytes, tuple[str, int, LedgerCall]] = {}
        self._pool: list[bytes] = []
        self._fees: dict[bytes, int] = {}
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

    def status(self, root: bytes, leaf_index: int) -> int:
        self._answer()
        return self._state.statuses.get((root, leaf_index), 0)

    def accreditation(self, key: bytes) -> Accreditation | None:
        self._answer()
        return self._state.accreditations.get(key)

    def delay(self, call: LedgerCall) -> timedelta:
        self._answer()
        return timedelta(0) if getattr(call, "since", None) else self._state.delay

    def announced(self, call: LedgerCall) -> datetime | None:
        self._answer()
        return self._state.announced.get(call)

    def certificate_balance(self, root: bytes, leaf_index: int) -> CertificateBalance | None:
        self._answer()
        return self._state.balances.get(LedgerRecord(root, leaf_index))

    def is_refunded(self, drawdown_set: bytes, position: int) -> bool | None:
        self._answer()
        return (
            position in self._state.drawdown_sets[drawdown_set][1]
            if drawdown_set in self._state.drawdown_sets
            else None
        )

    def drawdown_sets(self) -> Iterator[DrawdownSet]:
        self._answer()
        for block in self._blocks:
            for raw in block.transactions:
                call, key = self._signed[raw][2], sha256(raw).digest()
                if isinstance(call, MakeDrawdowns) and self._receipts[key].succeeded:
                    yield DrawdownSet(call, frozenset(self._state.drawdown_sets[call.set_root][1]), key, block.number)

    def accreditation_at(self, key: bytes, time: datetime) -> Accreditation | None:
        self._answer()
        return next((held for since, held in reversed(self._state.history.get(key, [])) if since <= time), None)

    def next_nonce(self, signer: str) -> int:
        self._answer()
        return self._state.nonces.get(signer, 0)

    def sign(self, call: LedgerCall, nonce: int) -> SignedTransaction:
        self._answer()
        return self._sign(call, nonce, fee=1)

    def _sign(self, call: LedgerCall, nonce: int, fee: int) -> SignedTransaction:
        by = getattr(call, "by", "")
        signer = _SIGNERS.get(type(call), by) or "authority"
        raw = f"{signer} {nonce} {call} {fee}".encode()
        self._signed[raw] = (signer, nonce, call)
        self._fees[raw] = fee
        return SignedTransaction(signer, nonce, raw, sha256(raw).digest())

    def replace_by_fee(self, signer: str, raw: bytes) -> SignedTransaction | None:
        self._answer()
        _, nonce, call = self._signed[raw]
        fee = self._fees[raw] * 2
        return None if fee > self.highest_fee else self._sign(call, nonce, fee)

    def simulate(self, call: LedgerCall) -> None:
        self._answer()
        if self.refusing:
            raise LedgerRefused("Refusing", error="Refusing", arguments={})
        try:
            deepcopy(self._state).take(getattr(call, "by", "anchorer"), call, self.clock.time)
        except _Reverted as refusal:
            raise LedgerRefused(str(refusal), error=str(refusal), arguments={}) from refusal

    def transactions_left(self) -> dict[str, int]:
        self._answer()
        return dict.fromkeys(("authority", "anchorer", "office"), 0 if self.poor else 1_000_000)

    def statuses(self, root: bytes, size: int) -> list[int]:
        self._answer()
        return [self._state.statuses.get((root, leaf_index), 0) for leaf_index in range(size)]

    def anchorings(self, root: bytes | None = None) -> Iterator[Anchoring]:
        self._answer()
        for block in self._blocks:
            for raw in block.transactions:
                call, key = self._signed[raw][2], sha256(raw).digest()
                anchors = isinstance(call, AnchorBatch) and self._receipts[key].succeeded
                if anchors and root in (None, call.root):
                    yield Anchoring(call.root, key, block.number, block.block_hash, "0x" + "EF" * 20)

    def anchoring_of(self, root: bytes, batch: AnchoredBatch) -> Anchoring | None:
        return next(self.anchorings(root), None)

    def send(self, raw: bytes) -> None:
        self._answer()
        self.sent.append(raw)
        if self.swallowing or raw in self._pool or sha256(raw).digest() in self._receipts:
            return
        signer, nonce, _ = self._signed[raw]
        if self.poor:
            raise LedgerRefused("insufficient funds", error="TransactionRejected", arguments={})
        if nonce < self._state.nonces.get(signer, 0):
            raise LedgerRefused("nonce too low", error="TransactionRejected", arguments={})
        for other in [other for other in self._pool if self._signed[other][:2] == (signer, nonce)]:
            if self._fees[other] >= self._fees[raw]:
                raise LedgerRefused("replacement transaction underpriced", error="TransactionRejected", arguments={})
            self._pool.remove(other)
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
        whole_second = (self.clock.time + timedelta(microseconds=999_999)).replace(microsecond=0)  # as chains count
        block = _Block(len(self._blocks), whole_second, fork=self._fork)
        results = []
        while due := [raw for raw in self._pool if self._is_due(raw)]:
            for raw in due:
                self._pool.remove(raw)
                block.transactions.append(raw)
                results.append((raw, self._run(raw, block.time)))
        self._blocks.append(block)
        for raw, refusal in results:
            key = sha256(raw).digest()
            self._receipts[key] = Receipt(key, block.number, block.block_hash, block.time, refusal is None, refusal)

    def _is_due(self, raw: bytes) -> bool:
        signer, nonce, _ = self._signed[raw]
        return nonce == self._state.nonces.get(signer, 0) and self._fees[raw] >= self.lowest_fee

    def _run(self, raw: bytes, time: datetime) -> str | None:
        signer, nonce, call = self._signed[raw]
        self._state.nonces[signer] = nonce + 1
        if self.refusing:
            return "Refusing"
        try:
            self._state.take(signer, call, time)
        except _Reverted as refusal:
            return str(refusal)
        for key, held in self._state.accreditations.items():
            kept = self._state.history.setdefault(key, [])
            if not kept or kept[-1][1] != held:
                kept.append((time, held))
        return None

    def reorganise(self, depth: int) -> None:
        """Take away the last blocks; their transactions are forgotten, as by a node that never saw them."""
        kept = self._blocks[: len(self._blocks) - depth]
        self._state, self._receipts, self._blocks = _State(delay=self._state.delay), {}, kept[:1]
        self._fork += 1
        for block in kept[1:]:
            for raw in block.transactions:
                refusal, key = self._run(raw, block.time), sha256(raw).digest()
                self._receipts[key] = Receipt(key, block.number, block.block_hash, block.time, refusal is None, refusal)
            self._blocks.append(block)

    def mined(self, signer: str) -> list[tuple[int, LedgerCall]]:
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
