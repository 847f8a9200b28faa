"""Bundles: written and read without loss; damaged ones are refused in our own words."""

import json
from dataclasses import replace

import pytest

from backend.domain import evidence
from backend.domain.errors import Invalid
from backend.domain.evidence import MalformedBundle
from tests.helpers.builders import a_record, evidence_for

EVIDENCE = evidence_for(a_record())


def bundle(**changes):
    return json.loads(json.dumps(evidence.write(EVIDENCE))) | changes


def within(member, **changes):
    return bundle(**{member: bundle()[member] | changes})


def test_a_bundle_is_read_as_it_was_written():
    assert evidence.read(bundle()) == EVIDENCE
    assert evidence.read(bundle(snapshot={"verdict": "VALID"})) == EVIDENCE


def test_a_record_that_waits_has_neither_proof_nor_anchor():
    waiting = replace(EVIDENCE, proof=None, anchor=None)
    written = evidence.write(waiting)
    assert (written["proof"], written["anchor"], written["snapshot"]) == (None, None, None)
    assert evidence.read(written) == waiting


H64 = "0" * 64
DAMAGED = {
    "nothing": None,
    "a list": [],
    "a text": "bundle",
    "another format": bundle(format="other"),
    "no format": {"record": "x"},
    "another version": bundle(version=2),
    "a version as text": bundle(version="1"),
    "no record": bundle(record=None),
    "a record that is a list": bundle(record=[]),
    "no entry": bundle(entry=None),
    "an entry that is a list": bundle(entry=[]),
    "an entry without its kind": bundle(entry={"quantity": "0"}),
    "a kind that is none": within("entry", kind=9),
    "a kind in words": within("entry", kind="certificate"),
    "a kind that is a list": within("entry", kind=[1]),
    "a quantity that is a number": within("entry", quantity=500000),
    "a negative quantity": within("entry", quantity="-1"),
    "a quantity in words": within("entry", quantity="five"),
    "a quantity beyond 128 bits": within("entry", quantity=str(2**128)),
    "a quantity of 10,000 digits": within("entry", quantity="1" * 10_000),
    "a proof that is a list": bundle(proof=[]),
    "a proof without a path": within("proof", path=None),
    "a path that is a text": within("proof", path=H64),
    "a path of numbers": within("proof", path=[1]),
    "a path of short nodes": within("proof", path=["00"]),
    "a path in capitals": within("proof", path=["AB" * 32]),
    "a path with spaces": within("proof", path=[" ".join(["00"] * 32)]),
    "a path with a prefix": within("proof", path=["0x" + H64]),
    "a path without an end": within("proof", path=[H64] * 65),
    "a negative place": within("proof", place=-1),
    "a place in quotes": within("proof", place="1"),
    "half a place": within("proof", place=1.5),
    "a true place": within("proof", place=True),
    "a size that is null": within("proof", size=None),
    "an anchor that is a list": bundle(anchor=[]),
    "an anchor without its root": {**bundle(), "anchor": {k: v for k, v in bundle()["anchor"].items() if k != "root"}},
    "a root that is a number": within("anchor", root=5),
    "a short root": within("anchor", root="00"),
    "a chain in words": within("anchor", chainId="1337"),
    "a negative block": within("anchor", block=-1),
    "a ledger that is a number": within("anchor", ledger=5),
    "a block time that is none": within("anchor", blockTime="yesterday"),
    "a block time that is a number": within("anchor", blockTime=5),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_bundle_is_refused_with_the_place_of_the_damage(damaged):
    with pytest.raises(MalformedBundle) as refusal:
        evidence.read(damaged)
    assert refusal.value.problems


def test_a_damaged_record_is_refused_as_such():
    with pytest.raises(Invalid):
        evidence.read(bundle(record="x.y.z~"))


@pytest.mark.parametrize(
    "loose",
    [
        bundle(version=True),
        bundle(version=1.0),
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
        evidence.read(loose)
