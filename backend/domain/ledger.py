"""What the ledger knows, as values: batches, accreditations, calls and what became of them, statuses and their edges.

The numbers of the statuses are those of the contracts: ``contracts/src/ITraceLedger.sol`` states the same ones.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum

from backend.domain.evidence import Segments, Tree


@dataclass(frozen=True)
class AnchoredBatch:
    """A batch as the ledger holds it under its root."""

    root: bytes
    anchored_at: datetime
    number: int
    anchorer: int
    segments: Segments


@dataclass(frozen=True)
class Anchoring:
    """Where on the chain a batch was anchored, and from which address."""

    root: bytes
    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    anchorer: str


@dataclass(frozen=True)
class Accreditation:
    """What an issuer's key may sign, by kind, HS chapter and time.

    ``kinds`` has bit ``1 << kind`` for each kind; ``chapters`` has bit ``1 << chapter`` for HS chapters 1 to 97
    (bit 0: every chapter). ``valid_until`` is exclusive. ``suspended_since`` is set from the moment on which the
    authority no longer stands behind the key; it ends trust in everything checked from then on.
    """

    kinds: int
    chapters: int
    valid_from: datetime
    valid_until: datetime
    suspended_since: datetime | None = None

    def covers_kind(self, bit: int) -> bool:
        """Whether records of the kinds with this accreditation bit are covered."""
        return bool(self.kinds >> bit & 1)

    def covers_chapter(self, chapter: int) -> bool:
        """Whether goods of this HS chapter are covered."""
        return bool(self.chapters & 1 or self.chapters >> chapter & 1)

    def held_at(self, moment: datetime) -> bool:
        """Whether the accreditation stood at that moment, suspension included."""
        suspended = self.suspended_since is not None and self.suspended_since <= moment
        return self.valid_from <= moment < self.valid_until and not suspended


def accreditation_at(then: Accreditation | None, now: Accreditation | None) -> Accreditation | None:
    """What counts of a key at a past moment: the terms that the ledger held then, and every suspension since known.

    A key that turned out to be stolen was no better before anybody knew; a suspension that was lifted later still
    stood then.
    """
    terms = then or now
    if terms is None:
        return None
    moments = [held.suspended_since for held in (then, now) if held is not None and held.suspended_since is not None]
    return replace(terms, suspended_since=min(moments) if moments else None)


@dataclass(frozen=True)
class Head:
    """The newest block and the deployment that was read."""

    chain_id: int
    number: int
    block_hash: bytes
    block_time: datetime
    instance_id: bytes
    ledger_address: str
    accreditation_address: str


@dataclass(frozen=True)
class SignedTransaction:
    """A transaction ready to be kept, then sent: the same bytes may be sent any number of times."""

    signer: str
    nonce: int
    raw: bytes
    transaction_hash: bytes


@dataclass(frozen=True)
class Receipt:
    """What became of a mined transaction; ``refusal`` names the custom error where it failed and that is known."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    block_time: datetime
    succeeded: bool
    refusal: str | None = None


@dataclass(frozen=True)
class AnchorBatch:
    """Write a batch's root to the ledger. Signed by the anchorer."""

    root: bytes
    segments: Segments


@dataclass(frozen=True)
class ChangeStatuses:
    """Give places of one batch new statuses, all or none. Signed by the account whose role may take the edges."""

    root: bytes
    places: tuple[tuple[int, int], ...] = field(metadata={"of": "(place, new status)"})
    reason_digest: bytes
    by: str = "anchorer"


@dataclass(frozen=True)
class Accredit:
    """Accredit an issuer's key. Signed by the authority."""

    key: bytes
    accreditation: Accreditation


@dataclass(frozen=True)
class SuspendAccreditation:
    """No longer stand behind a key, from a moment on; None lifts the suspension. Signed by the authority."""

    key: bytes
    since: datetime | None


@dataclass(frozen=True)
class CancelNonce:
    """Send an empty transaction under a nonce, so that those behind a gap in an account's nonces can go on."""

    by: str


@dataclass(frozen=True)
class RotateKey:
    """Let a new key take the place of an issuer's earlier one, from the block on. Signed by the authority."""

    key: bytes
    successor: bytes


@dataclass(frozen=True)
class LedgerRecord:
    """A record by its place in an anchored batch."""

    root: bytes
    leaf_index: int


@dataclass(frozen=True)
class CertificateBalance:
    """An opened certificate: what it covers and what is left, in the steps of its entry.

    ``issuer`` is the number of its issuer's key in the accreditation.
    """

    quantity: int
    remaining: int
    issuer: int
    valid_until: datetime


