"""The columns of a table of consignments: our names, those of China's 9610 list (CEB603), and how cells are read."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from backend.domain.interop import conversions
from backend.domain.interop.conversions import CHINA_COUNTRIES, Converted
from backend.domain.interop.reading import Unusable
from backend.domain.interop.table import plain_name
from backend.domain.units import CHINA_UNIT_WORDS

CHINA_UNITS = {code: str(conversions.unit(word)[0]) for code, word in CHINA_UNIT_WORDS.items()}
"""China customs' unit codes with our unit for their word, so that a code and its word give the same unit."""

# fmt: off
CHINA_CURRENCIES = {
    "110": "HKD", "116": "JPY", "121": "MOP", "122": "MYR", "129": "PHP", "132": "SGD", "133": "KRW", "136":
    "THB", "142": "CNY", "143": "TWD", "300": "EUR", "302": "DKK", "303": "GBP", "326": "NOK", "330": "SEK",
    "331": "CHF", "501": "CAD", "502": "USD", "601": "AUD", "609": "NZD",
}
# fmt: on
"""China customs' codes of the currencies in which parcels are priced; they differ from ISO 4217's numbers.

Source: General Administration of Customs of China, code table of currencies, read on 2026-11-29 from two copies.
"""

_TWELVE = 12
"""Number of digits that no Chinese HS code has: it is a code of 13 digits without its leading zero."""
_SHORTENED = re.compile(r"-?[0-9](?:[.,][0-9]+[eE][+-]?|[eE][+-])[0-9]{1,3}")
_SPREADSHEET_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|#+)", re.IGNORECASE)
_CUT_TO_15_DIGITS = re.compile("[1-9][0-9]{14}0+")
"""A number as spreadsheets store it beyond the 15 digits that they keep."""
_OFFICE_DIGITS = 4
"""Digits of a code of China's customs offices, of which the first may be a zero."""


def _words(cell: str) -> Converted:
    if _SHORTENED.fullmatch(cell):
        raise Unusable("shortened-number", value=cell)
    if _SPREADSHEET_ERROR.fullmatch(cell):
        raise Unusable("spreadsheet-error", value=cell)
    return cell, None


def _text(cell: str) -> Converted:
    """Return a number or code, which is no formula; in words one is text like any other."""
    if cell.startswith("="):
        raise Unusable("formula", value=cell)
    return _words(cell)[0], "perhaps-cut" if _CUT_TO_15_DIGITS.fullmatch(cell) else None


def _office(cell: str) -> Converted:
    if re.fullmatch("[0-9]{1,3}", cell):
        raise Unusable("office-short", value=cell, likely=cell.zfill(_OFFICE_DIGITS))
    return _text(cell)


_DIRECTIONS = {"e": "export", "export": "export", "出口": "export", "i": "import", "import": "import", "进口": "import"}


def _direction(cell: str) -> Converted:
    if cell in ("export", "import"):
        return cell, None
    if (found := _DIRECTIONS.get(cell.casefold())) is not None:
        return found, "direction"
    raise Unusable("no-direction", value=cell)


def _number(cell: str) -> Converted:
    return conversions.number(cell)


def _whole_number(cell: str) -> Converted:
    if not re.fullmatch("[0-9]{1,9}(?:[.]0+)?", cell):
        raise Unusable("no-whole-number", value=cell)
    whole = cell.partition(".")[0]
    return whole, None if whole == cell else "number-style"


def _hs_code(cell: str) -> Converted:
    code, _ = conversions.hs_code(_text(cell)[0])
    if re.fullmatch(f"[0-9]{{{_TWELVE}}}", re.sub(r"[.\s]", "", code)):
        raise Unusable("lost-zero-of-china", value=code)
    return code, None


def _unit(cell: str) -> Converted:
    if cell in CHINA_UNITS:
        return CHINA_UNITS[cell], "china-unit"
    # Spreadsheets drop the zeros of 035; which code was meant is for the merchant to say.
    if cell.zfill(3) in CHINA_UNITS:
        raise Unusable("china-unit-short", value=cell, likely=cell.zfill(3))
    if re.fullmatch("[0-9]{1,3}", cell):
        raise Unusable("china-unit-unknown", value=cell, known=", ".join(CHINA_UNITS))
    return conversions.unit(cell)


