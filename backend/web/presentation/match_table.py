"""The match table: what each paper of a consignment states of the same facts, with differences marked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _

from backend.domain.kinds import Kind
from backend.domain.records import fields_of
from backend.domain.verdict import Check, Outcome
from backend.services.declarations import PreCheck
from backend.services.verification import DossierVerdict
from backend.web.forms import choices
from backend.web.forms.choices import country, hs
from backend.web.presentation.labels import kind_name
from backend.web.presentation.languages import day, listed, moment_text, number

Fields = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """What one paper states of one fact. ``mark`` is the outcome of the comparison, if there was one."""

    text: str
    mark: Outcome | None = None


@dataclass(frozen=True)
class MatchTable:
    """Papers as columns (name, record id), and facts as rows (name, cells)."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Cell]]]


@dataclass(frozen=True)
class _Fact:
    name: str
    codes: tuple[str, ...]
    read: Callable[[Kind, Fields], str]


def match_table(dossier: DossierVerdict) -> MatchTable:
    """Build the table of a declaration and its papers."""
    records = [dossier.declaration.record, *(evaluated.record for evaluated in dossier.papers)]
    return _table([(r.kind, r.id, r.readable_fields) for r in records], dossier.verdict.checks)


def match_table_before(checked: PreCheck) -> MatchTable:
    """Build the same table of a declaration that is not lodged yet, whose column has no record."""
    papers = [(one.record.kind, one.record.id, one.record.readable_fields) for one in checked.found.papers]
    declared = Kind.DECLARATION, "", fields_of(checked.document)
    return _table([declared, *papers], checked.found.verdict.checks)


def _table(columns: Sequence[tuple[Kind, str, Fields]], checks: Sequence[Check]) -> MatchTable:
    outcomes = _outcomes(checks)
    rows = []
    for fact in _facts():
        cells = [Cell(fact.read(kind, fields), _worst(outcomes, id_, fact.codes)) for kind, id_, fields in columns]
        if any(cell.text for cell in cells):
            rows.append((fact.name, cells))
    return MatchTable([(kind_name(kind), id_) for kind, id_, _fields in columns], rows)


def _outcomes(checks: Sequence[Check]) -> dict[tuple[str, str], set[Outcome]]:
    found: dict[tuple[str, str], set[Outcome]] = {}
    for check in checks:
        found.setdefault((check.record or "", check.code), set()).add(check.outcome)
    return found


def _worst(outcomes: Mapping[tuple[str, str], set[Outcome]], record: str, codes: Sequence[str]) -> Outcome | None:
    """Return the worst outcome for a cell, since a paper can be compared with several others by several checks."""
    found = set().union(*(outcomes.get((record, code), set()) for code in codes))
    order = (Outcome.FAIL, Outcome.INDETERMINATE, Outcome.NOTE, Outcome.PASS)
    return next((outcome for outcome in order if outcome in found), None)


