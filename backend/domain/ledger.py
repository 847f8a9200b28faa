"""The ledger's values: batches, accreditations, calls and their receipts, statuses and the allowed changes of status.

The numbers of statuses are those of the contracts (``contracts/src/ITraceLedger.sol``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import sha256

from backend.domain.evidence import LedgerName, Segments, Tree


def batch_key(anchorer: int, root: bytes) -> bytes:
    """Return the key of a batch on the ledger, from the number of the agent that anchors it and its root.

    Under its own key nobody else can anchor anything (BatchKey.sol). Ledgers of an earlier version know a batch by its
    root alone.
    """
    return sha256(anchorer.to_bytes(32, "big") + root).digest()


@dataclass(frozen=True)
class AnchoredBatch:
    """A batch as the ledger stores it under its key; ``anchorer`` is the number of the agent that anchored it."""

    anchored_at: datetime
    number: int
    anchorer: int
    segments: Segments


@dataclass(frozen=True)
class Anchoring:
    """Where on the chain a batch was anchored, and from which address."""

    batch_key: bytes
    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    anchorer: str


GRACE = timedelta(hours=72)
"""How long a record may lie between signing and anchoring before later terms must cover it too.

A record is anchored within minutes, and the longest outage that an operator should need to repair is a weekend.
"""


@dataclass(frozen=True)
class Accreditation:
    """What an issuer's key may sign, by kind, HS chapter and time.

    ``kinds`` has bit ``1 << accreditation bit`` for each kind. ``chapters`` has bit ``1 << chapter`` for HS chapters 1
    to 97; bit 0 means every chapter. ``valid_until`` is exclusive. From ``suspended_since`` on the authority no longer
    vouches for the key, which ends trust in everything checked from then on.
    """

    kinds: int
    chapters: int
    valid_from: datetime
    valid_until: datetime
    suspended_since: datetime | None = None

    def covers_kind(self, bit: int) -> bool:
        """Tell whether records of the kinds with this accreditation bit are covered."""
        return bool(self.kinds >> bit & 1)

    def covers_chapter(self, chapter: int) -> bool:
        """Tell whether goods of this HS chapter are covered."""
        return bool(self.chapters & 1 or self.chapters >> chapter & 1)

    def held_at(self, moment: datetime) -> bool:
        """Tell whether the accreditation was in force at that moment, and not suspended."""
        suspended = self.suspended_since is not None and self.suspended_since <= moment
        return self.valid_from <= moment < self.valid_until and not suspended


LAST_SECOND = 253402300799
"""The last second of the year 9999 and of ``datetime``. The contracts' largest time, "no end", lies beyond."""


def ledger_time(seconds: int) -> datetime:
    """Return a time of the ledger, in seconds since 1970, as a datetime: the last one there is where it lies beyond."""
    return datetime.fromtimestamp(min(seconds, LAST_SECOND), UTC)


def has_ended(late: Accreditation, anchored: datetime) -> bool:
    """Tell whether the terms of the anchoring had ended the grace before it: their key may have dated a record back."""
    return anchored - late.valid_until >= GRACE


def accreditation_in(terms: Sequence[int]) -> Accreditation | None:
    """Return terms from the contract's numbers: kinds, chapters, from, until, suspended since. None if it has none."""
    kinds, chapters, start, end, since = terms
    if kinds == 0:
        return None
    return Accreditation(kinds, chapters, ledger_time(start), ledger_time(end), ledger_time(since) if since else None)


def accreditation_at(then: Accreditation | None, now: Accreditation | None) -> Accreditation | None:
    """Return the terms that count for a key at a past moment.

    These are the terms on the ledger then, with the earliest known suspension. A key that was found to be stolen was no
    better before that was known. A suspension that was lifted later still applied then.
    """
    terms = then or now
    if terms is None:
        return None
    # The earliest of both, also of one that is lifted now: what was signed under a suspension stays INVALID (decision
    # 0019).
    moments = [held.suspended_since for held in (then, now) if held is not None and held.suspended_since is not None]
    return replace(terms, suspended_since=min(moments) if moments else None)


@dataclass(frozen=True)
class Head:
    """The newest block, and the deployment that was read."""

    chain_id: int
    number: int
    block_hash: bytes
    block_time: datetime
    instance_id: bytes
    ledger_address: str
    accreditation_address: str
    revocations_address: str | None = None

    @property
    def ledger_name(self) -> LedgerName:
        """The identity of the ledger that was read."""
        return LedgerName(self.chain_id, self.instance_id, self.ledger_address.lower())