def _currency(cell: str) -> Converted:
    if cell in CHINA_CURRENCIES:
        return CHINA_CURRENCIES[cell], "china-currency"
    if re.fullmatch("[0-9]{1,3}", cell):
        raise Unusable("china-currency-unknown", value=cell, known=", ".join(CHINA_CURRENCIES))
    return conversions.currency(cell)


def _country(cell: str) -> Converted:
    if cell in CHINA_COUNTRIES:
        return CHINA_COUNTRIES[cell], "china-country"
    if re.fullmatch("[0-9]{1,3}", cell):
        raise Unusable("china-country-unknown", value=cell)
    return conversions.country(cell)


def _record_ids(cell: str) -> Converted:
    return [found for part in re.split("[;；]", cell) if (found := part.strip())], None


@dataclass(frozen=True)
class Column:
    """One column: our field, its name in the 9610 list, and how its cells are read."""

    field: str
    alias: str | None
    read: Callable[[str], Converted] = _text
    required: bool = True
    of_item: bool = False
    is_free_text: bool = False
    is_code: bool = False
    """Whether its cells are codes of a list, some of which look like numbers."""

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, which are written differently in different countries."""
        return self.read in (_number, _whole_number)


COLUMNS: tuple[Column, ...] = (
    Column("declarationReference", "copNo"),
    Column("customsOffice", "customsCode", _office, is_code=True),
    Column("previousProcedureTypeCode", "tradeMode", required=False, is_code=True),
    Column("direction", "ieFlag", _direction, required=False),
    Column("platformName", "ebpName", _words, required=False, is_free_text=True),
    Column("orderReference", "orderNo"),
    Column("waybillReference", "logisticsNo"),
    Column("carrierName", "logisticsName", _words, required=False, is_free_text=True),
    Column("destinationCountry", "country", _country, is_code=True),
    Column("packageQuantity", "packNo", _whole_number),
    Column("grossWeightMeasure", "grossWeight", _number),
    Column("netWeightMeasure", "netWeight", _number, required=False),
    Column("arrivalDateTime", None, conversions.instant, required=False),
    Column("records", None, _record_ids, required=False),
    Column("hsCode", "gcode", _hs_code, of_item=True, is_code=True),
    Column("description", "gname", _words, of_item=True, is_free_text=True),
    Column("quantity", "qty", _number, of_item=True),
    Column("unitCode", "unit", _unit, of_item=True, is_code=True),
    Column("unitPrice", "price", _number, of_item=True),
    Column("currency", None, _currency, of_item=True, is_code=True),
    Column("originCountry", None, _country, of_item=True, is_code=True),
)
"""The currency column has the same name in both; neither arrival, records nor origin is in the 9610 list."""

BY_NAME: dict[str, Column] = {
    plain_name(name): column for column in COLUMNS for name in (column.field, column.alias) if name
}

TOTALS = frozenset(
    map(
        plain_name,
        (
            "total",
            "totals",
            "sum",
            "subtotal",
            "grand total",
            "total amount",
            "合计",
            "总计",
            "小计",
            "共计",
            "合計",
            "總計",
        ),
    )
)
"""What stands before the sums under a table."""

# fmt: off
LIST_ONLY = frozenset(
    plain_name(name)
    for name in (
        "guid", "appType", "appTime", "appStatus", "ebpCode", "ebcCode", "ebcName", "logisticsCode", "preNo",
        "invtNo", "portCode", "ieDate", "statisticsFlag", "agentCode", "agentName", "ownerCode", "ownerName",
        "iacCode", "iacName", "emsNo", "trafMode", "trafName", "voyageNo", "billNo", "totalPackageNo", "loctNo",
        "licenseNo", "POD", "freight", "fCurrency", "fFlag", "insuredFee", "iCurrency", "iFlag", "wrapType", "note",
        "gnum", "itemNo", "itemRecordNo", "itemName", "gmodel", "barCode", "qty1", "qty2", "unit1", "unit2",
        "totalPrice",
    )
)
# fmt: on
"""Fields of the 9610 list that a declaration here does not hold."""
