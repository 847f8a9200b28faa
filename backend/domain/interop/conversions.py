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
from babel import Locale

from backend.domain.agreements import AGREEMENTS
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.interop.reading import Unusable
from backend.domain.units import LOCAL_MASSES, UNIT_WORDS, UNITS

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

# The last of the three decimals that ``fields.Quantity`` takes.
_GRAM = Decimal("0.001")


def text(value: Any) -> Converted:
    """Return text as it is; JSON numbers are returned as they are written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable("no-text")
    return str(value).strip(), None


_EVERYDAY_COUNTRIES = {
    **dict.fromkeys(("uk", "great britain"), "GB"),
    **dict.fromkeys(("香港", "中国香港"), "HK"),
    **dict.fromkeys(("澳门", "中国澳门"), "MO"),
    **dict.fromkeys(("中国大陆", "p.r. china"), "CN"),
    "中国台湾": "TW",
    "turkey": "TR",
    "阿联酋": "AE",
}
"""Names that people write and that no list has; UK is reserved in ISO 3166 for the United Kingdom."""


@cache
def _countries() -> dict[str, str]:
    """Return the countries' codes by their names: the English ones of ISO 3166, those of CLDR, and everyday ones."""
    chinese, english = Locale("zh").territories, Locale("en").territories
    return {
        str(name).casefold(): str(country.alpha_2)
        for country in pycountry.countries
        for name in (
            country.name,
            getattr(country, "common_name", None),
            getattr(country, "official_name", None),
            chinese.get(country.alpha_2),
            english.get(country.alpha_2),
        )
        if name
    } | _EVERYDAY_COUNTRIES


def country(value: Any) -> Converted:
    """Return an ISO 3166-1 alpha-2 code, from one, from an alpha-3 code, or from the exact name."""
    given, _ = text(value)
    # Singapore is 702 in ISO 3166 and 132 with China's customs, and a number does not tell whose it is.
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
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]+(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?", given):
            return moment(given).date().isoformat(), "day-of-instant"
    except (ValueError, OverflowError):
        pass
    raise Unusable("no-day", value=given)


def moment(text: str) -> datetime:
    """Return the instant that ISO 8601 writes so; 24:00 is the beginning of the next day.

    Raises:
        ValueError: if it is none.
        OverflowError: if the next day lies beyond the calendar.
    """
    found = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]24:00(?::00(?:[.,]0+)?)?(.*)", text)
    if not found:
        return datetime.fromisoformat(text)
    following = date.fromisoformat(found[1]) + timedelta(days=1)
    return datetime.fromisoformat(f"{following.isoformat()}T00:00:00{found[2]}")


def number(value: Any) -> Converted:
    """Return a decimal number in plain digits with a point, as text."""
    given, _ = text(value)
    # repr() of a float may be 1e-07, and plain digits are asked for.
    if isinstance(value, float):
        given = f"{Decimal(repr(value)):f}"
    if re.fullmatch(r"[0-9]+(?:[.][0-9]+)?", given):
        return given, None
    if re.fullmatch(r"[-\u2212][0-9]+(?:[.][0-9]+)?", given):
        raise Unusable("negative-number", value=given)
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
        # Where decimals have commas, spreadsheets put semicolons between cells, and 1.250 there may be 1250. Read as it
        # stands it would be a thousandth of it, so the merchant says which.
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
    code = given.upper()
    if re.fullmatch("[A-Z]{3}", code) and pycountry.currencies.get(alpha_3=code):
        return code, None if code == given else "currency-code"
    if found := _currencies().get(given.casefold()):
        return found, "currency-code"
    raise Unusable("no-currency", value=given)


@cache
def _currencies() -> dict[str, str]:
    """Return the currencies' codes by their English and Chinese names in CLDR, and everyday words for one only."""
    names = {
        str(name).casefold(): str(currency.alpha_3)
        for currency in pycountry.currencies
        for language in ("en", "zh")
        if (name := Locale(language).currencies.get(currency.alpha_3))
    }
    return names | {"rmb": "CNY", "us$": "USD", "hk$": "HKD", "港币": "HKD", "澳元": "AUD", "加元": "CAD"}


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
    word = unicodedata.normalize("NFKC", given).casefold()
    for agreed in AGREEMENTS.values():
        if word in (agreed.code.casefold(), *agreed.aliases):
            return agreed.code, "agreement-name"
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
    if word in LOCAL_MASSES:
        raise Unusable("local-mass", value=given, kilograms=LOCAL_MASSES[word])
    raise Unusable("no-unit", value=given, known=", ".join(list(UNITS)[:15]))


