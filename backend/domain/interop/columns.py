"""The columns of a table of consignments: our names, those of China's 9610 list (CEB603), and how cells are read."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from backend.domain.interop import conversions
from backend.domain.interop.conversions import CHINA_COUNTRIES, Converted
from backend.domain.interop.reading import Unusable
from backend.domain.units import CHINA_UNIT_WORDS

CHINA_UNITS = {code: str(conversions.unit(word)[0]) for code, word in CHINA_UNIT_WORDS.items()}
"""China customs' unit codes with our unit for their word, so that a code and its word give the same unit."""

CHINA_CURRENCIES = {"110": "HKD", "116": "JPY", "142": "CNY", "300": "EUR", "303": "GBP", "502": "USD"}
"""China customs' codes of the currencies in which parcels are priced; they differ from ISO 4217's numbers."""

_TWELVE = 12
"""Number of digits that no Chinese HS code has: it is a code of 13 digits without its leading zero."""
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE][+][0-9]+")


def _text(cell: str) -> Converted:
    if _SHORTENED.fullmatch(cell):
        raise Unusable("shortened-number", value=cell)
    return cell, None


def _direction(cell: str) -> Converted:
    if cell in ("export", "import"):
        return cell, None
    if cell in ("E", "I"):
        return {"E": "export", "I": "import"}[cell], "direction"
    raise Unusable("no-direction", value=cell)


def _number(cell: str) -> Converted:
    return conversions.number(cell)


def _whole_number(cell: str) -> Converted:
    if not re.fullmatch("[0-9]{1,9}", cell):
        raise Unusable("no-whole-number", value=cell)
    return cell, None


def _hs_code(cell: str) -> Converted:
    code, _ = conversions.hs_code(_text(cell)[0])
    if len(re.sub(r"[.\s]", "", code)) == _TWELVE:
        raise Unusable("lost-zero-of-china", value=code)
    return code, None


def _unit(cell: str) -> Converted:
    if cell in CHINA_UNITS:
        return CHINA_UNITS[cell], "china-unit"
    if cell.zfill(3) in CHINA_UNITS:
        raise Unusable("china-unit-short", value=cell, likely=cell.zfill(3))
    if re.fullmatch("[0-9]{1,3}", cell):
        raise Unusable("china-unit-unknown", value=cell, known=", ".join(CHINA_UNITS))
    return conversions.unit(cell)


def _currency(cell: str) -> Converted:
    if cell in CHINA_CURRENCIES:
        return CHINA_CURRENCIES[cell], "china-currency"
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

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, which are written differently in different countries."""
        return self.read in (_number, _whole_number)


COLUMNS: tuple[Column, ...] = (
    Column("declarationReference", "copNo"),
    Column("customsOffice", "customsCode"),
    Column("previousProcedureTypeCode", "tradeMode", required=False),
    Column("direction", "ieFlag", _direction, required=False),
    Column("platformName", "ebpName", required=False, is_free_text=True),
    Column("orderReference", "orderNo"),
    Column("waybillReference", "logisticsNo"),
    Column("carrierName", "logisticsName", required=False, is_free_text=True),
    Column("destinationCountry", "country", _country),
    Column("packageQuantity", "packNo", _whole_number),
    Column("grossWeightMeasure", "grossWeight", _number),
    Column("netWeightMeasure", "netWeight", _number, required=False),
    Column("arrivalDateTime", None, conversions.instant, required=False),
    Column("records", None, _record_ids, required=False),
    Column("hsCode", "gcode", _hs_code, of_item=True),
    Column("description", "gname", of_item=True, is_free_text=True),
    Column("quantity", "qty", _number, of_item=True),
    Column("unitCode", "unit", _unit, of_item=True),
    Column("unitPrice", "price", _number, of_item=True),
    Column("currency", None, _currency, of_item=True),
    Column("originCountry", None, _country, of_item=True),
)
"""The currency column has the same name in both; neither arrival, records nor origin is in the 9610 list."""

BY_NAME: dict[str, Column] = {
    name.casefold(): column for column in COLUMNS for name in (column.field, column.alias) if name
}

# fmt: off
LIST_ONLY = frozenset(
    name.casefold()
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
