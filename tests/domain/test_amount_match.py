"""Quantities and values of papers: rounding, freight, discounts and parts of an order are no differences."""

import pytest

from backend.domain.verdict import Outcome
from tests.helpers.consignments import compared

CLEAN = {Outcome.PASS, Outcome.NOTE}


def answers(code, paper, changes):
    return [(c.outcome.value, c.reason) for c in compared(**changes) if (c.code, c.record) == (code, paper)]


def fits(code, changes):
    return {c.outcome for c in compared(**changes) if c.code == code} <= CLEAN


# ---- quantities


@pytest.mark.parametrize(
    ("quantity", "unit", "reason"),
    [
        ("100", "EA", "goods-quantity-matches"),
        ("100", "C62", "goods-quantity-matches"),
        ("1", "CEN", "goods-quantity-matches"),
        ("99", "H87", "goods-quantity-differs"),
        ("101", "H87", "goods-quantity-differs"),
        ("8", "DZN", "goods-quantity-differs"),
        ("9", "DZN", "goods-quantity-differs"),
        ("10", "BX", "units-not-comparable"),
    ],
)
def test_counted_goods_must_agree_exactly(quantity, unit, reason):
    changes = {"invoice.items.0.quantity": quantity, "invoice.items.0.unitCode": unit}
    assert reason in [found for _, found in answers("MATCH_GOODS_QUANTITY", "invoice", changes)]


@pytest.mark.parametrize(
    ("quantity", "unit", "reason"),
    [
        ("50", "KGM", "goods-quantity-matches"),
        ("50.001", "KGM", "goods-quantity-differs"),
        ("110.23", "LBR", "goods-quantity-matches"),
        ("0.05", "TNE", "goods-quantity-matches"),
        ("112", "LBR", "goods-quantity-differs"),
    ],
)
def test_converted_measures_may_differ_by_rounding(quantity, unit, reason):
    changes = {"invoice.items.1.quantity": quantity, "invoice.items.1.unitCode": unit}
    assert reason in [found for _, found in answers("MATCH_GOODS_QUANTITY", "invoice", changes)]
    assert (reason == "goods-quantity-matches") == fits("MATCH_GOODS_QUANTITY", changes)


def test_legal_unit_serves_where_units_differ():
    boxes = {"invoice.items.0.unitCode": "KGM", "invoice.items.0.quantity": "40"}
    legal = {"declaration.items.0.firstLegalQuantity": "40", "declaration.items.0.firstLegalUnitCode": "KGM"}
    assert not fits("MATCH_GOODS_QUANTITY", boxes)
    assert fits("MATCH_GOODS_QUANTITY", boxes | legal)


@pytest.mark.parametrize(("ordered", "is_enough"), [("48", True), ("47", False)])
def test_order_of_measured_goods_may_fall_short(ordered, is_enough):
    """UCP 600, article 30 b: 5 % more may be shipped of what is not counted; 50 kg are declared."""
    assert fits("MATCH_GOODS_QUANTITY", {"order.items.1.quantity": ordered}) == is_enough


def test_lines_without_codes_are_compared_in_sum():
    lamps = {"description": "Lamp", "quantity": "60", "unitCode": "H87", "amount": "252"}
    one_kind = {"declaration.items": [declared("100")], "order.items": [lamps, lamps]}
    assert fits("MATCH_GOODS_QUANTITY", one_kind | {"invoice.items": [lamps, {**lamps, "quantity": "40"}]})
    assert not fits("MATCH_GOODS_QUANTITY", one_kind | {"invoice.items": [lamps, lamps]})


def declared(quantity, **changes):
    return {
        "description": "LED desk lamp",
        "hsCode": "940521",
        "quantity": quantity,
        "unitCode": "H87",
        "unitPrice": "4.2",
        "currency": "USD",
        "originCountry": "CN",
    } | changes


# ---- values


@pytest.mark.parametrize("total", ["500", "540", "505", "545", "545.04"])
def test_invoice_may_hold_declared_freight_and_insurance(total):
    assert fits("MATCH_VALUE", {"invoice.totalAmount": total})
    assert fits("MATCH_TOTAL", {"invoice.totalAmount": total}) == (total != "545.04")


@pytest.mark.parametrize("total", ["420", "546", "499"])
def test_other_invoice_totals_are_told(total):
    assert not fits("MATCH_VALUE", {"invoice.totalAmount": total})


def test_discount_that_is_declared_is_no_difference():
    """What is really paid is the customs value; the lines share the discount."""
    changes = {
        "invoice.totalAmount": "450",
        "declaration.items.0.unitPrice": "3.78",
        "declaration.items.1.unitPrice": "1.44",
    }
    changes |= {"declaration.items.0.totalPrice": "378", "certificate-of-origin.freeOnBoardAmount": "378"}
    checks = compared(**changes)
    assert answers("MATCH_TOTAL", "invoice", changes) == [("note", "total-discounted")]
    assert {c.code for c in checks if c.outcome not in CLEAN} == {"DOCUMENTS"}


def test_carriage_in_the_price_is_left_to_person():
    more = {"invoice.totalAmount": "560"}
    assert answers("MATCH_TOTAL", "invoice", more) == [("fail", "total-differs")]
    assert answers("MATCH_TOTAL", "invoice", more | {"invoice.incotermsCode": "CIF"}) == [
        ("indeterminate", "total-differs")
    ]


@pytest.mark.parametrize(
    ("currency", "price", "quantity", "total", "is_right"),
    [
        ("USD", "0.333", "3", "1", True),
        ("USD", "0.33", "300", "100", True),
        ("USD", "0.33", "300", "102", False),
        ("JPY", "33.3", "3", "100", True),
        ("JPY", "33", "3", "102", False),
        ("KWD", "0.3333", "3", "1", True),
        ("KWD", "0.3333", "3", "1.01", False),
    ],
)
def test_line_totals_are_rounded_to_currency_units(currency, price, quantity, total, is_right):
    item = declared(quantity, currency=currency, unitPrice=price, totalPrice=total)
    checks = compared(**{"declaration.items": [item], "declaration.grossWeightMeasure": "98"})
    found = [c.reason for c in checks if (c.code, c.record) == ("MATCH_LINE_VALUE", "declaration")]
    assert found == ["line-value-matches" if is_right else "line-value-differs"]


def test_amounts_in_another_currency_are_not_compared():
    checks = compared(**{"invoice.currency": "EUR"})
    assert not [c for c in checks if (c.code, c.record) == ("MATCH_VALUE", "invoice")]
    assert [c.reason for c in checks if (c.code, c.record) == ("MATCH_CURRENCY", "invoice")] == ["currency-differs"]


def test_freight_is_compared_where_both_state_it():
    assert "MATCH_FREIGHT" in {c.code for c in compared()}
    assert "MATCH_FREIGHT" not in {c.code for c in compared(**{"declaration.freightCurrency": "CNY"})}
