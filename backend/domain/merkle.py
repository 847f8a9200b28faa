"""RFC 9162 Merkle trees over SHA-256: roots, inclusion proofs and their verification.

Leaf: SHA-256(0x00 ‖ entry); node: SHA-256(0x01 ‖ left ‖ right); an odd node is promoted (RFC 9162, section 2.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class InclusionProof:
    """The path from one leaf of a sealed batch to its root (RFC 9162, section 2.1.3)."""

    leaf_index: int
    size: int
    path: tuple[bytes, ...]

    def root_from(self, leaf: bytes) -> bytes | None:
        """The root that this path leads to from the leaf; None where it fits no such place, or a part is no hash."""
        if not 0 <= self.leaf_index < self.size or any(len(node) != 32 for node in (leaf, *self.path)):
            return None
        leaf_index, last, result = self.leaf_index, self.size - 1, leaf
        for node in self.path:
            if last == 0:
                return None
            if leaf_index & 1 or leaf_index == last:
                result = node_hash(node, result)
                while not leaf_index & 1 and leaf_index:
                    leaf_index >>= 1
                    last >>= 1
            else:
                result = node_hash(result, node)
            leaf_index >>= 1
            last >>= 1
        return result if last == 0 else None

    def proves(self, entry: bytes, root: bytes) -> bool:
        """Whether the entry stands at this place of the batch with this root."""
        return self.root_from(leaf_hash(entry)) == root


class Tree:
    """All levels of a tree, so that every proof can be read off. Takes 64 bytes of hash per entry."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        if not entries:
            raise ValueError("a tree needs at least one entry")
        self._levels = [[leaf_hash(entry) for entry in entries]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            above = [node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
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
        """The inclusion proof of the entry at this place."""
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
        """The inclusion proofs of all entries, in order: made from the root down, each node's path once."""
        paths: list[tuple[bytes, ...]] = [()]
        for level in reversed(self._levels[:-1]):
            size = len(level)
            paths = [
                (level[i ^ 1], *paths[i >> 1]) if i ^ 1 < size else paths[i >> 1]  # an odd last node has no sibling
                for i in range(size)
            ]
        return [InclusionProof(leaf_index, self.size, path) for leaf_index, path in enumerate(paths)]
