"""Questions about inclusion: the published vectors, and valid proofs that were altered at random."""

import base64
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.domain.evidence import InclusionProof, Tree, leaf_hash

LARGEST = 2**53 - 1
"""The largest whole number that JavaScript writes exactly; no field of a bundle may be larger."""


@dataclass(frozen=True)
class Question:
    """Does this leaf stand at this place of the tree with this size and root?"""

    root: bytes
    size: int
    leaf_index: int
    leaf: bytes
    path: tuple[bytes, ...]

    def fits_a_call(self) -> bool:
        """Whether a contract can be asked at all: its numbers have no sign and its hashes 32 bytes."""
        return min(self.size, self.leaf_index) >= 0 and all(
            len(part) == 32 for part in (self.root, self.leaf, *self.path)
        )


Alteration = Callable[[random.Random, Question], Question]


def published(samples: Path) -> list[tuple[Question, bool]]:
    """The vectors of the transparency-log projects, with the verdict that they want."""
    vectors = json.loads((samples / "rfc6962-merkle" / "inclusion.json").read_text("utf-8"))
    return [(_from_vector(vector), not vector["wantErr"]) for vector in vectors]


def _from_vector(vector: dict[str, object]) -> Question:
    def decoded(text: object) -> bytes:
        return base64.b64decode(str(text or ""))

    path = tuple(decoded(node) for node in vector["proof"] or ())  # type: ignore[attr-defined]
    leaf_index, size = int(str(vector["leafIdx"])), int(str(vector["treeSize"]))
    return Question(decoded(vector["root"]), size, leaf_index, decoded(vector["leafHash"]), path)


def altered(seed: int, count: int) -> Iterator[Question]:
    """Valid questions of all shapes, most of them altered once or twice; the same for the same seed."""
    chance = random.Random(seed)
    sizes = (*range(1, 71), 100, 127, 128, 129, 255, 300)
    batches = [[chance.randbytes(8) for _ in range(size)] for size in sizes]
    trees = [(Tree(batch), batch) for batch in batches]
    for _ in range(count):
        question = _deep(chance) if chance.random() < 0.2 else _small(chance, *chance.choice(trees))
        for _ in range(chance.choice((0, 1, 1, 1, 1, 1, 1, 2))):
            question = chance.choice(ALTERATIONS)(chance, question)
        yield question


def _small(chance: random.Random, tree: Tree, entries: Sequence[bytes]) -> Question:
    leaf_index = chance.choice((chance.randrange(tree.size), tree.size - 1))
    proof = tree.proof(leaf_index)
    # The bottom of a path for this leaf is the only place where the leaf itself can be had from the tree.
    return Question(tree.root, tree.size, leaf_index, leaf_hash(entries[leaf_index]), proof.path)


def _deep(chance: random.Random) -> Question:
    """A place in a tree of up to 2^24 entries, of which only the path exists."""
    size = chance.choice((1 << 24, (1 << 24) - 1, chance.randrange(1, 1 << 24), chance.randrange(1, 1 << 16)))
    leaf_index = chance.choice((chance.randrange(size), size - 1))
    leaf = leaf_hash(chance.randbytes(49))
    path = tuple(chance.randbytes(32) for _ in range(_path_length(leaf_index, size)))
    root = InclusionProof(leaf_index, size, path).root_from(leaf)
    assert root is not None
    return Question(root, size, leaf_index, leaf, path)


def _path_length(leaf_index: int, size: int) -> int:
    """How many hashes the proof of a place has: one for each level where the place has a sibling."""
    length, last = 0, size - 1
    while last:
        length += leaf_index % 2 or leaf_index != last
        leaf_index, last = leaf_index // 2, last // 2
    return length


def _flipped(chance: random.Random, value: bytes) -> bytes:
    bit = chance.randrange(256)
    return (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(32, "big")


def _another_root(chance: random.Random, question: Question) -> Question:
    return replace(question, root=_flipped(chance, question.root))


def _another_leaf(chance: random.Random, question: Question) -> Question:
    return replace(question, leaf=_flipped(chance, question.leaf))


def _another_node(chance: random.Random, question: Question) -> Question:
    if not question.path:
        return _another_leaf(chance, question)
    path = list(question.path)
    level = chance.randrange(len(path))
    path[level] = _flipped(chance, path[level])
    return replace(question, path=tuple(path))


def _number(chance: random.Random, value: int) -> int:
    near = (value + 1, value - 1, value ^ (1 << chance.randrange(26)), value * 2, value // 2)
    far = (0, value + (1 << 31), value + (1 << 32), value + (1 << 52), LARGEST)
    return min(max(chance.choice(near + far), 0), LARGEST)


def _another_place(chance: random.Random, question: Question) -> Question:
    return replace(question, leaf_index=_number(chance, question.leaf_index))


def _another_size(chance: random.Random, question: Question) -> Question:
    return replace(question, size=_number(chance, question.size))


def _node_left_out(chance: random.Random, question: Question) -> Question:
    if not question.path:
        return _node_put_in(chance, question)
    level = chance.randrange(len(question.path))
    return replace(question, path=question.path[:level] + question.path[level + 1 :])


def _node_put_in(chance: random.Random, question: Question) -> Question:
    level = chance.randrange(len(question.path) + 1)
    node = chance.choice((*question.path, question.leaf, question.root, chance.randbytes(32)))
    return replace(question, path=(*question.path[:level], node, *question.path[level:]))


def _nodes_exchanged(chance: random.Random, question: Question) -> Question:
    path = list(question.path)
    chance.shuffle(path)
    return replace(question, path=tuple(path))


def _leaf_and_sibling_exchanged(chance: random.Random, question: Question) -> Question:
    if not question.path:
        return _another_root(chance, question)
    return replace(question, leaf=question.path[0], path=(question.leaf, *question.path[1:]))


def _climbed(chance: random.Random, question: Question) -> Question:
    """The node above the leaf in the leaf's place: right for the smaller tree, and only for that."""
    above = InclusionProof(question.leaf_index % 2, 2, question.path[:1]).root_from(question.leaf)
    if above is None:
        return _another_size(chance, question)
    size = chance.choice((question.size, (question.size + 1) // 2))
    return Question(question.root, size, question.leaf_index // 2, above, question.path[1:])


ALTERATIONS: tuple[Alteration, ...] = (
    _another_root,
    _another_leaf,
    _another_node,
    _another_place,
    _another_size,
    _node_left_out,
    _node_put_in,
    _nodes_exchanged,
    _leaf_and_sibling_exchanged,
    _climbed,
)