@dataclass(frozen=True)
class SignedTransaction:
    """A transaction that is stored before it is sent: the same bytes may be sent any number of times."""

    signer: str
    nonce: int
    raw: bytes
    transaction_hash: bytes


@dataclass(frozen=True)
class Receipt:
    """The outcome of a mined transaction; ``refusal`` names the contract's error where it failed and that is known."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    block_time: datetime
    succeeded: bool
    refusal: str | None = None


@dataclass(frozen=True)
class AnchorBatch:
    """Write a batch's root to the ledger; signed by the anchorer.

    ``office`` is the number of the agent that alone decides on the declarations of the batch, or 0 for any office.
    """

    root: bytes
    segments: Segments
    office: int = 0


@dataclass(frozen=True)
class ChangeStatuses:
    """Set statuses of leaves in one batch, all or none; signed by the account whose role allows these changes."""

    batch_key: bytes
    places: tuple[tuple[int, int], ...] = field(metadata={"of": "(place, new status)"})
    reason_digest: bytes
    by: str = "anchorer"


@dataclass(frozen=True)
class Accredit:
    """Accredit an issuer's key; signed by the authority."""

    key: bytes
    accreditation: Accreditation


@dataclass(frozen=True)
class SuspendAccreditation:
    """Suspend a key from a moment on, or lift the suspension with None; signed by the authority."""

    key: bytes
    since: datetime | None


@dataclass(frozen=True)
class CancelNonce:
    """Use up a nonce with an empty transaction, so that transactions behind a gap in the nonces can be mined."""

    by: str


@dataclass(frozen=True)
class RotateKey:
    """Replace an issuer's key by a new one from this block on; signed by the authority."""

    key: bytes
    successor: bytes


@dataclass(frozen=True)
class LedgerRecord:
    """A record by its place in an anchored batch."""

    batch_key: bytes
    leaf_index: int


@dataclass(frozen=True)
class Revocation:
    """What is published of a record itself, wherever it was anchored: that it was revoked or superseded.

    ``since`` is when the batch was anchored in which the record has ended. It counts for every batch that was anchored
    then or later, so that a copy of another anchorer ends no record that was anchored before it.
    """

    status: int
    since: datetime
    published_at: datetime

    def covers(self, anchored_at: datetime) -> bool:
        """Tell whether it counts for a batch that was anchored at that time."""
        return self.since <= anchored_at


def earliest(published: Iterable[Revocation | None]) -> Revocation | None:
    """Return the revocation that reaches furthest back, or None where there is none."""
    return min((one for one in published if one is not None), key=lambda one: one.since, default=None)


@dataclass(frozen=True)
class ProvenEntry:
    """A record on the ledger with its entry and the path that proves it there."""

    record: LedgerRecord
    entry: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class CertificateBalance:
    """An activated certificate: its quantity and what remains, in thousandths of its unit.

    A certificate that goes on with the account of a superseded one covers what that one covered, where that is less.
    ``issuer`` is the number of its issuer's key in the accreditation contract.
    """

    quantity: int
    remaining: int
    issuer: int
    valid_until: datetime


@dataclass(frozen=True)
class ActivateCertificate:
    """Activate a certificate of origin for drawdowns; signed by the anchorer of its batch.

    The entry and its path prove the quantity. The rest is the anchorer's statement, because the ledger cannot read the
    certificate. ``valid_until`` is exclusive, and None where the certificate does not expire. ``superseded`` is the
    certificate whose account it goes on with: what was drawn of that one counts against it. ``is_named`` states that
    the certificate names this anchorer, and may thus be activated where another has activated a copy of it.
    """

    certificate: LedgerRecord
    entry: bytes
    path: tuple[bytes, ...]
    issuer_key: bytes
    chapter: int
    issued_at: datetime
    valid_until: datetime | None = None
    superseded: LedgerRecord | None = None
    is_named: bool = False


@dataclass(frozen=True)
class LedgerDrawdown:
    """Use a part of a certificate's quantity for a declaration."""

    certificate: LedgerRecord
    declaration: LedgerRecord
    quantity: int

    @property
    def leaf(self) -> bytes:
        """The leaf of the drawdown in its set's tree: the five fields as 32 bytes each."""
        # CertificateBalance.sol hashes a drawdown's call data as they stand: words of 32 bytes, numbers big-endian.
        return b"".join(
            field if isinstance(field, bytes) else field.to_bytes(32, "big")
            for field in (
                self.certificate.batch_key,
                self.certificate.leaf_index,
                self.declaration.batch_key,
                self.declaration.leaf_index,
                self.quantity,
            )
        )


