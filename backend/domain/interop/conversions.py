"""Converts values as others write them, only where there is exactly one way to do it.

Each function returns the value and the code of the message about the conversion, or None where nothing was converted.
It raises Unusable where the value is ambiguous or meaningless.
"""

import re
import unicodedata
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pycountry

from backend.domain.agreements import AGREEMENTS
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.interop.reading import Unusable
from backend.domain.units import UNIT_WORDS, UNITS

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
    """Return text as it is; JSON numbers are returned as they are written."""
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
    """Return an ISO 3166-1 alpha-2 code, from one, from an alpha-3 code, or from the exact English name."""
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
    """Return a calendar day, from a date or from an instant in its own time zone."""
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
    """Return a decimal number in plain digits with a point, as text."""
    given, _ = text(value)
    if isinstance(value, float):
        given = f"{Decimal(repr(value)):f}"
    if re.fullmatch(r"[0-9]+(?:[.][0-9]+)?", given):
        return given, None
    if re.fullmatch(r"[0-9]+(?:[.][0-9]+)?[eE][+]?[0-9]+", given):
        raise Unusable("shortened-number", value=given)
    raise Unusable("no-number", value=given)


_PLAIN = re.compile(r"[0-9]+(?:[.][0-9]+)?")
_GROUPED = {
    "point": re.compile(r"[0-9]{1,3}(?:[,' \u00a0\u202f][0-9]{3})+(?:[.][0-9]+)?|[0-9]+[.][0-9]+"),
    "comma": re.compile(r"[0-9]{1,3}(?:[.' \u00a0\u202f][0-9]{3})+(?:,[0-9]+)?|[0-9]+,[0-9]+"),
}
DECIMALS = tuple(_GROUPED)
"""How decimals may be written: with a point or with a comma."""
_THOUSAND = re.compile("([1-9][0-9]{0,2})[.]([0-9]{3})")


def written_number(cell: str, decimal: str | None, delimiter: str) -> Converted:
    """Return a number from a table, as text with a decimal point.

    Args:
        cell: The cell's text.
        decimal: ``point`` or ``comma``, where the merchant states the decimal mark; it resolves every ambiguity.
        delimiter: The table's. With decimal commas, spreadsheets separate cells by semicolons or tabs.

    Raises:
        Unusable: if it is not a number, or could be two.
    """
    if decimal is not None and _GROUPED[decimal].fullmatch(cell):
        mark = "." if decimal == "point" else ","
        whole, _, part = cell.partition(mark)
        value = re.sub("[^0-9]", "", whole) + (f".{part}" if part else "")
        return value, "number-style" if value != cell else None
    if _PLAIN.fullmatch(cell) and not (decimal == "comma" and "." in cell):
        if decimal is None and delimiter != "comma" and (found := _THOUSAND.fullmatch(cell)):
            if delimiter != "tab":
                raise Unusable("thousand-or-decimal", value=cell, thousand="".join(found.groups()))
            return cell, "decimal-point"
        return cell, None
    if re.fullmatch(r"[0-9][0-9.,' \u00a0\u202f]*[0-9]", cell):
        raise Unusable("local-number", value=cell)
    return number(cell)


def kilograms(value: Any, unit: Any) -> tuple[str, str | None, str]:
    """Return a mass in kilograms, rounded to the gram, the code of its message, and the factor used."""
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
    """Return an ISO 4217 code."""
    given, _ = text(value)
    if re.fullmatch("[A-Z]{3}", given) and pycountry.currencies.get(alpha_3=given):
        return given, None
    raise Unusable("no-currency", value=given)


def criterion(value: Any) -> Converted:
    """Return one of the origin criteria in use here."""
    given, _ = text(value)
    if given.upper() in ORIGIN_CRITERIA:
        return given.upper(), None
    raise Unusable("no-criterion", value=given, known=", ".join(ORIGIN_CRITERIA))


def agreement(value: Any) -> Converted:
    """Return one of the known agreements. An unknown one must not be recorded as none."""
    given, _ = text(value)
    if given.upper() in AGREEMENTS:
        return given.upper(), None
    raise Unusable("no-agreement", value=given, known=", ".join(code for code in AGREEMENTS if code != "NONE"))


@cache
def _unit_names() -> dict[str, str]:
    names = {word: code for code, words in UNIT_WORDS.items() for word in words}
    return names | {name.casefold(): code for code, names in UNITS.items() for name in names.values()}


def unit(value: Any) -> Converted:
    """Return a unit code, from the code, from a name in a known language, or from an everyday word."""
    given, _ = text(value)
    if given.upper() in UNITS:
        return given.upper(), None
    word = unicodedata.normalize("NFKC", given).casefold().removesuffix(".").removesuffix("(s)").strip()
    if code := _unit_names().get(word):
        return code, "unit-name"
    raise Unusable("no-unit", value=given, known=", ".join(list(UNITS)[:15]))


def hs_code(value: Any) -> Converted:
    """Return an HS code as written. An odd number of digits means that a spreadsheet dropped the leading zero."""
    given, _ = text(value)
    groups = re.split(r"[.\s]+", given)
    digits = "".join(groups)
    if re.fullmatch("[0-9]+", digits) and len(digits) <= 13:
        is_whole = all(len(group) % 2 == 0 for group in groups[:-1]) and (len(digits) % 2 == 0 or len(digits) == 13)
        if not is_whole:
            raise Unusable("lost-zero", value=given)
    return given, None


def instant(value: Any) -> Converted:
    """Return an ISO 8601 instant with its time zone; 24:00 is the beginning of the next day."""
    given, _ = text(value)
    found = re.fullmatch(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)(Z|[+-][0-9]{2}:?[0-9]{2})",
        given,
    )
    if not found:
        raise Unusable("no-instant", value=given)
    on, time, zone = found.groups()
    try:
        if re.fullmatch(r"24:00(?::00(?:[.,]0+)?)?", time):
            following = date.fromisoformat(on) + timedelta(days=1)
            return f"{following.isoformat()}T00:00:00{zone}", "end-of-day"
        datetime.fromisoformat(f"{on}T{time}{zone}")
    except (ValueError, OverflowError) as error:
        raise Unusable("no-such-instant", value=given) from error
    return given, None
