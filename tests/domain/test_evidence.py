"""Entries are 49 bytes, batches keep their segments, and every place of a tree is proven, and nothing else is."""

import base64
import json
import os
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain.evidence import Entry, InclusionProof, Tree, leaf_hash, node_hash, quantity_steps, seal
from backend.domain.kinds import KINDS, Kind, Segment
from backend.domain.ledger import Segments
from tests.helpers.builders import an_entry


def test_entry_is_kind_quantity_digest_in_49_bytes():
    entry = Entry.of(Kind.CERTIFICATE_OF_ORIGIN, Decimal("12.5"), "header.payload.signature")
    encoded = entry.encode()
    assert len(encoded) == 49
    assert encoded[0] == 1
    assert int.from_bytes(encoded[1:17], "big") == 12_500
    assert encoded[17:] == sha256(b"header.payload.signature").digest()


def test_a_record_without_a_quantity_carries_none():
    assert Entry.of(Kind.INSPECTION_REPORT, None, "x").encode()[1:17] == bytes(16)


def test_any_change_to_an_entry_changes_its_bytes():
    entry = an_entry(Kind.CERTIFICATE_OF_ORIGIN)
    others = [replace(entry, kind=Kind.INVOICE), replace(entry, quantity=1), replace(entry, digest=bytes(32))]
    assert len({one.encode() for one in (entry, *others)}) == 4


@pytest.mark.parametrize(
    ("quantity", "steps"),
    [("0", 0), ("1", 1000), ("0.001", 1), ("12.345", 12_345), ("1E+3", 1_000_000), ("500.000", 500_000)],
)
def test_quantities_are_counted_in_thousandths(quantity, steps):
    assert quantity_steps(Decimal(quantity)) == steps


@pytest.mark.parametrize("quantity", ["-1", "-0.001", "0.0001", "1.0005", "NaN", "Infinity", "1E+40"])
def test_quantities_that_an_entry_cannot_carry_are_refused(quantity):
    with pytest.raises(ValueError, match="three decimals"):
        quantity_steps(Decimal(quantity))


@given(st.integers(0, 10**18))
def test_a_quantity_survives_the_entry(thousandths):
    assert quantity_steps(Decimal(thousandths) / 1000) == thousandths


def test_segments_end_where_the_next_kind_begins():
    kinds = [Kind.CERTIFICATE_OF_ORIGIN] * 3 + [Kind.INSPECTION_REPORT] * 2 + [Kind.DECLARATION] + [Kind.INVOICE] * 4
    assert seal([an_entry(kind, str(n)) for n, kind in enumerate(kinds)]).segments == Segments(3, 5, 6, 10)


@pytest.mark.parametrize("kind", Kind)
def test_one_kinds_batch_fills_only_its_lane(kind):
    segments = seal([an_entry(kind)]).segments
    ends = [segments.origin_end, segments.inspection_end, segments.declaration_end, segments.size]
    assert ends == [int(KINDS[kind].segment <= segment) for segment in Segment]


def test_entries_out_of_lane_order_are_refused():
    with pytest.raises(ValueError, match="order of their segments"):
        seal([an_entry(Kind.INVOICE), an_entry(Kind.CERTIFICATE_OF_ORIGIN)])


def test_each_place_is_proven_only_by_its_entry():
    batch = seal([an_entry(kind, kind.name) for kind in Kind])
    for leaf_index, entry in enumerate(batch.entries):
        assert batch.proof(leaf_index).proves(entry.encode(), batch.root)
        assert not batch.proof(leaf_index).proves(replace(entry, quantity=1).encode(), batch.root)
        assert not batch.proof(leaf_index).proves(batch.entries[leaf_index - 1].encode(), batch.root)


LARGEST_TREE = 130


def entries(size):
    return [b"entry %d" % number for number in range(size)]


TREES = {size: Tree(entries(size)) for size in range(1, LARGEST_TREE + 1)}


