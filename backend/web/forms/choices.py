"""Lists to choose from, named in English and Chinese together, so that typing in either finds the entry."""

import re
from functools import cache

import pycountry
from babel import Locale

from backend.domain.codes import AGREEMENTS, ORIGIN_CRITERIA
from backend.domain.units import UNITS
from backend.web.presentation.languages import language

Names = dict[str, tuple[str, str]]

_CODE_IN_BRACKETS = re.compile(r"\(([A-Z]{2,3})\)\s*$")


@cache
def countries() -> Names:
    """ISO 3166-1 codes with their names (CLDR)."""
    english, chinese = Locale("en").territories, Locale("zh").territories
    codes = (country.alpha_2 for country in pycountry.countries)
    return {code: (english.get(code, code), chinese.get(code, code)) for code in sorted(codes)}


@cache
def currencies() -> Names:
    """ISO 4217 codes with their names (CLDR); those of the trade come first."""
    english, chinese = Locale("en").currencies, Locale("zh").currencies
    codes = sorted(currency.alpha_3 for currency in pycountry.currencies)
    first = ("USD", "CNY", "EUR", "GBP", "JPY")
    ordered = [*first, *(code for code in codes if code not in first)]
    return {code: (english.get(code, code), chinese.get(code, code)) for code in ordered}


LISTS = {"countries": countries, "currencies": currencies}


def label(names: Names, code: str) -> str:
    """Both names and the code, the reader's language first; an unknown code as it is."""
    if code not in names:
        return code
    english, chinese = names[code]
    both = f"{chinese} {english}" if language() == "zh" else f"{english} {chinese}"
    return f"{both} ({code})"


def code_of(names: Names, text: str) -> str:
    """The code that somebody typed or chose, by code or by a name in either language; else the text as typed."""
    text = text.strip()
    if found := _CODE_IN_BRACKETS.search(text):
        return found[1]
    if text.upper() in names:
        return text.upper()
    wanted = text.casefold()
    return next((code for code, both in names.items() if wanted in (both[0].casefold(), both[1])), text)


def options(name: str) -> list[str]:
    """What a datalist offers."""
    names = LISTS[name]()
    return [label(names, code) for code in names]


def unit_choices() -> list[tuple[str, str]]:
    """Units for a select box."""
    return [(code, f"{own(names)} ({code})") for code, names in UNITS.items()]


def criterion_choices() -> list[tuple[str, str]]:
    """Origin criteria for a select box."""
    return [(code, f"{code} · {own(names)}") for code, names in ORIGIN_CRITERIA.items()]


def agreement_choices() -> list[tuple[str, str]]:
    """Trade agreements for a select box."""
    return [(code, own(names)) for code, names in AGREEMENTS.items()]


def own(names: tuple[str, str]) -> str:
    """The name in the reader's language."""
    return names[language() == "zh"]


def country(code: str) -> str:
    """A country's name in the reader's language, with its code."""
    return f"{own(countries()[code])} ({code})" if code in countries() else code


def unit(code: str) -> str:
    """A unit's name in the reader's language."""
    return own(UNITS[code]) if code in UNITS else code


def criterion(code: str) -> str:
    """An origin criterion in words."""
    return f"{code} · {own(ORIGIN_CRITERIA[code])}" if code in ORIGIN_CRITERIA else code


def agreement(code: str) -> str:
    """A trade agreement's name."""
    return own(AGREEMENTS[code]) if code in AGREEMENTS else code


def hs(code: str) -> str:
    """An HS code with its dots: 9405.21.00."""
    digits = str(code)
    return ".".join([digits[:4], *(digits[i : i + 2] for i in range(4, len(digits), 2))])