@dataclass(frozen=True)
class ActivateCertificate:
    """Let a certificate of origin be drawn. Signed by the anchorer of its batch.

    The entry and its path bind the quantity; the rest is the anchorer's statement, since the ledger cannot read the
    certificate. ``valid_until`` is exclusive, and None where the certificate has no end.
    """

    certificate: LedgerRecord
    entry: bytes
    path: tuple[bytes, ...]
    issuer_key: bytes
    chapter: int
    issued_at: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True)
class LedgerDrawdown:
    """Use a part of a certificate's quantity for a declaration."""

    certificate: LedgerRecord
    declaration: LedgerRecord
    quantity: int

    @property
    def leaf(self) -> bytes:
        """What stands for the drawdown in the tree over its drawdown set: the five fields as 32 bytes each."""
        return b"".join(
            field if isinstance(field, bytes) else field.to_bytes(32, "big")
            for field in (
                self.certificate.root,
                self.certificate.leaf_index,
                self.declaration.root,
                self.declaration.leaf_index,
                self.quantity,
            )
        )


@dataclass(frozen=True)
class MakeDrawdowns:
    """Draw certificates for declarations, all or none. Signed by the anchorer of the declarations."""

    drawdowns: tuple[LedgerDrawdown, ...]

    @property
    def set_root(self) -> bytes:
        """By what the ledger knows these drawdowns: the root of the tree over them."""
        return Tree([drawdown.leaf for drawdown in self.drawdowns]).root


@dataclass(frozen=True)
class DrawdownSet:
    """Drawdowns as the ledger's events tell of them: all of one call, and which of them were refunded since."""

    made: MakeDrawdowns
    refunded: frozenset[int]
    transaction_hash: bytes
    block_number: int


@dataclass(frozen=True)
class RefundDrawdown:
    """Refund one of the drawdowns made together, once its declaration was rejected, returned or withdrawn."""

    made: MakeDrawdowns
    position: int


@dataclass(frozen=True)
class Announce:
    """Announce one of the authority's changes that the ledger does not take at once. Signed by the authority."""

    call: Accredit | SuspendAccreditation | RotateKey


@dataclass(frozen=True)
class CancelAnnounced:
    """Take back what was announced and not yet done. Signed by the guardian."""

    call: Accredit | SuspendAccreditation | RotateKey


@dataclass(frozen=True)
class PauseLedger:
    """Stop every write but suspensions and revocations, or end the pause. Signed by the authority."""

    paused: bool = True


LedgerCall = (
    AnchorBatch
    | ChangeStatuses
    | Accredit
    | SuspendAccreditation
    | RotateKey
    | ActivateCertificate
    | MakeDrawdowns
    | RefundDrawdown
    | Announce
    | CancelAnnounced
    | PauseLedger
    | CancelNonce
)


class DocumentStatus(IntEnum):
    """Standing of a certificate, a report or another document (4 bits on the ledger)."""

    ACTIVE = 0
    SUSPENDED = 1
    REVOKED = 2
    SUPERSEDED = 3


class DeclarationStatus(IntEnum):
    """Standing of a declaration (4 bits on the ledger)."""

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
    """Who may take an edge on the ledger: bits of an agent's roles."""

    ANCHORER = 1
    OFFICE = 2
    AUTHORITY = 4


_S, _D, _A = DocumentStatus, DeclarationStatus, Agent
_OPEN = (_D.LODGED, _D.DOCUMENTS_REQUIRED, _D.EXAMINATION, _D.DETAINED)
_KEEP = _OPEN[1:]
_END = (_D.RELEASED, _D.REJECTED, _D.RETURNED, _D.SEIZED)

DOCUMENT_EDGES: frozenset[tuple[DocumentStatus, DocumentStatus]] = frozenset(
    {
        (_S.ACTIVE, _S.SUSPENDED),
        (_S.SUSPENDED, _S.ACTIVE),
        *((a, b) for a in (_S.ACTIVE, _S.SUSPENDED) for b in (_S.REVOKED, _S.SUPERSEDED)),
    }
)
"""Edges of a document; its anchorer (for the issuers it serves) or the authority may take them."""

OFFICE_EDGES: frozenset[tuple[DeclarationStatus, DeclarationStatus]] = frozenset(
    {(a, b) for a in _OPEN for b in (*_KEEP, *_END) if a != b}
)
"""Edges of a declaration that a customs office may take."""

WITHDRAWAL_EDGES: frozenset[tuple[DeclarationStatus, DeclarationStatus]] = frozenset(
    {(_D.LODGED, _D.WITHDRAWN), (_D.DOCUMENTS_REQUIRED, _D.WITHDRAWN)}
)
"""Edges of a declaration that its anchorer may take, for the merchant."""
