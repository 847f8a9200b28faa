"""Fakes that obey the ports: a ledger in memory with the contracts' rules, and quick passwords."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from backend.domain.errors import ForeignLedger, Invalid, LedgerRefused, LedgerUnavailable
from backend.domain.evidence import LARGEST_BATCH, InclusionProof, LedgerName, NamedAnchorer, Segments, leaf_hash
from backend.domain.ledger import (
    AUTHORITY_EDGES,
    DOCUMENT_EDGES,
    OFFICE_EDGES,
    WITHDRAWAL_EDGES,
    Accredit,
    Accreditation,
    ActivateCertificate,
    AgentAccount,
    AllowDrawdowns,
    AnchorBatch,
    AnchoredBatch,
    Anchoring,
    Announce,
    CancelAnnounced,
    CancelNonce,
    CertificateBalance,
    ChangeStatuses,
    CorrectActivation,
    DeclarationStatus,
    DocumentStatus,
    DrawdownSet,
    FundAccount,
    GrantRole,
    Head,
    LedgerCall,
    LedgerDrawdown,
    LedgerRecord,
    LedgerRole,
    MakeDrawdowns,
    MoveAgent,
    PauseLedger,
    PublishRevocation,
    Receipt,
    RefundDrawdown,
    RegisterAgent,
    RenewPause,
    Revocation,
    RevokeRole,
    RoleHolder,
    RoleHolders,
    RotateKey,
    SetOffice,
    SignedTransaction,
    SuspendAccreditation,
    SuspendAgent,
    batch_key,
    has_ended,
)
from backend.domain.signature_terms import KeyHistory, SignatureTerms, Suspension, TermsVersion, terms_of_signature
from tests.helpers.builders import NOON

_EDGES = {
    "anchorer": (DOCUMENT_EDGES, WITHDRAWAL_EDGES),
    "office": (frozenset(), OFFICE_EDGES),
    "authority": (AUTHORITY_EDGES, frozenset()),
}


_SIGNERS = dict.fromkeys(
    (
        *(AnchorBatch, ActivateCertificate, MakeDrawdowns, RefundDrawdown, PublishRevocation),
        *(CorrectActivation, AllowDrawdowns),
    ),
    "anchorer",
)
_SIGNERS |= {GrantRole: "admin", RevokeRole: "admin"}
_RECORDED = Accredit | SuspendAccreditation | RotateKey
LAST_MOMENT = datetime.fromtimestamp(2**34, UTC)
MOST_LIFTED = 15
ANCHORERS = {"anchorer": 1, "other_anchorer": 9}
"""The numbers of those who may anchor: ours, and somebody else."""
OTHERS_ACCOUNT = "0x" + "99" * 20
"""The account from which somebody else's anchorer acts."""
GOVERNING = {"authority": "0x" + "03" * 20, "admin": "0x" + "04" * 20, "guardian": "0x" + "05" * 20}
"""The accounts that have roles over the contracts."""
FIRST_ROLES = {
    **{(role, GOVERNING["authority"]): (NOON, 0) for role in LedgerRole if role.name not in ("ADMIN", "GUARDIAN")},
    (LedgerRole.ADMIN, GOVERNING["admin"]): (NOON, 0),
    (LedgerRole.REMOVAL, GOVERNING["admin"]): (NOON, 0),
    **{(role, GOVERNING["guardian"]): (NOON, 0) for role in (LedgerRole.BRAKE, LedgerRole.GUARDIAN)},
}
"""Who has which role over the contracts of a new deployment (deployment.py), since when, and its notice in seconds."""
PAUSE = timedelta(hours=72)
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


def needs_notice(call: LedgerCall) -> bool:
    """Whether a call is one that gives trust, which the ledger may ask to be announced."""
    match call:
        case Accredit() | RegisterAgent() | MoveAgent() | GrantRole():
            return True
        case SuspendAccreditation(_, since):
            return since is None
        case PauseLedger(is_paused):
            return not is_paused
        case RevokeRole(role, _):
            return role is LedgerRole.ADMIN
    return False


