"""Entries and batches: what of a record goes into the tree, and in which order."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from backend.domain.kinds import KINDS, Kind, Segment
from backend.domain.ledger import Segments
from backend.domain.merkle import InclusionProof, Tree
from backend.domain.message import Message

QUANTITY_STEPS = 1000
"""An entry counts its quantity in thousandths of the record's own unit."""
LARGEST_BATCH = 2**24


def quantity_steps(quantity: Decimal) -> int:
    """A quantity as the whole number of thousandths that an entry carries; ValueError where it has more digits."""
    steps = quantity * QUANTITY_STEPS
    if steps != steps.to_integral_value() or not 0 <= steps < 2**128:
        raise ValueError(Message("{quantity} is not a positive number with at most three decimals", quantity=quantity))
    return int(steps)


@dataclass(frozen=True)
class Entry:
    """What stands for a record in a batch: kind (1 byte), quantity (16 bytes), SHA-256 of its issuer-signed JWT."""

    kind: Kind
    quantity: int
    digest: bytes

    @classmethod
    def of(cls, kind: Kind, quantity: Decimal | None, signed_jwt: str) -> "Entry":
        """The entry of a signed record; quantity is None for kinds that have none."""
        return cls(kind, quantity_steps(quantity or Decimal(0)), sha256(signed_jwt.encode("ascii")).digest())

    def encode(self) -> bytes:
        """The 49 bytes that are hashed as a leaf."""
        return bytes([self.kind]) + self.quantity.to_bytes(16, "big") + self.digest


@dataclass(frozen=True)
class Batch:
    """A sealed batch: entries in the order of their lanes, and their tree."""

    entries: tuple[Entry, ...]
    tree: Tree

    @property
    def root(self) -> bytes:
        """The root to anchor."""
        return self.tree.root

    @property
    def segments(self) -> Segments:
        """Where the lanes end."""
        standing = [KINDS[entry.kind].segment for entry in self.entries]
        ends = [bisect_right(standing, segment) for segment in Segment]
        return Segments(ends[0], ends[1], ends[2], len(self.entries))

    def proof(self, leaf_index: int) -> InclusionProof:
        """The inclusion proof of the entry at this place."""
        return self.tree.proof(leaf_index)

    def proofs(self) -> list[InclusionProof]:
        """The inclusion proofs of all entries, in order."""
        return self.tree.proofs()


def seal(entries: Sequence[Entry]) -> Batch:
    """Close a batch. The entries must already stand in the order of their lanes."""
    segments = [KINDS[entry.kind].segment for entry in entries]
    if segments != sorted(segments):
        raise ValueError("entries must stand in the order of their lanes")
    if len(entries) > LARGEST_BATCH:
        raise ValueError(Message("a batch holds at most {most} entries", most=LARGEST_BATCH))
    return Batch(tuple(entries), Tree([entry.encode() for entry in entries]))