@dataclass(frozen=True)
class MakeDrawdowns:
    """Draw certificates down for declarations, all or none; signed by the anchorer of the declarations."""

    drawdowns: tuple[LedgerDrawdown, ...]

    @property
    def set_root(self) -> bytes:
        """The identifier of these drawdowns on the ledger: the root of the tree over them."""
        return Tree([drawdown.leaf for drawdown in self.drawdowns]).root


@dataclass(frozen=True)
class DrawdownSet:
    """The drawdowns of one call, from the ledger's events, and which of them were refunded since."""

    made: MakeDrawdowns
    refunded: frozenset[int]
    transaction_hash: bytes
    block_number: int


@dataclass(frozen=True)
class RefundDrawdown:
    """Refund one drawdown of a set, after its declaration was rejected, returned or withdrawn."""

    made: MakeDrawdowns
    position: int


@dataclass(frozen=True)
class PublishRevocation:
    """Publish that a document is revoked wherever it stands, by its proof from where the ledger says so.

    Anybody may; our anchorer signs it.
    """

    document: LedgerRecord
    entry: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class CorrectActivation:
    """State anew what an activation stated, while nothing of the certificate is drawn down; signed by its anchorer."""

    activation: ActivateCertificate


@dataclass(frozen=True)
class AllowDrawdowns:
    """Let the agent at an account draw down the certificates that our anchorer anchored, or no longer; signed by it."""

    account: str
    is_allowed: bool


@dataclass(frozen=True)
class SetOffice:
    """Let another office, by its number, decide on a batch's declarations; signed by the office that does now."""

    batch_key: bytes
    office: int
    by: str


@dataclass(frozen=True)
class RegisterAgent:
    """Give an account (0x and 40 hex digits) these roles (bits of ``Agent``) and no others; signed by the authority.

    It also lifts a suspension.
    """

    account: str
    roles: int


@dataclass(frozen=True)
class SuspendAgent:
    """Take all roles of an account away at once; signed by the authority."""

    account: str


@dataclass(frozen=True)
class MoveAgent:
    """Let an agent act from another account, with its roles and batches; signed by the authority.

    The former account never acts again.
    """

    account: str
    successor: str


@dataclass(frozen=True)
class FundAccount:
    """Give an account money for its transactions, from the authority's, where money has no value."""

    account: str


@dataclass(frozen=True)
class PauseLedger:
    """Stop every write except suspensions and revocations, or end the pause; signed by the authority."""

    paused: bool = True


@dataclass(frozen=True)
class RenewPause:
    """Let the ledger be paused for 72 hours from now, also where a pause stands; signed by the authority."""


class LedgerRole(IntEnum):
    """The roles over the contracts, by their numbers in the access manager (IAccessRules.sol)."""

    ADMIN = 0
    """Gives and takes roles."""
    AUTHORITY = 1
    """Accredits keys, rotates them, and lifts suspensions."""
    BRAKE = 2
    """Pauses the ledger and suspends keys. It only takes trust away, and never waits."""
    REGISTRAR = 3
    """Registers and moves anchorers and offices, ends a pause, and names the contract that counts drawdowns."""
    GUARDIAN = 4
    """Cancels announced changes that are not yet done."""
    REMOVAL = 6
    """Takes agents' roles away and renews a pause, and never waits. No guardian has it: nobody could undo its acts."""
    REVOCATION = 7
    """Revokes documents in the authority's name."""

    @property
    def acts_at_once(self) -> bool:
        """Whether its acts are never announced: they take trust away and give none."""
        return self in (LedgerRole.BRAKE, LedgerRole.REMOVAL, LedgerRole.GUARDIAN)


@dataclass(frozen=True)
class GrantRole:
    """Give an account a role over the contracts; signed by the admin.

    ``notice_seconds`` is how long before each act in this role it must be announced.
    """

    role: LedgerRole
    account: str
    notice_seconds: int = 0


@dataclass(frozen=True)
class RevokeRole:
    """Take a role over the contracts away from an account; signed by the admin."""

    role: LedgerRole
    account: str


Announceable = (
    Accredit
    | SuspendAccreditation
    | RotateKey
    | RegisterAgent
    | SuspendAgent
    | MoveAgent
    | PauseLedger
    | RenewPause
    | GrantRole
    | RevokeRole
)
"""Calls that need notice, where the ledger asks for it of the account that signs them."""


@dataclass(frozen=True)
class Announce:
    """Announce a call that the ledger does not accept at once; signed by the account that will make it."""

    call: Announceable


