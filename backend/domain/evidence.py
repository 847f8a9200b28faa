"""What proves a record: its entry in a batch, the batch's Merkle tree, the inclusion proof, and where that is anchored.

Trees are those of RFC 9162, section 2.1, over SHA-256: a leaf is SHA-256(0x00 ‖ entry), a node is SHA-256(0x01 ‖ left ‖
right), and an odd node is promoted to the next level.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from typing import Any

from backend.domain import sd_jwt
from backend.domain.errors import Message
from backend.domain.kinds import KINDS, Kind, Segment


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf (32 bytes)."""
    # Different prefixes for leaves and nodes (domain separation): without them an inner node could be presented as an
    # entry, a second preimage.
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (32 bytes)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class InclusionProof:
    """The path from one leaf of a sealed batch to its root (RFC 9162, section 2.1.3)."""

    leaf_index: int
    size: int
    path: tuple[bytes, ...]

    def root_from(self, leaf: bytes) -> bytes | None:
        """Return the root that the path leads to from this leaf (RFC 9162, section 2.1.3.2).

        None means that the path does not fit this place, or that a part is not a 32-byte hash.
        """
        if not 0 <= self.leaf_index < self.size or any(len(node) != 32 for node in (leaf, *self.path)):
            return None
        leaf_index, last, result = self.leaf_index, self.size - 1, leaf
        for node in self.path:
            if last == 0:
                return None
            # A right child, or the last node of an odd level: that one was promoted until it became a right child.
            if leaf_index & 1 or leaf_index == last:
                result = node_hash(node, result)
                # Skip the levels on which this node was promoted without a sibling.
                while not leaf_index & 1 and leaf_index:
                    leaf_index >>= 1
                    last >>= 1
            else:
                result = node_hash(result, node)
            leaf_index >>= 1
            last >>= 1
        return result if last == 0 else None

    def proves(self, entry: bytes, root: bytes) -> bool:
        """Tell whether the entry is at this place of the batch with this root."""
        return self.leads_from(leaf_hash(entry), root)

    def leads_from(self, leaf: bytes, root: bytes) -> bool:
        """Tell whether the leaf is at this place of the batch with this root."""
        return self.root_from(leaf) == root


class Tree:
    """All levels of a tree, so that every proof can be read from them. It takes 64 bytes of hashes per entry.

    Raises:
        ValueError: if there are no entries.
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        if not entries:
            raise ValueError("a tree needs at least one entry")
        self._levels = [[leaf_hash(entry) for entry in entries]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            above = [node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            # An odd node is promoted, never paired with itself: that would give two lists of entries the same root
            # (CVE-2012-2459).
            self._levels.append([*above, below[-1]] if len(below) % 2 else above)

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """The 32-byte root."""
        return self._levels[-1][0]

    def proof(self, leaf_index: int) -> InclusionProof:
        """Return the inclusion proof of the entry at this place.

        Raises:
            IndexError: if there is no such place.
        """
        if not 0 <= leaf_index < self.size:
            raise IndexError(leaf_index)
        path, position = [], leaf_index
        for level in self._levels[:-1]:
            sibling = position ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            position >>= 1
        return InclusionProof(leaf_index, self.size, tuple(path))

    def proofs(self) -> list[InclusionProof]:
        """Return the inclusion proofs of all entries, in order.

        They are built from the root down, each node's path once.
        """
        paths: list[tuple[bytes, ...]] = [()]
        for level in reversed(self._levels[:-1]):
            size = len(level)
            paths = [
                (level[i ^ 1], *paths[i >> 1]) if i ^ 1 < size else paths[i >> 1]  # an odd last node has no sibling
                for i in range(size)
            ]
        return [InclusionProof(leaf_index, self.size, path) for leaf_index, path in enumerate(paths)]


# The contracts count in whole numbers, which is all that the EVM has; three decimals are what ``fields.Quantity``
# takes.
_STATED_QUANTITY = re.compile(r"[0-9]{1,36}(\.[0-9]{1,3})?")
QUANTITY_STEPS = 1000
"""An entry counts its quantity in thousandths of the record's own unit."""
# MAX_SIZE of TraceLedger.sol, which refuses a larger batch.
LARGEST_BATCH = 2**24