def _facts() -> list[_Fact]:
    return [
        _Fact(_("HS code"), ("MATCH_HS_CODE",), lambda kind, f: _joined(f, "hsCode", hs)),
        _Fact(_("Goods"), ("MATCH_DESCRIPTION", "MATCH_BOTANICAL_NAME"), _goods),
        _Fact(_("Quantity"), ("MATCH_QUANTITY", "MATCH_GOODS_QUANTITY"), _quantity),
        _Fact(_("Origin"), ("MATCH_ORIGIN",), lambda kind, f: _joined(f, "originCountry", country)),
        _Fact(_("Destination"), ("MATCH_DESTINATION",), _destination),
        _Fact(_("Company"), ("MATCH_EXPORTER",), _company),
        _Fact(_("Buyer"), ("MATCH_BUYER",), lambda kind, f: _party(f, "buyer", "consignee", "payer")),
        _Fact(_("Conformity"), ("CONFORMITY",), _conformity),
        _Fact(_("Order number"), ("MATCH_ORDER",), lambda kind, f: _first(f, "orderReference")),
        _Fact(
            _("Invoice number"),
            ("MATCH_INVOICE",),
            lambda kind, f: _first(f, "invoiceReference", "invoiceNumber"),
        ),
        _Fact(_("Waybill number"), ("MATCH_WAYBILL",), lambda kind, f: _first(f, "waybillReference")),
        _Fact(_("Transport"), ("MATCH_TRANSPORT",), lambda kind, f: _first(f, "transportMeans", "voyageReference")),
        _Fact(_("Amount"), _OF_AMOUNTS, _amount),
        _Fact(_("Freight"), ("MATCH_FREIGHT",), lambda kind, f: _first(f, "freightAmount")),
        _Fact(_("Packages"), ("MATCH_PACKAGES",), lambda kind, f: _first(f, "packageQuantity")),
        _Fact(_("Gross weight, kg"), ("MATCH_GROSS_WEIGHT",), lambda kind, f: _first(f, "grossWeightMeasure")),
        _Fact(_("Net weight, kg"), ("MATCH_NET_WEIGHT",), lambda kind, f: _first(f, "netWeightMeasure")),
        _Fact(_("Lot, marks"), ("MATCH_LOT",), lambda kind, f: _first(f, "itemIdentification", "shippingMarks")),
        _Fact(
            _("Date"),
            ("MATCH_DATES",),
            lambda kind, f: _date(f, "issueDate", "orderDate", "paidDateTime", "eventDateTime", "movementDate"),
        ),
    ]


_OF_AMOUNTS = (
    "MATCH_CURRENCY",
    "MATCH_VALUE",
    "MATCH_LINE_VALUE",
    "MATCH_TOTAL",
    "MATCH_DISCOUNT",
    "MATCH_PAYMENT",
)


def _first(fields: Fields, *names: str) -> str:
    return next((str(fields[name]) for name in names if fields.get(name)), "")


def _date(fields: Fields, *names: str) -> str:
    value = _first(fields, *names)
    return moment_text(value) if "T" in value else day(value)


def _joined(fields: Fields, name: str, shown: Callable[[str], str]) -> str:
    values = [fields[name]] if name in fields else [item.get(name) for item in fields.get("items", [])]
    return listed(dict.fromkeys(shown(value) for value in values if value))


def _goods(kind: Kind, fields: Fields) -> str:
    if own := _first(fields, "description", "itemDescription"):
        return own
    return "; ".join(str(item.get("description", "")) for item in fields.get("items", []))


def _quantity(kind: Kind, fields: Fields) -> str:
    lines = [fields] if "quantity" in fields else fields.get("items", [])
    return listed(choices.quantity(line["quantity"], line.get("unitCode", "")) for line in lines if "quantity" in line)


def _destination(kind: Kind, fields: Fields) -> str:
    code = _first(fields, "importCountry", "destinationCountry")
    return country(code) if code else ""


def _company(kind: Kind, fields: Fields) -> str:
    return _party(fields, "merchant", "exporter", "customer", "seller", "payee", "consignor")


def _party(fields: Fields, *names: str) -> str:
    party: Fields = next((fields[name] for name in names if name in fields), {})
    return str(party.get("name", ""))


def _amount(kind: Kind, fields: Fields) -> str:
    amount = _first(fields, "totalAmount", "amount", "freeOnBoardAmount")
    if amount:
        return f"{number(amount)} {_first(fields, 'currency')}".strip()
    sums: dict[str, Decimal] = {}
    for line in fields.get("items", []) if kind is Kind.DECLARATION else []:
        value = Decimal(line.get("totalPrice") or Decimal(line["unitPrice"]) * Decimal(line["quantity"]))
        sums[line["currency"]] = sums.get(line["currency"], Decimal(0)) + value
    return listed(f"{number(value.normalize())} {currency}" for currency, value in sums.items())


def _conformity(kind: Kind, fields: Fields) -> str:
    if "conforms" not in fields:
        return ""
    return str(_("conforms") if fields["conforms"] else _("does not conform"))