def hs_code(value: Any) -> Converted:
    """Return an HS code as written. An odd number of digits means that a spreadsheet dropped the leading zero."""
    given, _ = text(value)
    groups = re.split(r"[.\s-]+", given)
    digits = "".join(groups)
    if re.fullmatch("[0-9]+", digits) and len(digits) <= 13:
        is_whole = all(len(group) % 2 == 0 for group in groups[:-1]) and (len(digits) % 2 == 0 or len(digits) == 13)
        if not is_whole:
            raise Unusable("lost-zero", value=given)
    return given, None


_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
)


def instant(value: Any) -> Converted:
    """Return an ISO 8601 instant with its time zone; 24:00 is the beginning of the next day."""
    given, _ = text(value)
    found = _INSTANT.fullmatch(given)
    if not found:
        raise Unusable("no-instant", value=given)
    on, time, zone = found.groups()
    zone += ":00" if len(zone) == 3 else ""  # ISO 8601 lets the minutes be left out
    try:
        instant = moment(f"{on}T{time}{zone}")
    except (ValueError, OverflowError) as error:
        raise Unusable("no-such-instant", value=given) from error
    if time.startswith("24"):
        return f"{instant.date().isoformat()}T00:00:00{zone}", "end-of-day"
    return (given, None) if given.endswith(zone) else (f"{on}T{time}{zone}", "zone-of-hours")


# China customs' numeric country codes, which CEB603 and other parcel lists use. Source: General Administration of
# Customs of China, code table of countries and regions, numeric edition, read on 2026-11-28 from a published copy;
# its numbers agree with those of a second copy. Numbers for a part of a country, a former country or no country have no
# ISO 3166 code and are left out. They are not the numbers of ISO 3166, where 702 is Singapore.
_GROUPS = {
    "1": (
        "101AF 102BH 103BD 104BT 105BN 106MM 107KH 108CY 109KP 110HK 111IN 112ID 113IR 114IQ 115IL 116JP 117JO 118KW "
        "119LA 120LB 121MO 122MY 123MV 124MN 125NP 126OM 127PK 128PS 129PH 130QA 131SA 132SG 133KR 134LK 135SY 136TH "
        "137TR 138AE 139YE 141VN 142CN 143TW 144TL 145KZ 146KG 147TJ 148TM 149UZ"
    ),
    "2": (
        "201DZ 202AO 203BJ 204BW 205BI 206CM 208CV 209CF 211TD 212KM 213CG 214DJ 215EG 216GQ 217ET 218GA 219GM 220GH "
        "221GN 222GW 223CI 224KE 225LR 226LY 227MG 228MW 229ML 230MR 231MU 232MA 233MZ 234NA 235NE 236NG 237RE 238RW "
        "239ST 240SN 241SC 242SL 243SO 244ZA 245EH 246SD 247TZ 248TG 249TN 250UG 251BF 252CD 253ZM 254ZW 255LS 257SZ "
        "258ER 259YT"
    ),
    "3": (
        "301BE 302DK 303GB 304DE 305FR 306IE 307IT 308LU 309NL 310GR 311PT 312ES 313AL 314AD 315AT 316BG 318FI 320GI "
        "321HU 322IS 323LI 324MT 325MC 326NO 327PL 328RO 329SM 330SE 331CH 334EE 335LV 336LT 337GE 338AM 339AZ 340BY "
        "343MD 344RU 347UA 350SI 351HR 352CZ 353SK 354MK 355BA 356VA 357FO 358RS 359ME"
    ),
    "4": (
        "401AG 402AR 403AW 404BS 405BB 406BZ 408BO 410BR 411KY 412CL 413CO 414DM 415CR 416CU 417CW 418DO 419EC 420GF "
        "421GD 422GP 423GT 424GY 425HT 426HN 427JM 428MQ 429MX 430MS 431NI 432PA 433PY 434PE 435PR 437LC 439VC 440SV "
        "441SR 442TT 443TC 444UY 445VE 446VG 447KN 448PM"
    ),
    "5": ("501CA 502US 503GL 504BM"),
    "6": (
        "601AU 602CK 603FJ 606NR 607NC 608VU 609NZ 610NF 611PG 613SB 614TO 617WS 618KI 619TV 620FM 621MH 622PW 623PF "
        "625WF"
    ),
}
"""By the continent, which is the first digit: each number with its ISO 3166-1 alpha-2 code."""

CHINA_COUNTRIES = {entry[:3]: entry[3:] for group in _GROUPS.values() for entry in group.split()}
"""ISO 3166-1 code of two letters, by China customs' number."""
