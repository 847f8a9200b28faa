"""Quantities are converted by the exact factors of Recommendation 20, and packages not at all."""

from decimal import Decimal

import pytest

from backend.domain.fields import _FACTORS, in_base_unit
from backend.domain.units import UNITS


@pytest.mark.parametrize(
    ("quantity", "unit", "base", "amount"),
    [
        ("10", "DZN", "H87", "120"),
        ("3", "GRO", "H87", "432"),
        ("7", "EA", "H87", "7"),
        ("0.05", "TNE", "KGM", "50"),
        ("100", "LBR", "KGM", "45.359237"),
        ("1", "BLL", "LTR", "158.987294928"),
        ("12", "INH", "MTR", "0.3048"),
        ("1", "HAR", "MTK", "10000"),
    ],
)
def test_units_are_converted_exactly(quantity, unit, base, amount):
    assert in_base_unit(Decimal(quantity), unit) == (base, Decimal(amount))


@pytest.mark.parametrize("unit", ["BX", "CT", "PR", "SET", "KT", "KSD", "LPA"])
def test_packages_and_dry_weights_stay_as_they_are(unit):
    assert in_base_unit(Decimal(5), unit) == (unit, Decimal(5))


def test_every_unit_converted_is_a_known_one():
    assert set(_FACTORS) <= set(UNITS)
    assert {base for base, _ in _FACTORS.values()} <= set(_FACTORS)
