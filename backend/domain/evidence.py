"""A record with what proves it: its inclusion proof, and where its batch is anchored."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from backend.domain import sd_jwt
from backend.domain.batch import Entry
from backend.domain.kinds import Kind
from backend.domain.merkle import InclusionProof


@dataclass(frozen=True)
class Anchor:
    """Where a root was written."""

    chain_id: int
    ledger: str
    instance_id: bytes
    root: bytes
    transaction: bytes
    block: int
    block_time: datetime


@dataclass(frozen=True)
class Evidence:
    """A record with its proof and anchor, as far as they exist yet."""

    record: sd_jwt.Record
    kind: Kind
    quantity: int
    proof: InclusionProof | None = None
    anchor: Anchor | None = None

    @property
    def entry(self) -> Entry:
        """The entry that the proof must lead from."""
        return Entry(self.kind, self.quantity, sha256(self.record.signed_jwt.encode()).digest())
