"""The types of documents' fields: text, days, quantities, codes, parties and attachments.

Field names are the UN/CEFACT vocabulary's where it has one. Quantities, weights and prices are decimals written as
strings, so that no reader rounds them.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from stdnum.cn import uscc

from backend.domain.codes import CountryCode, HsCode, UnitCode, is_read_as_signed
from backend.domain.faults import fault


def _plain_text(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if not text.isprintable() and any(_is_hidden(character) for character in text):
        raise fault("hidden_characters", "the text holds characters that cannot be seen")
    return text


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") and character not in "\n\t"


def _from_text(value: Any) -> Any:
    # A float has lost digits already; whole numbers and strings have not.
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    return value


def _day(value: Any) -> Any:
    # A date-time is no date: which day it is depends on the reader's zone.
    if isinstance(value, datetime) or (isinstance(value, str) and not re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", value)):
        raise fault("day", "Input should be a valid date: year-month-day, such as 2026-03-31")
    return value


def _decimal_text(value: Decimal) -> str:
    return f"{value.normalize():f}"


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
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[AwareDatetime, AfterValidator(_readable), PlainSerializer(_moment_text, return_type=str), _MOMENT]
Quantity = Annotated[
    Decimal,
    BeforeValidator(_from_text),
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
        populate_by_name=True,
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
