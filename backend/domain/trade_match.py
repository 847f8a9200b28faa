"""Do order, payment receipt, waybill and invoice belong to the declaration that names them?

They are compared as far as they were handed in: none of them is demanded here.
"""

from collections.abc import Sequence

from backend.domain.dossier import Paper
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.movement_event import MovementEvent
from backend.domain.kinds.order import Order
from backend.domain.kinds.payment_receipt import PaymentReceipt
from backend.domain.kinds.waybill import Waybill
from backend.domain.verdict import ActionBy, Check, Outcome


def match_trade(declaration: Declaration, papers: Sequence[Paper]) -> list[Check]:
    """Checks of the papers of the trade against the declaration, and of their amounts against each other."""
    orders = [paper.document for paper in papers if isinstance(paper.document, Order)]
    invoices = [paper.document for paper in papers if isinstance(paper.document, Invoice)]
    checks = []
    for paper in papers:
        checks += _references(declaration, paper)
        match paper.document:
            case Waybill() as waybill:
                checks.append(_same("DESTINATION", waybill.destination_country, declaration.destination_country, paper))
            case PaymentReceipt() as receipt:
                checks += [_paid(receipt, order, paper) for order in orders if _is_for(receipt, order)]
            case CertificateOfOrigin(invoice_reference=str() as number) if invoices:
                numbers = [invoice.invoice_number for invoice in invoices]
                found = next((known for known in numbers if _plain(known) == _plain(number)), ", ".join(numbers))
                checks.append(_same("INVOICE", number, found, paper))
            case _:
                pass
    return checks


def _references(declaration: Declaration, paper: Paper) -> list[Check]:
    """The numbers under which the paper and the declaration speak of one sale and one shipment."""
    document = paper.document
    checks = []
    if isinstance(document, Order | PaymentReceipt | Waybill | Invoice | MovementEvent) and document.order_reference:
        checks.append(_same("ORDER", document.order_reference, declaration.order_reference, paper))
    if isinstance(document, Waybill | MovementEvent) and document.waybill_reference:
        checks.append(_same("WAYBILL", document.waybill_reference, declaration.waybill_reference, paper))
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
    "ORDER": ("order-matches", "order-differs"),
    "WAYBILL": ("waybill-matches", "waybill-differs"),
    "INVOICE": ("invoice-matches", "invoice-differs"),
    "DESTINATION": ("destination-matches", "waybill-destination-differs"),
}


def _same(what: str, stated: str, declared: str, paper: Paper) -> Check:
    values = {"stated": stated, "declared": declared}
    matches, differs = _REASONS[what]
    if _plain(stated) == _plain(declared):
        return Check(f"MATCH_{what}", Outcome.PASS, matches, values, None, paper.record)
    return Check(f"MATCH_{what}", Outcome.FAIL, differs, values, ActionBy.MERCHANT, paper.record)


def _plain(number: str) -> str:
    return "".join(number.casefold().split())
