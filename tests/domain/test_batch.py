"""Entries are 49 bytes, batches keep their lanes."""

from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain.batch import Entry, quantity_steps, seal
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


def test_lanes_end_where_the_next_kind_begins():
    kinds = [Kind.CERTIFICATE_OF_ORIGIN] * 3 + [Kind.INSPECTION_REPORT] * 2 + [Kind.DECLARATION] + [Kind.INVOICE] * 4
    assert seal([an_entry(kind, str(n)) for n, kind in enumerate(kinds)]).segments == Segments(3, 5, 6, 10)


@pytest.mark.parametrize("kind", Kind)
def test_one_kinds_batch_fills_only_its_lane(kind):
    segments = seal([an_entry(kind)]).segments
    ends = [segments.origin_end, segments.inspection_end, segments.declaration_end, segments.size]
    assert ends == [int(KINDS[kind].segment <= segment) for segment in Segment]


def test_entries_out_of_lane_order_are_refused():
    with pytest.raises(ValueError, match="order of their lanes"):
        seal([an_entry(Kind.INVOICE), an_entry(Kind.CERTIFICATE_OF_ORIGIN)])


def test_each_place_is_proven_only_by_its_entry():
    batch = seal([an_entry(kind, kind.name) for kind in Kind])
    for leaf_index, entry in enumerate(batch.entries):
        assert batch.proof(leaf_index).proves(entry.encode(), batch.root)
        assert not batch.proof(leaf_index).proves(replace(entry, quantity=1).encode(), batch.root)
        assert not batch.proof(leaf_index).proves(batch.entries[leaf_index - 1].encode(), batch.root)
