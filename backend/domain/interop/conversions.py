"""Values in other people's writing, turned into ours only where there is one way to do it.

Each function answers the value and the code of the sentence that tells the conversion, or None where nothing was
converted; it raises Unusable where the value could mean two things or nothing.
"""

import re
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pycountry

from backend.domain.agreements import AGREEMENTS
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.interop.reading import Unusable
from backend.domain.units import UNITS

Converted = tuple[Any, str | None]

KILOGRAMS: dict[str, Decimal] = {
    "KGM": Decimal(1),
    "KG": Decimal(1),
    "KGS": Decimal(1),
    "GRM": Decimal("0.001"),
    "TNE": Decimal(1000),
    "LBR": Decimal("0.45359237"),
    "LB": Decimal("0.45359237"),
    "LBS": Decimal("0.45359237"),
    "ONZ": Decimal("0.028349523125"),
    "OZ": Decimal("0.028349523125"),
}
"""Kilograms in one unit, exactly: the international pound is 0.45359237 kg by definition, the ounce a sixteenth."""

_GRAM = Decimal("0.001")


def text(value: Any) -> Converted:
    """Text as it stands; numbers in JSON are read as they are written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable("no-text")
    return str(value).strip(), None


@cache
def _countries() -> dict[str, str]:
    return {
        str(name).casefold(): str(country.alpha_2)
        for country in pycountry.countries
        for name in (country.name, getattr(country, "common_name", None), getattr(country, "official_name", None))
        if name
    }


def country(value: Any) -> Converted:
    """An ISO 3166-1 code of two letters, from one, from the code of three letters, or from the exact English name."""
    given, _ = text(value)
    if re.fullmatch("[0-9]+", given):
        raise Unusable("numeric-country", value=given)
    if re.fullmatch("[A-Za-z]{2}", given) and pycountry.countries.get(alpha_2=given.upper()):
        return given.upper(), None if given.isupper() else "country-code"
    if re.fullmatch("[A-Za-z]{3}", given) and (found := pycountry.countries.get(alpha_3=given.upper())):
        return str(found.alpha_2), "country-code"
    if code := _countries().get(given.casefold()):
        return code, "country-name"
    raise Unusable("no-country", value=given)


def day(value: Any) -> Converted:
    """A calendar day, from a date or from an instant, in the time zone that the instant names."""
    given, _ = text(value)
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
            return date.fromisoformat(given).isoformat(), None
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?", given):
            return datetime.fromisoformat(given).date().isoformat(), "day-of-instant"
    except ValueError:
        pass
    raise Unusable("no-day", value=given)


def number(value: Any) -> Converted:
    """A decimal number in plain digits with a point, as text."""
    given, _ = text(value)
    if isinstance(value, float):
        given = f"{Decimal(repr(value)):f}"
    if re.fullmatch(r"[0-9]+(?:[.][0-9]+)?", given):
        return given, None
    if re.fullmatch(r"[0-9]+(?:[.][0-9]+)?[eE][+]?[0-9]+", given):
        raise Unusable("shortened-number", value=given)
    raise Unusable("no-number", value=given)


def kilograms(value: Any, unit: Any) -> tuple[str, str | None, str]:
    """A mass in kilograms, to the gram, with the code of its sentence and the factor that was used."""
    amount = Decimal(number(value)[0])
    given, _ = text(unit)
    factor = KILOGRAMS.get(given.upper())
    if factor is None:
        raise Unusable("no-mass-unit", value=given, known=", ".join(KILOGRAMS))
    exact = amount * factor
    if factor == 1:
        return f"{amount:f}", None, "1"
    rounded = exact.quantize(_GRAM)
    return f"{rounded:f}", "mass" if rounded == exact else "mass-rounded", f"{factor:f}"


def currency(value: Any) -> Converted:
    """An ISO 4217 code."""
    given, _ = text(value)
    if re.fullmatch("[A-Z]{3}", given) and pycountry.currencies.get(alpha_3=given):
        return given, None
    raise Unusable("no-currency", value=given)


def criterion(value: Any) -> Converted:
    """One of the origin criteria in use here."""
    given, _ = text(value)
    if given.upper() in ORIGIN_CRITERIA:
        return given.upper(), None
    raise Unusable("no-criterion", value=given, known=", ".join(ORIGIN_CRITERIA))


def agreement(value: Any) -> Converted:
    """One of the agreements in use here; another one must not be recorded as none."""
    given, _ = text(value)
    if given.upper() in AGREEMENTS:
        return given.upper(), None
    raise Unusable("no-agreement", value=given, known=", ".join(code for code in AGREEMENTS if code != "NONE"))


@cache
def _unit_names() -> dict[str, str]:
    return {name.casefold(): code for code, names in UNITS.items() for name in names.values()}


def unit(value: Any) -> Converted:
    """A unit in use here, from its code or from its exact name in a language that it has names in."""
    given, _ = text(value)
    if given.upper() in UNITS:
        return given.upper(), None
    if code := _unit_names().get(given.casefold()):
        return code, "unit-name"
    raise Unusable("no-unit", value=given, known=", ".join(UNITS))