def quantity_steps(quantity: Decimal) -> int:
    """Return a quantity as the whole number of thousandths that an entry carries.

    Raises:
        ValueError: if it has more than three decimals, is negative, or does not fit 128 bits.
    """
    steps = quantity * QUANTITY_STEPS
    if steps != steps.to_integral_value() or not 0 <= steps < 2**128:
        raise ValueError(Message("{quantity} is not a positive number with at most three decimals", quantity=quantity))
    return int(steps)


def steps_of(stated: Any) -> int | None:
    """Return a stated quantity in thousandths, or None where it is not in the one accepted spelling.

    There is only one, so that verifiers in every language read the same number.
    """
    # 36 digits and three decimals are the 39 digits of 2^128, so int() never gets a text of any length.
    if not isinstance(stated, str) or not _STATED_QUANTITY.fullmatch(stated):
        return None
    whole, _, decimals = stated.partition(".")
    steps = int(whole + decimals.ljust(3, "0"))
    return steps if steps < 2**128 else None


@dataclass(frozen=True)
class Entry:
    """A record's entry in a batch: kind (1 byte), quantity (16 bytes), SHA-256 of its issuer-signed JWT (32 bytes)."""

    kind: Kind
    quantity: int
    digest: bytes

    @classmethod
    def of(cls, kind: Kind, quantity: Decimal | None, signed_jwt: str) -> "Entry":
        """Return the entry of a signed record; ``quantity`` is None for kinds that have none.

        Raises:
            ValueError: if the quantity has more than three decimals.
        """
        return cls(kind, quantity_steps(quantity or Decimal(0)), sha256(signed_jwt.encode("ascii")).digest())

    def encode(self) -> bytes:
        """Return the 49 bytes that are hashed as a leaf."""
        # CertificateBalance.sol reads kind and quantity off these places, so the entry and its path prove a quantity
        # there.
        return bytes([self.kind]) + self.quantity.to_bytes(16, "big") + self.digest


@dataclass(frozen=True)
class Segments:
    """Where the segments of a batch end, as counts of entries: origin, inspection, declaration; the rest is other."""

    origin_end: int
    inspection_end: int
    declaration_end: int
    size: int


@dataclass(frozen=True)
class Batch:
    """A sealed batch: entries in the order of their segments, and their tree."""

    entries: tuple[Entry, ...]
    tree: Tree

    @property
    def root(self) -> bytes:
        """The root to anchor."""
        return self.tree.root

    @property
    def segments(self) -> Segments:
        """Where the segments end."""
        standing = [KINDS[entry.kind].segment for entry in self.entries]
        ends = [bisect_right(standing, segment) for segment in Segment]
        return Segments(ends[0], ends[1], ends[2], len(self.entries))

    def proof(self, leaf_index: int) -> InclusionProof:
        """Return the inclusion proof of the entry at this place."""
        return self.tree.proof(leaf_index)

    def proofs(self) -> list[InclusionProof]:
        """Return the inclusion proofs of all entries, in order."""
        return self.tree.proofs()


def seal(entries: Sequence[Entry]) -> Batch:
    """Close a batch of entries.

    Raises:
        ValueError: if the entries are not in the order of their segments, or are too many.
    """
    # The ledger knows a segment only by where it ends: an entry out of order would be held to another kind's rules.
    segments = [KINDS[entry.kind].segment for entry in entries]
    if segments != sorted(segments):
        raise ValueError("entries must stand in the order of their segments")
    if len(entries) > LARGEST_BATCH:
        raise ValueError(Message("a batch holds at most {most} entries", most=LARGEST_BATCH))
    return Batch(tuple(entries), Tree([entry.encode() for entry in entries]))


# Who may anchor a record

ANCHORER_CLAIM = "anchorer"
"""The claim by which a record says who may anchor it."""
_LEDGER = frozenset({"chainId", "instanceId", "ledger"})
_ADDRESS, _HEX = re.compile("0x[0-9a-f]{40}"), re.compile("[0-9a-f]*")


