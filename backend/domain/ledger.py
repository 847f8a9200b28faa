"""What the ledger knows, as values: batches, accreditations, acts and what became of them."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Lanes:
    """Where the lanes of a batch end: origin, inspection and declaration; the rest is other. Counts of entries."""

    origin_end: int
    inspection_end: int
    declaration_end: int
    size: int


@dataclass(frozen=True)
class AnchoredBatch:
    """A batch as the ledger holds it under its root."""

    root: bytes
    anchored_at: datetime
    number: int
    anchorer: int
    lanes: Lanes


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

    def covers_kind(self, kind: int) -> bool:
        """Whether records of this kind are covered."""
        return bool(self.kinds >> kind & 1)

    def covers_chapter(self, chapter: int) -> bool:
        """Whether goods of this HS chapter are covered."""
        return bool(self.chapters & 1 or self.chapters >> chapter & 1)

    def held_at(self, moment: datetime) -> bool:
        """Whether the accreditation stood at that moment, suspension included."""
        suspended = self.suspended_since is not None and self.suspended_since <= moment
        return self.valid_from <= moment < self.valid_until and not suspended


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
    lanes: Lanes


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
class UseUpNonce:
    """Do nothing, so that the transactions behind a gap in an account's numbers can go on."""

    by: str


Act = AnchorBatch | ChangeStatuses | Accredit | SuspendAccreditation | UseUpNonce
