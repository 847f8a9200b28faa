"""Weights, packages, days and lots of papers: scales may differ a little, and what fell short is told."""

import pytest

from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from backend.domain.records import document_as_signed, document_of
from tests.helpers.builders import declaration_fields
from tests.helpers.consignments import compared


def answers(code, paper, changes):
    return [c.reason for c in compared(**changes) if (c.code, c.record) == (code, paper)]


@pytest.mark.parametrize(
    ("weight", "reason"),
    [
        ("98", "matches"),
        ("99.96", "matches"),
        ("96.04", "matches"),
        ("99.97", "differs"),
        ("96.03", "differs"),
        ("300", "differs"),
    ],
)
def test_waybill_may_weigh_two_percent_otherwise(weight, reason):
    assert answers("MATCH_GROSS_WEIGHT", "waybill", {"waybill.grossWeightMeasure": weight}) == [
        f"gross-weight-{reason}"
    ]


def test_light_parcels_may_differ_by_a_kilogram():
    light = {"declaration.grossWeightMeasure": "2", "declaration.netWeightMeasure": "1.5"}
    assert answers("MATCH_GROSS_WEIGHT", "waybill", light | {"waybill.grossWeightMeasure": "3"}) == [
        "gross-weight-matches"
    ]
    assert answers("MATCH_GROSS_WEIGHT", "waybill", light | {"waybill.grossWeightMeasure": "3.1"}) == [
        "gross-weight-differs"
    ]


def test_certificate_may_cover_more_than_is_declared():
    more = {"certificate-of-origin.grossWeightMeasure": "500", "certificate-of-origin.packageQuantity": 200}
    assert answers("MATCH_GROSS_WEIGHT", "certificate-of-origin", more) == ["gross-weight-matches"]
    assert answers("MATCH_PACKAGES", "certificate-of-origin", more) == ["packages-match"]
    assert answers("MATCH_PACKAGES", "certificate-of-origin", {"certificate-of-origin.packageQuantity": 29}) == [
        "packages-differ"
    ]


def test_net_weight_equal_to_gross_passes():
    assert answers("MATCH_NET_WEIGHT", "declaration", {"declaration.netWeightMeasure": "98"}) == ["net-below-gross"]


def test_waybill_lighter_than_net_weight_is_told():
    changes = {"waybill.grossWeightMeasure": "80"}
    assert answers("MATCH_NET_WEIGHT", "waybill", changes) == ["net-above-gross"]


def test_net_above_gross_is_refused_before_signing():
    fields = declaration_fields(grossWeightMeasure="96", netWeightMeasure="96.001")
    with pytest.raises(Invalid) as refused:
        document_of(Kind.DECLARATION, fields)
    assert "netWeightMeasure is more than grossWeightMeasure" in str(refused.value.problems)
    document_of(Kind.DECLARATION, fields | {"netWeightMeasure": "96"})
    document_as_signed(Kind.DECLARATION, fields)  # what was signed earlier stays readable, and the match tells


def test_moment_may_fall_on_the_day_before():
    """A receipt of 17:00 UTC on the 24th is of the 25th in China, where the order is dated so."""
    assert answers("MATCH_DATES", "payment-receipt", {}) == []
    earlier = {"payment-receipt.paidDateTime": "2026-03-23T15:00:00Z"}
    assert answers("MATCH_DATES", "payment-receipt", earlier) == ["dates-out-of-order"]


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("Lamps, lot no. L-26-014", "lot-matches"),
        ("Lamps, Batch: L-26-099", "lot-differs"),
        ("Lamps LOT#L-26-041", "lot-differs"),
        ("Lamps of a lot", None),
    ],
)
def test_lots_are_read_out_of_descriptions(description, reason):
    changes = {"declaration.items.0.description": description, "invoice.items.0.description": "Lamps"}
    assert answers("MATCH_LOT", "inspection-report", changes) == ([reason] if reason else [])
