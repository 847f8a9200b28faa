"""A consignment's papers together: do they speak of the same goods, sale and shipment as the declaration?

Certificate of origin and inspection report are demanded; the papers of the trade are compared as far as handed in.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backend.domain.consignment import PlannedDrawdown
from backend.domain.evidence import QUANTITY_STEPS
from backend.domain.fields import Document
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.inspection_report import InspectionReport
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.movement_event import MovementEvent
from backend.domain.kinds.order import Order
from backend.domain.kinds.payment_receipt import PaymentReceipt
from backend.domain.kinds.waybill import Waybill
from backend.domain.verdict import ActionBy, Check, Outcome


@dataclass(frozen=True)
class Paper:
    """A record that a declaration relies on: its id, and what it says."""

    record: str
    document: Document


def match(declaration: Declaration, papers: Sequence[Paper], drawn: Sequence[PlannedDrawdown] = ()) -> list[Check]:
    """Checks across documents, each about the paper that it compares with the declaration.

    ``drawn`` is what earlier declarations take from the certificates among the papers.
    """
    certificates = [p for p in papers if isinstance(p.document, CertificateOfOrigin)]
    reports = [p for p in papers if isinstance(p.document, InspectionReport)]
    return [
        *([] if certificates else [_lacking("certificate-of-origin")]),
        *([] if reports else [_lacking("inspection-report")]),
        *(check for paper in certificates for check in _certificate(declaration, paper)),
        *_quantities(declaration, certificates, drawn),
        *(check for paper in reports for check in _report(declaration, paper)),
        *_uncovered(declaration, certificates, "goods-without-certificate"),
        *_uncovered(declaration, reports, "goods-without-report"),
    ]


def _uncovered(declaration: Declaration, papers: Sequence[Paper], reason: str) -> list[Check]:
    """Goods declared beside those that the papers are about: one paper does not carry the others through."""
    if not papers:
        return []  # told already
    about_goods = [p.document for p in papers if isinstance(p.document, CertificateOfOrigin | InspectionReport)]
    covered = {document.hs_code[:6] for document in about_goods}
    bare = sorted({item.hs_code[:6] for item in declaration.items} - covered)
    return [Check("DOCUMENTS", Outcome.INDETERMINATE, reason, {"declared": code}, ActionBy.MERCHANT) for code in bare]


def _lacking(kind: str) -> Check:
    return Check("DOCUMENTS", Outcome.INDETERMINATE, f"{kind}-missing", action_by=ActionBy.MERCHANT)


def _certificate(declaration: Declaration, paper: Paper) -> list[Check]:
    certificate = paper.document
    assert isinstance(certificate, CertificateOfOrigin)
    covered = [item for item in declaration.items if item.hs_code[:6] == certificate.hs_code[:6]]
    checks = [_goods(declaration, certificate.hs_code, paper)]
    origins = {item.origin_country for item in covered}
    if covered:
        same = origins == {certificate.origin_country}
        values = {"stated": certificate.origin_country, "declared": ", ".join(sorted(origins))}
        checks.append(_match("MATCH_ORIGIN", same, "origin", values, paper))
    values = {"stated": certificate.import_country, "declared": declaration.destination_country}
    checks.append(
        _match(
            "MATCH_DESTINATION",
            certificate.import_country == declaration.destination_country,
            "destination",
            values,
            paper,
        )
    )
    if declaration.direction == "export":
        values = {"stated": certificate.exporter.name, "declared": declaration.merchant.name}
        same = _same_name(certificate.exporter.name, declaration.merchant.name)
        checks.append(_match("MATCH_EXPORTER", same, "exporter", values, paper))
    return checks


def _report(declaration: Declaration, paper: Paper) -> list[Check]:
    report = paper.document
    assert isinstance(report, InspectionReport)
    conforms = Check(
        "CONFORMITY",
        Outcome.PASS if report.conforms else Outcome.FAIL,
        "conforms" if report.conforms else "does-not-conform",
        {"specification": report.specification},
        None if report.conforms else ActionBy.MERCHANT,
        paper.record,
    )
    return [_goods(declaration, report.hs_code, paper), conforms]


def _goods(declaration: Declaration, hs_code: str, paper: Paper) -> Check:
    declared = sorted({item.hs_code[:6] for item in declaration.items})
    values = {"stated": hs_code[:6], "declared": ", ".join(declared)}
    return _match("MATCH_HS_CODE", hs_code[:6] in declared, "hs-code", values, paper)


def _quantities(
    declaration: Declaration, certificates: Sequence[Paper], drawn: Sequence[PlannedDrawdown]
) -> list[Check]:
    """Goods declared under a heading, those of earlier declarations included, may not exceed what is certified."""
    covered: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    first: dict[str, Paper] = {}
    for certified in certificates:
        certificate = certified.document
        assert isinstance(certificate, CertificateOfOrigin)
        covered[certificate.hs_code[:6], certificate.unit_code] += certificate.quantity
        first.setdefault(certificate.hs_code[:6], certified)
    declared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in declaration.items:
        declared[item.hs_code[:6], item.unit_code] += item.quantity
    return [
        _quantity(goods, quantity, covered.get(goods), [d for d in drawn if (d.heading, d.unit_code) == goods], paper)
        for goods, quantity in declared.items()
        if (paper := first.get(goods[0])) is not None
    ]


def _quantity(
    goods: tuple[str, str], quantity: Decimal, certified: Decimal | None, drawn: Sequence[PlannedDrawdown], paper: Paper
) -> Check:
    unit = goods[1]
    values = {"declared": f"{quantity} {unit}"}
    if certified is None:
        outcome = Outcome.INDETERMINATE
        return Check("MATCH_QUANTITY", outcome, "units-differ", values, ActionBy.MERCHANT, paper.record)
    values["stated"] = f"{certified} {unit}"
    used = Decimal(sum(drawdown.quantity for drawdown in drawn)) / QUANTITY_STEPS
    if quantity > certified or quantity + used <= certified:
        return _match("MATCH_QUANTITY", quantity <= certified, "quantity", values, paper)
    # Where an earlier declaration had several certificates to draw from, this one may have been spared.
    outcome = Outcome.INDETERMINATE if any(drawdown.is_shared for drawdown in drawn) else Outcome.FAIL
    values["used"] = f"{used.normalize():f} {unit}"
    return Check("MATCH_QUANTITY", outcome, "quantity-already-declared", values, ActionBy.MERCHANT, paper.record)


def _match(code: str, same: bool, what: str, values: Mapping[str, Any], paper: Paper) -> Check:
    if same:
        return Check(code, Outcome.PASS, f"{what}-matches", values, None, paper.record)
    return Check(code, Outcome.FAIL, f"{what}-differs", values, ActionBy.MERCHANT, paper.record)


def _same_name(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())


def match_trade(declaration: Declaration, papers: Sequence[Paper]) -> list[Check]:
    """Checks of the papers of the trade against the declaration, and of their amounts against each other."""
    orders = [paper.document for paper in papers if isinstance(paper.document, Order)]
    invoices = [paper.document for paper in papers if isinstance(paper.document, Invoice)]
    checks = []
    for paper in papers:
        checks += _references(declaration, paper)
        match paper.document:
            case Waybill() as waybill:
                checks.append(
                    _same("MATCH_DESTINATION", waybill.destination_country, declaration.destination_country, paper)
                )
            case PaymentReceipt() as receipt:
                checks += [_paid(receipt, order, paper) for order in orders if _is_for(receipt, order)]
            case CertificateOfOrigin(invoice_reference=str() as number) if invoices:
                numbers = [invoice.invoice_number for invoice in invoices]
                found = next((known for known in numbers if _plain(known) == _plain(number)), ", ".join(numbers))
                checks.append(_same("MATCH_INVOICE", number, found, paper))
            case _:
                pass
    return checks


def _references(declaration: Declaration, paper: Paper) -> list[Check]:
    """The numbers under which the paper and the declaration speak of one sale and one shipment."""
    document = paper.document
    checks = []
    if isinstance(document, Order | PaymentReceipt | Waybill | Invoice | MovementEvent) and document.order_reference:
        checks.append(_same("MATCH_ORDER", document.order_reference, declaration.order_reference, paper))
    if isinstance(document, Waybill | MovementEvent) and document.waybill_reference:
        checks.append(_same("MATCH_WAYBILL", document.waybill_reference, declaration.waybill_reference, paper))
    return checks


def _is_for(receipt: PaymentReceipt, order: Order) -> bool:
    return _plain(receipt.order_reference) == _plain(order.order_reference)


def _paid(receipt: PaymentReceipt, order: Order, paper: Paper) -> Check:
    """Paid in part, or in another currency, may be in order: that is for a person to see."""
    values = {
        "stated": f"{receipt.amount.normalize():f} {receipt.currency}",
        "declared": f"{order.total_amount.normalize():f} {order.currency}",
    }
    if (receipt.amount, receipt.currency) == (order.total_amount, order.currency):
        return Check("MATCH_PAYMENT", Outcome.PASS, "payment-matches", values, None, paper.record)
    return Check("MATCH_PAYMENT", Outcome.INDETERMINATE, "payment-differs", values, ActionBy.MERCHANT, paper.record)


_REASONS = {
    "MATCH_ORDER": ("order-matches", "order-differs"),
    "MATCH_WAYBILL": ("waybill-matches", "waybill-differs"),
    "MATCH_INVOICE": ("invoice-matches", "invoice-differs"),
    "MATCH_DESTINATION": ("destination-matches", "waybill-destination-differs"),
}


def _same(code: str, stated: str, declared: str, paper: Paper) -> Check:
    values = {"stated": stated, "declared": declared}
    matches, differs = _REASONS[code]
    if _plain(stated) == _plain(declared):
        return Check(code, Outcome.PASS, matches, values, None, paper.record)
    return Check(code, Outcome.FAIL, differs, values, ActionBy.MERCHANT, paper.record)


def _plain(number: str) -> str:
    return "".join(number.casefold().split())
