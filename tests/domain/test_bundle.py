"""Bundles: written and read without loss; damaged ones are refused in our own words."""

import json
from dataclasses import replace

import pytest

from backend.domain import bundle as bundles
from backend.domain.bundle import Bundle, MalformedBundle
from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from tests.helpers.builders import a_record, evidence_for

EVIDENCE = evidence_for(a_record())


def whole(**changes):
    return json.loads(bundles.text(Bundle((EVIDENCE,)))) | changes


def bundle(**changes):
    """A bundle whose one record has other members."""
    (one,) = whole()["records"]
    return whole(records=[one | changes])


def within(member, **changes):
    return bundle(**{member: whole()["records"][0][member] | changes})


def test_a_bundle_is_read_as_it_was_written():
    assert bundles.read(whole()) == Bundle((EVIDENCE,))
    assert bundles.read(whole(snapshot="a.b.c", superseded=["x"])) == Bundle((EVIDENCE,), ("x",), "a.b.c")


def test_waiting_record_has_neither_proof_nor_anchor():
    waiting = Bundle((replace(EVIDENCE, proof=None, anchor=None),))
    written = bundles.write(waiting)
    (one,) = written["records"]
    assert (one["proof"], one["anchor"], written["snapshot"]) == (None, None, None)
    assert bundles.read(written) == waiting


H64 = "0" * 64
DAMAGED = {
    "nothing": None,
    "a list": [],
    "a text": "bundle",
    "another format": whole(format="other"),
    "no format": {"version": 1},
    "another version": whole(version=2),
    "a version as text": whole(version="1"),
    "another member": whole(extra=1),
    "no records": whole(records=[]),
    "too many records": whole(records=[None] * 501),
    "two records without a declaration": whole(records=whole()["records"] * 2),
    "a superseded record that is none": whole(superseded=[5]),
    "superseded records as a text": whole(superseded="x.y.z"),
    "a snapshot that is no text": whole(snapshot={"verdict": "VALID"}),
    "another member of a record": bundle(extra=1),
    "no record": bundle(record=None),
    "a record that is a list": bundle(record=[]),
    "no entry": bundle(entry=None),
    "an entry that is a list": bundle(entry=[]),
    "an entry without its kind": bundle(entry={"quantity": "0"}),
    "a kind that is none": within("entry", kind=max(Kind) + 1),
    "a kind in words": within("entry", kind="certificate"),
    "a kind that is a list": within("entry", kind=[1]),
    "a quantity that is a number": within("entry", quantity=500000),
    "a negative quantity": within("entry", quantity="-1"),
    "a quantity in words": within("entry", quantity="five"),
    "a quantity beyond 128 bits": within("entry", quantity=str(2**128)),
    "a quantity of 10,000 digits": within("entry", quantity="1" * 10_000),
    "a proof that is a list": bundle(proof=[]),
    "a proof without a path": within("proof", inclusionPath=None),
    "a path that is a text": within("proof", inclusionPath=H64),
    "a path of numbers": within("proof", inclusionPath=[1]),
    "a path of short nodes": within("proof", inclusionPath=["00"]),
    "a path in capitals": within("proof", inclusionPath=["AB" * 32]),
    "a path with spaces": within("proof", inclusionPath=[" ".join(["00"] * 32)]),
    "a path with a prefix": within("proof", inclusionPath=["0x" + H64]),
    "a path without an end": within("proof", inclusionPath=[H64] * 65),
    "a negative place": within("proof", leafIndex=-1),
    "a place in quotes": within("proof", leafIndex="1"),
    "half a place": within("proof", leafIndex=1.5),
    "a true place": within("proof", leafIndex=True),
    "a size that is null": within("proof", treeSize=None),
    "an anchor that is a list": bundle(anchor=[]),
    "an anchor without its root": bundle(anchor={"root": H64}),
    "a root that is a number": within("anchor", root=5),
    "a short root": within("anchor", root="00"),
    "a chain in words": within("anchor", chainId="1337"),
    "a negative block": within("anchor", block=-1),
    "a ledger that is a number": within("anchor", ledger=5),
    "a ledger in capitals": within("anchor", ledger="0x" + "AB" * 20),
    "a block time of another zone": within("anchor", blockTime="2026-03-02T12:00:00+00:00"),
    "a block time that is none": within("anchor", blockTime="yesterday"),
    "a block time that is a number": within("anchor", blockTime=5),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_bundle_is_refused_with_its_place(damaged):
    with pytest.raises(MalformedBundle) as refusal:
        bundles.read(damaged)
    assert refusal.value.problems


def test_a_damaged_record_is_refused_as_such():
    with pytest.raises(Invalid):
        bundles.read(bundle(record="x.y.z~"))


@pytest.mark.parametrize(
    "loose",
    [
        whole(version=True),
        whole(version=1.0),
        within("entry", kind=True),
        within("entry", kind=1.0),
        within("entry", quantity=" 500_000 "),
        within("entry", quantity="+500000"),
        within("entry", quantity="0500000"),
        within("entry", quantity="\u0665\u0660\u0660\u0660\u0660\u0660"),
    ],
    ids=["version true", "version 1.0", "kind true", "kind 1.0", "spaces", "plus", "zero", "other digits"],
)
def test_a_value_has_one_spelling(loose):
    """Two readers of one bundle must not differ on whether it can be read."""
    with pytest.raises(MalformedBundle):
        bundles.read(loose)