@dataclass(frozen=True)
class LedgerName:
    """The identity of a ledger: its chain, the random number of its deployment, and its address in lower case."""

    chain_id: int
    instance_id: bytes
    address: str

    def as_json(self) -> dict[str, Any]:
        """Return the members that name it in trust files and in records."""
        return {"chainId": self.chain_id, "instanceId": self.instance_id.hex(), "ledger": self.address}


def ledger_named(fields: Any) -> LedgerName | None:
    """Return the ledger that exactly these members name, or None where they name none."""
    if not isinstance(fields, Mapping) or set(fields) != _LEDGER:
        return None
    # type() and not isinstance(), by which True would pass for 1.
    is_number = type(fields["chainId"]) is int and fields["chainId"] >= 0
    if not is_number or not is_hex(64, fields["instanceId"]) or not is_address(fields["ledger"]):
        return None
    return LedgerName(fields["chainId"], bytes.fromhex(fields["instanceId"]), fields["ledger"])


@dataclass(frozen=True)
class NamedAnchorer:
    """Who may anchor a record, as its issuer signed it: an agent, by its number, of one ledger."""

    ledger: LedgerName
    agent: int

    def as_claim(self) -> dict[str, Any]:
        """Return the claim ``anchorer`` of a record."""
        return {**self.ledger.as_json(), "agent": self.agent}


def anchorer_named(claim: Any) -> NamedAnchorer | None:
    """Return whom a record's claim ``anchorer`` names, or None where it names nobody that can be told."""
    if not isinstance(claim, Mapping) or type(claim.get("agent")) is not int or claim["agent"] < 0:
        return None
    ledger = ledger_named({name: value for name, value in claim.items() if name != "agent"})
    return None if ledger is None else NamedAnchorer(ledger, claim["agent"])


def is_address(value: Any) -> bool:
    """Tell whether this is the address of a contract in lower case, as trust files and records write it."""
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


def is_hex(digits: int, value: Any) -> bool:
    """Tell whether this is so many hexadecimal digits, in lower case."""
    return isinstance(value, str) and len(value) == digits and _HEX.fullmatch(value) is not None


@dataclass(frozen=True)
class Anchor:
    """Where a root was written on the ledger."""

    chain_id: int
    ledger: str
    instance_id: bytes
    root: bytes
    transaction: bytes
    block: int
    block_time: datetime


def ledger_of(anchor: Anchor) -> LedgerName:
    """Return the identity of an anchor's ledger."""
    return LedgerName(anchor.chain_id, anchor.instance_id, anchor.ledger.lower())


@dataclass(frozen=True)
class Evidence:
    """A record with its proof and anchor, as far as they exist yet."""

    record: sd_jwt.Record
    kind: Kind
    quantity: int
    proof: InclusionProof | None = None
    anchor: Anchor | None = None

    @cached_property
    def entry(self) -> Entry:
        """The entry that the proof must lead from."""
        return self._entry(self.record.signed_jwt)

    @cached_property
    def leaf(self) -> bytes:
        """The leaf under which the text at hand stands in a batch."""
        return leaf_hash(self.entry.encode())

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """Every leaf under which what was signed can stand in a batch, that of the text at hand first.

        Of an ECDSA signature (r, s) anybody can make the other one that fits, (r, n - s): with it the same content
        would be another text, of which nothing is published.
        """
        other = self._entry(sd_jwt.with_other_signature(self.record.signed_jwt))
        return tuple(dict.fromkeys((self.leaf, leaf_hash(other.encode()))))

    @cached_property
    def named_anchorer(self) -> NamedAnchorer | None:
        """Who may anchor the record, as its issuer signed it; None where it names nobody."""
        return anchorer_named(self.record.payload.get(ANCHORER_CLAIM))

    def _entry(self, signed_jwt: str) -> Entry:
        # The digest is made from the text at hand and never taken over, or the proof would hold for whatever text
        # stands beside.
        return Entry(self.kind, self.quantity, sha256(signed_jwt.encode()).digest())
