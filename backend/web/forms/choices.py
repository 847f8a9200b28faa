"""Lists to choose from. Each entry is named in all languages, so that typing in any of them finds it."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import pycountry
from babel import Locale

from backend.domain.agreements import AGREEMENTS
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.units import UNITS, in_plural
from backend.messages.catalogue import SOURCE, Language, gettext, languages, name_in
from backend.web.context import language
from backend.web.presentation.languages import number

Names = dict[str, dict[Language, str]]
"""Codes with their names by language."""

_CODE_IN_BRACKETS = re.compile(r"\(([A-Z]{2,3})\)\s*$")


def countries() -> Names:
    """Return ISO 3166-1 codes with their names (Unicode CLDR)."""
    return _countries(languages())


@cache
def _countries(wanted: tuple[Language, ...]) -> Names:
    codes = (country.alpha_2 for country in pycountry.countries)
    return _named(sorted(codes), {code: Locale(code).territories for code in wanted})


def currencies() -> Names:
    """Return ISO 4217 codes with their names (Unicode CLDR), the most usual ones first."""
    return _currencies(languages())


@cache
def _currencies(wanted: tuple[Language, ...]) -> Names:
    codes = sorted(currency.alpha_3 for currency in pycountry.currencies)
    first = ("USD", "CNY", "EUR", "GBP", "JPY")
    ordered = [*first, *(code for code in codes if code not in first)]
    return _named(ordered, {code: Locale(code).currencies for code in wanted})


def _named(codes: Iterable[str], names: Mapping[Language, Mapping[str, str]]) -> Names:
    return {
        code: {language: names[language].get(code, names[SOURCE].get(code, code)) for language in names}
        for code in codes
    }


LISTS = {"countries": countries, "currencies": currencies}


def label(names: Names, code: str) -> str:
    """Write all names and the code, the reader's language first. An unknown code stays as it is."""
    if code not in names:
        return code
    named = names[code]
    own = named[language()]
    return " ".join([own, *(name for other, name in named.items() if other != language()), f"({code})"])


def code_of(names: Names, text: str) -> str:
    """Return the code for a text that is a code, a label, or a name in any language, else the text itself."""
    text = text.strip()
    if found := _CODE_IN_BRACKETS.search(text):
        return found[1]
    if text.upper() in names:
        return text.upper()
    wanted = text.casefold()
    return next((code for code, named in names.items() if wanted in map(str.casefold, named.values())), text)


def options(name: str) -> list[str]:
    """List the options of a datalist."""
    names = LISTS[name]()
    return [label(names, code) for code in names]


def unit_choices() -> list[tuple[str, str]]:
    """List units for a select box."""
    return [(code, f"{unit(code)} ({code})") for code in UNITS]


def criterion_choices() -> list[tuple[str, str]]:
    """List origin criteria for a select box."""
    return [(code, criterion(code)) for code in ORIGIN_CRITERIA]


def agreement_choices() -> list[tuple[str, str]]:
    """List trade agreements for a select box."""
    return [(code, agreement(code)) for code in AGREEMENTS]


def country(code: str) -> str:
    """Return a country's name in the reader's language, with its code."""
    return f"{countries()[code][language()]} ({code})" if code in countries() else code


def unit(code: str) -> str:
    """Return a unit's name in the reader's language."""
    return name_in(UNITS[code], "unit", language()) if code in UNITS else code


def criterion(code: str) -> str:
    """Return an origin criterion with its explanation."""
    return f"{code} · {gettext(ORIGIN_CRITERIA[code], language())}" if code in ORIGIN_CRITERIA else code


def agreement(code: str) -> str:
    """Return a trade agreement's name."""
    return gettext(AGREEMENTS[code].name, language()) if code in AGREEMENTS else code


def quantity(count: Any, code: str) -> str:
    """Write a quantity with its unit, such as 2,000 pieces."""
    shown = number(count)
    if language() == SOURCE and code in UNITS and shown != "1":
        return f"{shown} {in_plural(UNITS[code][SOURCE])}"
    return f"{shown} {unit(code)}".strip()


# fmt: off
_EUROPEAN_UNION = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)
# fmt: on
_HS_GROUPS: Mapping[str, tuple[tuple[int, ...], str]] = {
    "CN": ((4, 4, 2, 3), "."),
    "JP": ((4, 2, 3), "-"),
    "KR": ((4, 2, 4), "-"),
    **dict.fromkeys(_EUROPEAN_UNION, ((4, 2, 2, 2), " ")),
}
"""How countries group the digits of their own codes, and what stands before the last groups.

China's tariff writes 3924.1000, and two digits more for declarations; Japan's statistical code is 3924.10-000, the
Republic of Korea's 3924.10-0000; the Combined Nomenclature and TARIC of the European Union write 3924 10 00 90.
"""


def hs(code: str, country: str = "CN") -> str:
    """Write an HS code as a country groups it. Six digits are the same everywhere: 3924.10."""
    digits = str(code)
    if len(digits) <= 6:
        return ".".join(filter(None, (digits[:4], digits[4:])))
    sizes, mark = _HS_GROUPS.get(country, ((4, 2, 2, 2, 3), "."))
    ends = [0, *accumulate(sizes)]
    groups = [digits[a:b] for a, b in pairwise(ends) if digits[a:b]]
    rest = [digits[ends[-1] :]] if digits[ends[-1] :] else []
    if mark == "-":
        return "-".join([".".join(groups[:2]), *groups[2:], *rest])
    return mark.join([*groups, *rest])
