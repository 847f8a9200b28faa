"""Lists to choose from, named in all our languages together, so that typing in any finds the entry."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

import pycountry
from babel import Locale

from backend.domain.agreements import AGREEMENTS
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.units import UNITS
from backend.messages.catalogue import SOURCE, Language, gettext, languages, name_in
from backend.web.context import language

Names = dict[str, dict[Language, str]]
"""Codes with their names by language."""

_CODE_IN_BRACKETS = re.compile(r"\(([A-Z]{2,3})\)\s*$")


def countries() -> Names:
    """ISO 3166-1 codes with their names (CLDR)."""
    return _countries(languages())


@cache
def _countries(wanted: tuple[Language, ...]) -> Names:
    codes = (country.alpha_2 for country in pycountry.countries)
    return _named(sorted(codes), {code: Locale(code).territories for code in wanted})


def currencies() -> Names:
    """ISO 4217 codes with their names (CLDR); those of the trade come first."""
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
    """All names and the code, the reader's language first; an unknown code as it is."""
    if code not in names:
        return code
    named = names[code]
    own = named[language()]
    return " ".join([own, *(name for other, name in named.items() if other != language()), f"({code})"])


def code_of(names: Names, text: str) -> str:
    """The code that somebody typed or chose, by code or by a name in any language; else the text as typed."""
    text = text.strip()
    if found := _CODE_IN_BRACKETS.search(text):
        return found[1]
    if text.upper() in names:
        return text.upper()
    wanted = text.casefold()
    return next((code for code, named in names.items() if wanted in map(str.casefold, named.values())), text)


def options(name: str) -> list[str]:
    """What a datalist offers."""
    names = LISTS[name]()
    return [label(names, code) for code in names]


def unit_choices() -> list[tuple[str, str]]:
    """Units for a select box."""
    return [(code, f"{unit(code)} ({code})") for code in UNITS]


def criterion_choices() -> list[tuple[str, str]]:
    """Origin criteria for a select box."""
    return [(code, criterion(code)) for code in ORIGIN_CRITERIA]


def agreement_choices() -> list[tuple[str, str]]:
    """Trade agreements for a select box."""
    return [(code, agreement(code)) for code in AGREEMENTS]


def country(code: str) -> str:
    """A country's name in the reader's language, with its code."""
    return f"{countries()[code][language()]} ({code})" if code in countries() else code


def unit(code: str) -> str:
    """A unit's name in the reader's language."""
    return name_in(UNITS[code], "unit", language()) if code in UNITS else code


def criterion(code: str) -> str:
    """An origin criterion in words."""
    return f"{code} · {gettext(ORIGIN_CRITERIA[code], language())}" if code in ORIGIN_CRITERIA else code


def agreement(code: str) -> str:
    """A trade agreement's name."""
    return gettext(AGREEMENTS[code].name, language()) if code in AGREEMENTS else code


def hs(code: str) -> str:
    """An HS code with its dots: 9405.21.00."""
    digits = str(code)
    return ".".join([digits[:4], *(digits[i : i + 2] for i in range(4, len(digits), 2))])