def signer_of(call: LedgerCall) -> str:
    """The account that makes a call; what is announced is announced by the account that will make it."""
    made = call.call if isinstance(call, Announce) else call
    return _SIGNERS.get(type(made), getattr(made, "by", "")) or "authority"


@dataclass
class _State:
    """What the contracts hold: batches by their keys, or by their roots as ledgers of an earlier version do."""

    has_keys: bool = True
    batches: dict[bytes, AnchoredBatch] = field(default_factory=dict)
    statuses: dict[tuple[bytes, int], int] = field(default_factory=dict)
    accreditations: dict[bytes, Accreditation] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    announced: dict[LedgerCall, datetime] = field(default_factory=dict)
    delay: timedelta = timedelta(0)
    paused_until: datetime | None = None
    roles: dict[tuple[LedgerRole, str], tuple[datetime, int]] = field(default_factory=lambda: dict(FIRST_ROLES))
    """Who has which role, since when, and with how many seconds' notice."""
    balances: dict[LedgerRecord, CertificateBalance] = field(default_factory=dict)
    activated: dict[bytes, int] = field(default_factory=dict)
    """Whose number activated a leaf first; of a further one by its own anchorer, by its number and the leaf."""
    carried: dict[LedgerRecord, LedgerRecord] = field(default_factory=dict)
    agents: dict[str, int] = field(default_factory=lambda: {OTHERS_ACCOUNT: ANCHORERS["other_anchorer"]})
    consents: dict[int, bool] = field(default_factory=dict)
    drawdown_sets: dict[bytes, tuple[MakeDrawdowns, set[int]]] = field(default_factory=dict)
    history: dict[bytes, list[tuple[datetime, Accreditation]]] = field(default_factory=dict)
    suspensions: dict[bytes, list[Suspension]] = field(default_factory=dict)
    successors: dict[bytes, bytes] = field(default_factory=dict)
    taken_over_until: datetime | None = None
    revocations: dict[bytes, Revocation] = field(default_factory=dict)
    offices: dict[str, int] = field(default_factory=lambda: {"office": 2})
    accounts: dict[str, str] = field(
        default_factory=lambda: {"anchorer": "0x" + "01" * 20, "office": "0x" + "02" * 20, **GOVERNING}
    )
    """The address of each account by its name. Kept by the installation, and not lost with a block."""
    prepared: dict[str, str] = field(default_factory=dict)
    registered: dict[str, AgentAccount] = field(
        default_factory=lambda: {"0x" + "01" * 20: AgentAccount(1, 1), "0x" + "02" * 20: AgentAccount(2, 2)}
    )
    funded: set[str] = field(default_factory=set)
    taken: dict[str, int] = field(default_factory=dict)
    named: dict[bytes, int] = field(default_factory=dict)

    def take(self, signer: str, call: LedgerCall, time: datetime) -> None:
        self._be_due(call, time)
        match call:
            case Announce(announced):
                if announced in self.announced:
                    raise _Reverted("AccessManagerAlreadyScheduled")
                self.announced[announced] = time + self.delay
            case CancelAnnounced(announced, by):
                if by != signer:
                    raise AssertionError("signed by another account than the call is for")
                if announced not in self.announced:
                    raise _Reverted("AccessManagerNotScheduled")
                if signer not in ("guardian", signer_of(announced)):
                    raise _Reverted("AccessManagerUnauthorizedCancel")
                del self.announced[announced]
            case PauseLedger(is_paused):
                stands = self.paused_until is not None and time < self.paused_until
                if stands == is_paused:
                    raise _Reverted("TraceLedgerPauseUnchanged")
                self.paused_until = time + PAUSE if is_paused else None
            case RenewPause():
                self.paused_until = time + PAUSE
            case GrantRole() | RevokeRole() if signer != "admin":
                raise _Reverted("AccessManagerUnauthorizedAccount")
            case GrantRole(role, account, notice):
                self.roles[role, account] = (time, notice)
            case RevokeRole(role, account):
                self._revoke(role, account)
            case AnchorBatch(root, segments, office):
                ends = (0, segments.origin_end, segments.inspection_end, segments.declaration_end, segments.size)
                if self.paused_until is not None and time < self.paused_until:
                    raise _Reverted("TraceLedgerPaused")
                if list(ends) != sorted(ends) or not 0 < segments.size <= LARGEST_BATCH:
                    raise _Reverted("TraceLedgerLanesUnordered")
                key, anchorer = self.key(root, signer), ANCHORERS[signer]
                if key in self.batches:
                    raise _Reverted("TraceLedgerAlreadyAnchored")
                number = 1 + sum(batch.anchorer == anchorer for batch in self.batches.values())
                if office and office not in self.offices.values():
                    raise _Reverted("TraceLedgerOfficeUnknown")
                self.batches[key] = AnchoredBatch(time, number, anchorer, segments)
                self.named[key] = office
            case ChangeStatuses(key, places):
                self._change(signer, key, places)
            case Accredit(key, accreditation):
                if key == bytes(32):
                    raise _Reverted("AccreditationKeyMissing")
                if accreditation.kinds == 0 or accreditation.chapters == 0 or accreditation.chapters >> 100:
                    raise _Reverted("AccreditationCoversNothing")
                if accreditation.valid_from >= accreditation.valid_until:
                    raise _Reverted("AccreditationPeriodEmpty")
                if accreditation.valid_until >= LAST_MOMENT:
                    raise _Reverted("AccreditationMomentTooFar")
                if key in self.successors:
                    raise _Reverted("AccreditationRotated")
                earlier = self.accreditations.get(key)
                kept = earlier.suspended_since if earlier else None
                self.accreditations[key] = replace(accreditation, suspended_since=kept)
            case CancelNonce():
                pass
            case ActivateCertificate():
                self._open(signer, call)
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
            case PublishRevocation():
                self._publish(call, time)
            case CorrectActivation(activation):
                self._correct(activation)
            case AllowDrawdowns(account, is_allowed):
                if account not in self.agents:
                    raise _Reverted("CertificateBalanceAgentUnknown")
                self.consents[self.agents[account]] = is_allowed
            case SetOffice(key, office):
                if not office or office not in self.offices.values():
                    raise _Reverted("TraceLedgerOfficeUnknown")
                if self.offices.get(signer) != self.named.get(key):
                    raise _Reverted("TraceLedgerOfficeOther")
                self.named[key] = office
            case RegisterAgent(account, roles):
                held = self.registered.get(account, AgentAccount(0, 0))
                if held.successor is not None:
                    raise _Reverted("TraceLedgerAgentMoved")
                number = held.number or 30 + len(self.registered)
                self.registered[account] = AgentAccount(number, roles)
            case SuspendAgent(account):
                held = self.registered.get(account, AgentAccount(0, 0))
                if not held.roles:
                    raise _Reverted("TraceLedgerRoleMissing")
                self.registered[account] = replace(held, roles=0)
                self.taken[account] = held.roles
            case MoveAgent(account, successor):
                held = self.registered.get(account, AgentAccount(0, 0))
                if held.successor is not None:
                    raise _Reverted("TraceLedgerAgentMoved")
                if successor in self.registered:
                    raise _Reverted("TraceLedgerAgentKnown")
                self.registered[successor] = replace(held, roles=held.roles or self.taken.get(account, 0))
                self.registered[account] = AgentAccount(0, 0, successor)
            case FundAccount(account):
                self.funded.add(account)
            case RotateKey(key, successor):
                if key not in self.accreditations:
                    raise _Reverted("AccreditationUnknown")
                if key in self.successors:
                    raise _Reverted("AccreditationRotated")
                if successor in self.accreditations or successor == bytes(32):
                    raise _Reverted("AccreditationSuccessorKnown")
                terms = self.accreditations[key]
                if not terms.valid_from < time < terms.valid_until:
                    raise _Reverted("AccreditationNotCurrent")
                self.accreditations[successor] = replace(terms, valid_from=time, suspended_since=None)
                self.accreditations[key] = replace(terms, valid_until=time)
                self.successors[key] = successor
            case SuspendAccreditation(key, since):
                if key not in self.accreditations:
                    raise _Reverted("AccreditationUnknown")
                if since is None and self.accreditations[key].suspended_since is None:
                    raise _Reverted("AccreditationNotSuspended")
                if since is not None and since > time:
                    raise _Reverted("AccreditationMomentAhead")
                standing = self.accreditations[key].suspended_since
                if since is not None and standing is not None and since > standing:
                    raise _Reverted("AccreditationSuspendedBefore")
                if since is None and len(self.suspensions.get(key, [])) == MOST_LIFTED:
                    raise _Reverted("AccreditationSuspendedTooOften")
                if since is None and standing is not None:
                    self.suspensions.setdefault(key, []).append(Suspension(standing, time))
                self.accreditations[key] = replace(self.accreditations[key], suspended_since=since)

    def accreditation_at(self, key: bytes, time: datetime) -> Accreditation | None:
        return next((held for since, held in reversed(self.history.get(key, [])) if since <= time), None)

    def terms_of_signature(self, key: bytes, issued: datetime, anchored: datetime | None) -> SignatureTerms:
        suspensions, taken_over = self.suspensions_of(key), self.taken_over_until
        return terms_of_signature(
            lambda time: self.accreditation_at(key, time), issued, anchored, suspensions, taken_over
        )

    def suspensions_of(self, key: bytes) -> list[Suspension]:
        lifted, now = self.suspensions.get(key, []), self.accreditations.get(key)
        stands = now is not None and now.suspended_since is not None
        return [*lifted, Suspension(now.suspended_since)] if stands else list(lifted)

    def key_history(self, key: bytes, first: int, count: int) -> KeyHistory | None:
        versions = [TermsVersion(i, held, time) for i, (time, held) in enumerate(self.history.get(key, []))]
        if not versions:
            return None
        return KeyHistory(
            count=len(versions),
            versions=tuple(versions[first : first + count]),
            before=versions[first - 1] if 0 < first <= len(versions) else None,
            suspensions=tuple(self.suspensions_of(key)),
            predecessor=next((old for old, new in self.successors.items() if new == key), None),
            successor=self.successors.get(key),
        )

    def key(self, root: bytes, signer: str) -> bytes:
        return batch_key(ANCHORERS[signer], root) if self.has_keys else root

    def _revoke(self, role: LedgerRole, account: str) -> None:
        is_guardian = (LedgerRole.GUARDIAN, account) in self.roles
        if role is LedgerRole.GUARDIAN or (role is LedgerRole.BRAKE and is_guardian):
            raise _Reverted("AccessManagerGuardianNeedsNotice")
        admins = [holder for held, holder in self.roles if held is LedgerRole.ADMIN]
        if role is LedgerRole.ADMIN and admins == [account]:
            raise _Reverted("AccessManagerLastAdmin")
        self.roles.pop((role, account), None)

    def _be_due(self, call: LedgerCall, time: datetime) -> None:
        if not self.delay or not needs_notice(call):
            return
        if call not in self.announced:
            raise _Reverted("AccessManagerNotScheduled")
        if time < self.announced[call]:
            raise _Reverted("AccessManagerNotReady")
        del self.announced[call]

    def _open(self, signer: str, call: ActivateCertificate) -> None:
        certificate = call.certificate
        batch = self.batches.get(certificate.batch_key)
        if batch is None or batch.anchorer != ANCHORERS[signer]:
            raise _Reverted("CertificateBalanceNotOwnBatch")
        proof = InclusionProof(certificate.leaf_index, batch.segments.size, call.path)
        root = proof.root_from(leaf_hash(call.entry))
        is_there = root is not None and self.key(root, signer) == certificate.batch_key
        mark, own = leaf_hash(call.entry), batch_key(batch.anchorer, leaf_hash(call.entry))
        if mark in self.activated:
            if not call.is_named or self.activated[mark] == batch.anchorer or own in self.activated:
                raise _Reverted("CertificateBalanceAlreadyOpened")
            mark = own
        ended = self.revocations.get(own)
        if ended is not None and ended.since <= batch.anchored_at:
            raise _Reverted("CertificateBalanceRevokedElsewhere")
        if certificate.leaf_index >= batch.segments.origin_end or not is_there:
            raise _Reverted("CertificateBalanceNotIncluded")
        if self.statuses.get((certificate.batch_key, certificate.leaf_index), 0):
            raise _Reverted("CertificateBalanceNotActive")
        terms = self.terms_of_signature(call.issuer_key, call.issued_at, batch.anchored_at)
        held, late = terms.signed_under, terms.anchored_under
        now = self.accreditations.get(call.issuer_key)
        if now is not None and now.suspended_since is not None:
            raise _Reverted("CertificateBalanceIssuerSuspended")
        if now is None or held is None or late is None:
            raise _Reverted("CertificateBalanceIssuerNotAccredited")
        if not held.covers_chapter(call.chapter) or not held.held_at(call.issued_at):
            raise _Reverted("CertificateBalanceIssuerNotAccredited")
        if late.suspended_since is not None or has_ended(late, batch.anchored_at):
            raise _Reverted("CertificateBalanceIssuerNotAccredited")
        quantity, until = int.from_bytes(call.entry[1:17], "big"), call.valid_until or datetime.max.replace(tzinfo=UTC)
        remaining = quantity
        if call.superseded is not None:
            quantity, remaining = self._carry_over(call.superseded, certificate, quantity)
        self.balances[certificate] = CertificateBalance(quantity, remaining, 1, until)
        self.activated[mark] = batch.anchorer

    def _correct(self, activation: ActivateCertificate) -> None:
        held = self.balances.get(activation.certificate)
        if held is None:
            raise _Reverted("CertificateBalanceNotOpened")
        if held.remaining != held.quantity:
            raise _Reverted("CertificateBalanceInUse")
        until = activation.valid_until or datetime.max.replace(tzinfo=UTC)
        self.balances[activation.certificate] = replace(held, valid_until=until)

    def _publish(self, call: PublishRevocation, time: datetime) -> None:
        place = call.document
        batch, leaf = self.batches.get(place.batch_key), leaf_hash(call.entry)
        segments = Segments(0, 0, 0, 0) if batch is None else batch.segments
        root = InclusionProof(place.leaf_index, segments.size, call.path).root_from(leaf)
        is_declaration = segments.inspection_end <= place.leaf_index < segments.declaration_end
        if batch is None or root is None or is_declaration or not self._is_root_of(root, place.batch_key, batch):
            raise _Reverted("RevocationsNotIncluded")
        status = self.statuses.get((place.batch_key, place.leaf_index), 0)
        if status not in (DocumentStatus.REVOKED, DocumentStatus.SUPERSEDED):
            raise _Reverted("RevocationsNotEnded")
        keys = [
            key
            for key in (leaf, batch_key(batch.anchorer, leaf))
            if key not in self.revocations or self.revocations[key].since > batch.anchored_at
        ]
        if not keys:
            raise _Reverted("RevocationsKnown")
        self.revocations |= dict.fromkeys(keys, Revocation(status, batch.anchored_at, time))

    def _is_root_of(self, root: bytes, key: bytes, batch: AnchoredBatch) -> bool:
        return key == (batch_key(batch.anchorer, root) if self.has_keys else root)

    def _carry_over(self, superseded: LedgerRecord, certificate: LedgerRecord, quantity: int) -> tuple[int, int]:
        if self.statuses.get((superseded.batch_key, superseded.leaf_index), 0) != DocumentStatus.SUPERSEDED:
            raise _Reverted("CertificateBalanceNotSuperseded")
        if superseded not in self.balances:
            raise _Reverted("CertificateBalanceNotOpened")
        if superseded in self.carried:
            raise _Reverted("CertificateBalanceCarriedOver")
        before = self.balances[superseded]
        quantity, drawn = min(quantity, before.quantity), before.quantity - before.remaining
        if quantity < drawn:
            raise _Reverted("CertificateBalanceDrawnBeyond")
        self.balances[superseded] = replace(before, remaining=0)
        self.carried[superseded] = certificate
        return quantity, quantity - drawn

    def _draw(self, drawdown: LedgerDrawdown, time: datetime) -> None:
        certificate, declaration = drawdown.certificate, drawdown.declaration
        balance = self.balances.get(certificate)
        if balance is None:
            raise _Reverted("CertificateBalanceNotOpened")
        if not 0 < drawdown.quantity <= balance.remaining:
            raise _Reverted("CertificateBalanceOverdrawn")
        if balance.valid_until <= time:
            raise _Reverted("CertificateBalanceExpired")
        if self.statuses.get((certificate.batch_key, certificate.leaf_index), 0):
            raise _Reverted("CertificateBalanceNotActive")
        if not DeclarationStatus(self.statuses.get((declaration.batch_key, declaration.leaf_index), 0)).is_open:
            raise _Reverted("CertificateBalanceDeclarationEnded")
        self.balances[certificate] = replace(balance, remaining=balance.remaining - drawdown.quantity)

    def _refund_one(self, drawn: MakeDrawdowns, position: int) -> None:
        if drawn.set_root not in self.drawdown_sets:
            raise _Reverted("CertificateBalanceDrawUnknown")
        back, drawdown = self.drawdown_sets[drawn.set_root][1], drawn.drawdowns[position]
        if position in back:
            raise _Reverted("CertificateBalanceAlreadyGivenBack")
        if self.statuses.get((drawdown.declaration.batch_key, drawdown.declaration.leaf_index), 0) not in REFUNDING:
            raise _Reverted("CertificateBalanceDeclarationStands")
        back.add(position)
        certificate = drawdown.certificate
        while certificate in self.carried:
            certificate = self.carried[certificate]
        balance = self.balances[certificate]
        self.balances[certificate] = replace(balance, remaining=balance.remaining + drawdown.quantity)

    def _change(self, signer: str, key: bytes, places: Iterable[tuple[int, int]]) -> None:
        if key not in self.batches:
            raise _Reverted("TraceLedgerBatchUnknown")
        batch = self.batches[key]
        segments = batch.segments
        edges = _EDGES["anchorer" if signer in ANCHORERS else "office" if signer in self.offices else signer]
        if signer in self.offices and self.named.get(key) not in (0, None, self.offices[signer]):
            raise _Reverted("TraceLedgerOfficeOther")
        account = self.accounts.get(signer)
        if account is not None and not self.registered[account].roles:
            raise _Reverted("TraceLedgerRoleMissing")
        changed = {}
        for leaf_index, status in places:
            if leaf_index >= segments.size:
                raise _Reverted("TraceLedgerPlaceOutsideBatch")
            is_declaration = segments.inspection_end <= leaf_index < segments.declaration_end
            if (self.statuses.get((key, leaf_index), 0), status) not in edges[is_declaration]:
                raise _Reverted("TraceLedgerEdgeForbidden")
            if signer in ANCHORERS and ANCHORERS[signer] != batch.anchorer:
                raise _Reverted("TraceLedgerEdgeNotAllowed")
            changed[key, leaf_index] = status
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
        self.counts_quantities = self.publishes_revocations = self.gives_money = True
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

    def at_one_block(self) -> AbstractContextManager[None]:
        return nullcontext()

    def anchorer(self) -> int:
        self._answer()
        return ANCHORERS["anchorer"]

    def named_anchorer(self) -> NamedAnchorer:
        head = self.head()
        return NamedAnchorer(LedgerName(head.chain_id, head.instance_id, head.ledger_address.lower()), self.anchorer())

    @property
    def offices(self) -> frozenset[str]:
        return frozenset(self._state.offices) - {"office"}

    def account(self, name: str) -> str | None:
        return self._state.accounts.get(name)

    def agent(self, account: str) -> AgentAccount:
        self._answer()
        return self._state.registered.get(account, AgentAccount(0, 0))

    def prepare_account(self, name: str) -> str:
        fresh = "0x" + sha256(f"{name} {self._state.accounts}".encode()).hexdigest()[:40]
        return self._state.prepared.setdefault(name, fresh)

    def take_over_account(self, name: str, account: str) -> None:
        if self._state.prepared.get(name) == account:
            self._state.accounts[name] = self._state.prepared.pop(name)
            self._state.offices |= {name: self._state.registered[account].number} if name != "anchorer" else {}

    def office(self, code: str) -> int:
        self._answer()
        return self._state.offices.get(code, 0) if self._state.has_keys else 0

    def deciding_office(self, key: bytes) -> int:
        self._answer()
        return self._state.named.get(key, 0)

    def batch_key(self, root: bytes, transaction: bytes | None = None) -> bytes:
        self._answer()
        signer = "anchorer"
        for raw, (by, _, call) in self._signed.items():
            receipt = self._receipts.get(sha256(raw).digest())
            if sha256(raw).digest() == transaction and receipt is not None and receipt.succeeded:
                signer = by if isinstance(call, AnchorBatch) and call.root == root else signer
        return self._state.key(root, signer)

    def batch(self, key: bytes) -> AnchoredBatch | None:
        self._answer()
        return self._state.batches.get(key)

    def status(self, key: bytes, leaf_index: int) -> int:
        self._answer()
        return self._state.statuses.get((key, leaf_index), 0)

    def revocation(self, leaf: bytes, anchorer: int | None = None) -> Revocation | None:
        self._answer()
        return self._state.revocations.get(leaf if anchorer is None else batch_key(anchorer, leaf))

    def revocations(self) -> Iterator[tuple[bytes, LedgerRecord]]:
        self._answer()
        for block in self._blocks:
            for raw in block.transactions:
                call = self._signed[raw][2]
                if isinstance(call, PublishRevocation) and self._receipts[sha256(raw).digest()].succeeded:
                    yield leaf_hash(call.entry), call.document

    def accreditation(self, key: bytes) -> Accreditation | None:
        self._answer()
        return self._state.accreditations.get(key)

    def delay(self, call: LedgerCall) -> timedelta:
        self._answer()
        return self._state.delay if needs_notice(call) or isinstance(call, RotateKey) else timedelta(0)

    def announced(self, call: LedgerCall) -> datetime | None:
        self._answer()
        return self._state.announced.get(call)

    def operation(self, call: LedgerCall) -> bytes:
        return sha256(str(call).encode()).digest()

    def paused_until(self) -> datetime | None:
        self._answer()
        return self._state.paused_until

    def role_holders(self, accounts: Sequence[str]) -> RoleHolders | None:
        self._answer()
        if not self._state.has_keys:
            return None
        asked = dict.fromkeys([*self._state.accounts.values(), *accounts])
        held = [
            RoleHolder(role, account, *self._state.roles[role, account])
            for role in LedgerRole
            for account in asked
            if (role, account) in self._state.roles
        ]
        return RoleHolders(sum(role is LedgerRole.ADMIN for role, _ in self._state.roles), tuple(held))

    def read_address(self, typed: str) -> str | None:
        return typed if re.fullmatch("0x[0-9a-fA-F]{40}", typed) and int(typed, 16) else None

    def certificate_balance(self, certificate: LedgerRecord) -> CertificateBalance | None:
        self._answer()
        return self._state.balances.get(certificate)

    def carried_to(self, certificate: LedgerRecord) -> LedgerRecord | None:
        self._answer()
        return self._state.carried.get(certificate)

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
        return self._state.accreditation_at(key, time)

    def terms_of_signature(self, key: bytes, issued: datetime, anchored: datetime | None) -> SignatureTerms:
        self._answer()
        return self._state.terms_of_signature(key, issued, anchored)

    @property
    def lists_terms(self) -> bool:
        self._answer()
        return self._state.has_keys

    def history(self, key: bytes, first: int, count: int) -> KeyHistory | None:
        self._answer()
        if not self.lists_terms:
            raise Invalid("the contracts are of an earlier version and list no versions of a key's accreditation")
        return self._state.key_history(key, first, count)

    def accredited_keys(self) -> Iterator[bytes]:
        self._answer()
        return iter(list(self._state.accreditations))

    def next_nonce(self, signer: str) -> int:
        self._answer()
        return self._state.nonces.get(signer, 0)

    def sign(self, call: LedgerCall, nonce: int) -> SignedTransaction:
        self._answer()
        return self._sign(call, nonce, fee=1)

    def _sign(self, call: LedgerCall, nonce: int, fee: int) -> SignedTransaction:
        signer = signer_of(call)
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
            deepcopy(self._state).take(signer_of(call), call, self.clock.time)
        except _Reverted as refusal:
            raise LedgerRefused(str(refusal), error=str(refusal), arguments={}) from refusal

    def transactions_left(self) -> dict[str, int]:
        self._answer()
        return dict.fromkeys(("authority", "anchorer", "office"), 0 if self.poor else 1_000_000)

    def statuses(self, key: bytes, size: int) -> list[int]:
        self._answer()
        return [self._state.statuses.get((key, leaf_index), 0) for leaf_index in range(size)]

    def anchorings(self, key: bytes | None = None) -> Iterator[Anchoring]:
        self._answer()
        for block in self._blocks:
            for raw in block.transactions:
                (signer, _, call), transaction = self._signed[raw], sha256(raw).digest()
                if not isinstance(call, AnchorBatch) or not self._receipts[transaction].succeeded:
                    continue
                there, address = self._state.key(call.root, signer), "0x" + f"{ANCHORERS[signer]:02X}" * 20
                if key in (None, there):
                    yield Anchoring(there, transaction, block.number, block.block_hash, address)

    def anchoring_of(self, key: bytes, batch: AnchoredBatch) -> Anchoring | None:
        return next(self.anchorings(key), None)

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

    def give_account(self, *codes: str) -> None:
        """Register accounts of customs offices' own, as agents 11 and on."""
        self._state.offices |= {code: number for number, code in enumerate(codes, 11)}

    def name_office(self, root: bytes, number: int) -> None:
        """Let another agent decide in a batch, as its office may."""
        self._state.named[self.batch_key(root)] = number

    def act_as(self, signer: str, call: LedgerCall) -> bool:
        """Do something by another agent's account; tell whether the ledger took it."""
        raw = f"{signer} {self._state.nonces.get(signer, 0)} {call} 1".encode()
        self._signed[raw], self._fees[raw] = (signer, self._state.nonces.get(signer, 0), call), 1
        self.send(raw)
        return self._receipts[sha256(raw).digest()].succeeded

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
        # Each act is a version, also one that leaves the terms as they were.
        touched = (call.key, getattr(call, "successor", None)) if isinstance(call, _RECORDED) else ()
        for key in filter(None, touched):
            self._state.history.setdefault(key, []).append((time, self._state.accreditations[key]))
        return None

    def reorganise(self, depth: int) -> None:
        """Take away the last blocks; their transactions are forgotten, as by a node that never saw them."""
        kept = self._blocks[: len(self._blocks) - depth]
        fresh = _State(
            delay=self._state.delay,
            has_keys=self._state.has_keys,
            accounts=self._state.accounts,
            prepared=self._state.prepared,
        )
        self._state, self._receipts, self._blocks = fresh, {}, kept[:1]
        self._fork += 1
        for block in kept[1:]:
            for raw in block.transactions:
                refusal, key = self._run(raw, block.time), sha256(raw).digest()
                self._receipts[key] = Receipt(key, block.number, block.block_hash, block.time, refusal is None, refusal)
            self._blocks.append(block)

    def take_over(self) -> None:
        """Let this ledger take over another's history, as ``provenport chain deploy --again`` has it."""
        self._state.taken_over_until = self.clock.time + timedelta(days=3)

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