@dataclass(frozen=True)
class CancelAnnounced:
    """Cancel an announced call that is not made yet; signed by the guardian, or by the account that announced it."""

    call: Announceable
    by: str = "guardian"


LedgerCall = (
    AnchorBatch
    | ChangeStatuses
    | Accredit
    | SuspendAccreditation
    | RotateKey
    | ActivateCertificate
    | MakeDrawdowns
    | RefundDrawdown
    | PublishRevocation
    | CorrectActivation
    | AllowDrawdowns
    | SetOffice
    | RegisterAgent
    | SuspendAgent
    | MoveAgent
    | FundAccount
    | Announce
    | CancelAnnounced
    | PauseLedger
    | RenewPause
    | GrantRole
    | RevokeRole
    | CancelNonce
)


class DocumentStatus(IntEnum):
    """Status of a certificate, a report or another document (4 bits on the ledger)."""

    ACTIVE = 0
    SUSPENDED = 1
    REVOKED = 2
    SUPERSEDED = 3


class DeclarationStatus(IntEnum):
    """Status of a declaration (4 bits on the ledger)."""

    LODGED = 0
    DOCUMENTS_REQUIRED = 1
    EXAMINATION = 2
    DETAINED = 3
    RELEASED = 4
    REJECTED = 5
    RETURNED = 6
    SEIZED = 7
    WITHDRAWN = 8

    @property
    def is_open(self) -> bool:
        """Whether customs may still decide."""
        return self <= DeclarationStatus.DETAINED


class Agent(IntEnum):
    """The roles of an account on the ledger, as bits."""

    ANCHORER = 1
    OFFICE = 2
    AUTHORITY = 4


@dataclass(frozen=True)
class AgentAccount:
    """What the ledger says of an account: its agent's number and roles (bits of ``Agent``), and what took its place.

    Number and roles are 0 where it is no agent's. A number without roles is that of a suspended one.
    """

    number: int
    roles: int
    successor: str | None = None


@dataclass(frozen=True)
class RoleHolder:
    """Who has a role over the contracts, from when on, and how long before each of its acts must be announced."""

    role: LedgerRole
    account: str
    since: datetime
    notice_seconds: int


@dataclass(frozen=True)
class RoleHolders:
    """Which of the accounts that were asked about have which roles, and how many accounts administer in all."""

    admins: int
    holders: tuple[RoleHolder, ...]

    def of(self, role: LedgerRole) -> list[RoleHolder]:
        """Return who has a role, the first in the order of the question."""
        return [one for one in self.holders if one.role is role]


_S, _D, _A = DocumentStatus, DeclarationStatus, Agent
_OPEN = (_D.LODGED, _D.DOCUMENTS_REQUIRED, _D.EXAMINATION, _D.DETAINED)
# Nothing leads back to LODGED (ITraceLedger.sol).
_KEEP = _OPEN[1:]
_END = (_D.RELEASED, _D.REJECTED, _D.RETURNED, _D.SEIZED)

DOCUMENT_EDGES: frozenset[tuple[DocumentStatus, DocumentStatus]] = frozenset(
    {
        (_S.ACTIVE, _S.SUSPENDED),
        (_S.SUSPENDED, _S.ACTIVE),
        *((a, b) for a in (_S.ACTIVE, _S.SUSPENDED) for b in (_S.REVOKED, _S.SUPERSEDED)),
    }
)
"""Changes of a document's status that its anchorer may make, for the issuers it serves."""

AUTHORITY_EDGES: frozenset[tuple[DocumentStatus, DocumentStatus]] = frozenset(
    # Who suspended lifts: each side suspends for itself, and the document is active when neither does.
    {(_S.ACTIVE, _S.SUSPENDED), (_S.SUSPENDED, _S.ACTIVE)}
)
"""Changes of a document's status that the authority may make at once. It revokes by an announced call of its own."""

OFFICE_EDGES: frozenset[tuple[DeclarationStatus, DeclarationStatus]] = frozenset(
    {(a, b) for a in _OPEN for b in (*_KEEP, *_END) if a != b}
)
"""Changes of a declaration's status that a customs office may make."""

WITHDRAWAL_EDGES: frozenset[tuple[DeclarationStatus, DeclarationStatus]] = frozenset(
    # Not from where customs have begun to act on the goods.
    {(_D.LODGED, _D.WITHDRAWN), (_D.DOCUMENTS_REQUIRED, _D.WITHDRAWN)}
)
"""Changes of a declaration's status that its anchorer may make, for the merchant."""