def split_root(leaves):
    """The root by the definition in RFC 9162, section 2.1.1: split at the largest power of two."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(split_root(leaves[:k]), split_root(leaves[k:]))


@pytest.mark.parametrize("size", [*range(1, 20), 31, 32, 33, 64, 65, 127, 128, 129, 130])
def test_the_root_is_the_one_of_the_standard(size):
    assert TREES[size].root == split_root(entries(size))


def test_leaves_and_nodes_are_hashed_apart():
    assert leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    assert leaf_hash(b"l" * 64) != node_hash(b"l" * 32, b"l" * 32)


def test_every_place_of_every_size_is_proven():
    for size, tree in TREES.items():
        for leaf_index in range(size):
            assert tree.proof(leaf_index).proves(b"entry %d" % leaf_index, tree.root), (size, leaf_index)


@pytest.mark.parametrize("size", TREES)
def test_proofs_at_once_equal_those_made_singly(size):
    assert TREES[size].proofs() == [TREES[size].proof(leaf_index) for leaf_index in range(size)]


def test_no_proof_serves_another_place():
    for size in (1, 2, 3, 7, 8, 13, 64, 65, 130):
        tree = TREES[size]
        for leaf_index in range(size):
            proof, entry = tree.proof(leaf_index), b"entry %d" % leaf_index
            for other in {*range(min(size + 2, 20)), leaf_index + 1, leaf_index - 1, size, size - 1, 2**64} - {
                leaf_index
            }:
                assert not replace(proof, leaf_index=other).proves(entry, tree.root), (size, leaf_index, other)


def test_no_proof_serves_sizes_needing_another_path():
    """A path that fits another size as well proves the same root: the ledger states the size, and it is compared."""
    for size in range(1, LARGEST_TREE + 1):
        for leaf_index in (0, size // 2, size - 1):
            proof, entry = TREES[size].proof(leaf_index), b"entry %d" % leaf_index
            for other in {0, -1, leaf_index, size // 4, size * 4}:
                if other != size and other <= leaf_index:
                    assert not replace(proof, size=other).proves(entry, TREES[size].root)
            assert not replace(proof, size=size * 4).proves(entry, TREES[size].root), (size, leaf_index)


def test_altered_paths_prove_nothing():
    for size in range(2, LARGEST_TREE + 1, 3):
        tree = TREES[size]
        for leaf_index in {0, 1, size // 2, size - 1}:
            proof, entry = tree.proof(leaf_index), b"entry %d" % leaf_index
            path = proof.path
            altered = [
                path[:-1],
                path[1:],
                (*path, path[-1]),
                (*path, bytes(32)),
                (leaf_hash(entry), *path),
                tuple(bytes([node[0] ^ 1]) + node[1:] for node in path),
                (*path[:-1], path[-1][:31]),
                (*path[:-1], path[-1] + b"\x00"),
            ]
            if len(set(path)) > 1:
                altered.append((path[1], path[0], *path[2:]))
            for other in altered:
                if other != path:
                    assert not replace(proof, path=other).proves(entry, tree.root), (size, leaf_index)


def test_an_inner_node_is_no_entry():
    tree = TREES[4]
    left = node_hash(leaf_hash(b"entry 0"), leaf_hash(b"entry 1"))
    right = node_hash(leaf_hash(b"entry 2"), leaf_hash(b"entry 3"))
    short = InclusionProof(0, 2, (right,))
    assert short.root_from(left) == tree.root  # what an attacker would like to present …
    for claimed in (left, leaf_hash(b"entry 0") + leaf_hash(b"entry 1")):
        assert not short.proves(claimed, tree.root)  # … but an entry is always hashed as a leaf


def test_a_repeated_last_entry_makes_another_root():
    """Trees that pad by repeating let two lists share a root (CVE-2012-2459)."""
    assert Tree(entries(3)).root != Tree([*entries(3), b"entry 2"]).root


@pytest.mark.parametrize(("leaf_index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1), (5, 3)])
def test_places_outside_the_batch_are_refused(leaf_index, size):
    assert InclusionProof(leaf_index, size, ()).root_from(bytes(32)) is None


def test_empty_tree_and_place_outside_it_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Tree([])
    for leaf_index in (-1, 3):
        with pytest.raises(IndexError):
            TREES[3].proof(leaf_index)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_random_mutations_prove_nothing(data):
    size = data.draw(st.integers(1, LARGEST_TREE))
    leaf_index = data.draw(st.integers(0, size - 1))
    proof, root = TREES[size].proof(leaf_index), TREES[size].root
    path = list(proof.path)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(path)))
        match data.draw(st.sampled_from(["flip", "drop", "insert", "swap"])):
            case "flip" if position < len(path):
                bit = data.draw(st.integers(0, 255))
                path[position] = (int.from_bytes(path[position], "big") ^ 1 << bit).to_bytes(32, "big")
            case "drop" if position < len(path):
                del path[position]
            case "insert":
                path.insert(position, data.draw(st.sampled_from([bytes(32), root, *proof.path])))
            case "swap" if position + 1 < len(path):
                path[position], path[position + 1] = path[position + 1], path[position]
    mutated = replace(proof, path=tuple(path))
    assert mutated == proof or not mutated.proves(b"entry %d" % leaf_index, root)


SAMPLES = Path(os.environ.get("PROVENPORT_SAMPLES", "/nonexistent")) / "rfc6962-merkle" / "inclusion.json"


@pytest.mark.skipif(not SAMPLES.exists(), reason="PROVENPORT_SAMPLES does not name a folder with the public vectors")
def test_the_public_vectors_are_judged_alike():
    vectors = json.loads(SAMPLES.read_text(encoding="utf-8"))
    assert len(vectors) == 98
    for vector in vectors:
        path = tuple(base64.b64decode(node) for node in vector["proof"] or ())
        proof = InclusionProof(vector["leafIdx"], vector["treeSize"], path)
        leaf = base64.b64decode(vector["leafHash"])
        leads = proof.root_from(leaf) == base64.b64decode(vector["root"])
        assert leads is not vector["wantErr"], vector["name"]
