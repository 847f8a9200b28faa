"""Do order, payment receipt, waybill and invoice belong to the declaration that names them, and state the same facts?

They are compared as far as they were handed in: none of them is demanded here.
"""

import unicodedata
from collections.abc import Iterator, Sequence

from backend.domain.consignment import PlannedDrawdown
from backend.domain.dossier import Dossier, Paper, compared
from backend.domain.fields import Party
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.order import Order
from backend.domain.kinds.payment_receipt import PaymentReceipt
from backend.domain.verdict import REGISTER, ActionBy, Check, Rank, Scope, fails, leaves_open, passes

_MERCHANT = ActionBy.MERCHANT
_OWN_NUMBERS = "letters' case and spaces do not count"


def match(declaration: Declaration, papers: Sequence[Paper], drawn: Sequence[PlannedDrawdown] = ()) -> list[Check]:
    """Checks across documents, each about the paper that it compares with the declaration or another paper.

    ``drawn`` is what earlier declarations take from the certificates among the papers.
    """
    return REGISTER.run(Scope.MATCH, Dossier(declaration, tuple(papers), tuple(drawn)))


@REGISTER.check(
    "MATCH_EXPORTER",
    "Exporter agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("exporter-matches", "The same exporter."),
    fails("exporter-differs", _MERCHANT, "It is made out to {stated}; the declaration is {declared}'s."),
    rule="of an export, the exporter on certificates is the declaring merchant",
    tolerance="names' case, width, spaces and punctuation do not count; company numbers decide where both state one",
)
def exporter(dossier: Dossier) -> Iterator[Check]:
    """Whether the goods are the declaring merchant's."""
    declared = dossier.declaration.merchant
    if dossier.declaration.direction != "export":
        return
    for paper, party in dossier.stating("exporter"):
        yield compared(exporter, _same_party(party, declared), "exporter", party.name, declared.name, paper)


def _same_party(one: Party, other: Party) -> bool:
    if one.identifier and other.identifier:
        return _plain(one.identifier) == _plain(other.identifier)
    return _letters(one.name) == _letters(other.name)


def _letters(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def _plain(number: str) -> str:
    return "".join(number.casefold().split())


@REGISTER.check(
    "MATCH_ORDER",
    "Order agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("order-matches", "Order {stated} on both."),
    fails(
        "order-differs",
        _MERCHANT,
        "It belongs to order {stated}; the declaration is for order {declared}. Name the right paper.",
    ),
    rule="the order's number is that on the declaration",
    tolerance=_OWN_NUMBERS,
)
def order(dossier: Dossier) -> Iterator[Check]:
    """Whether papers speak of the sale that is declared."""
    declared = dossier.declaration.order_reference
    for paper, number in dossier.stating("order_reference"):
        yield compared(order, _plain(number) == _plain(declared), "order", number, declared, paper)


@REGISTER.check(
    "MATCH_WAYBILL",
    "Waybill agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("waybill-matches", "Waybill {stated} on both."),
    fails(
        "waybill-differs",
        _MERCHANT,
        "It is about waybill {stated}; the declaration has {declared}. Name the right paper.",
    ),
    rule="the waybill's number is that on the declaration",
    tolerance=_OWN_NUMBERS,
)
def waybill(dossier: Dossier) -> Iterator[Check]:
    """Whether papers speak of the shipment that is declared."""
    declared = dossier.declaration.waybill_reference
    for paper, number in dossier.stating("waybill_reference"):
        yield compared(waybill, _plain(number) == _plain(declared), "waybill", number, declared, paper)


@REGISTER.check(
    "MATCH_INVOICE",
    "Invoice agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("invoice-matches", "It names the invoice handed in, {stated}."),
    fails("invoice-differs", _MERCHANT, "It was made out for invoice {stated}; handed in was {declared}."),
    rule="the invoice that a certificate of origin names is one of those handed in",
    tolerance=_OWN_NUMBERS,
)
def invoice(dossier: Dossier) -> Iterator[Check]:
    """Whether certificates name an invoice that is here."""
    numbers = [number for _, number in dossier.stating("invoice_number")]
    for paper, number in dossier.stating("invoice_reference") if numbers else ():
        same = [known for known in numbers if _plain(known) == _plain(number)]
        yield compared(invoice, bool(same), "invoice", number, same[0] if same else ", ".join(numbers), paper)


@REGISTER.check(
    "MATCH_PAYMENT",
    "Payment agrees",
    Rank.WARNING,
    Scope.MATCH,
    passes("payment-matches", "Paid in full: {stated}."),
    leaves_open(
        "payment-differs",
        _MERCHANT,
        "{stated} was paid for an order of {declared}. A payment in part may be in order: explain it.",
    ),
    rule="amount and currency paid are those of the order of the same number",
    tolerance="none; payment in part, or in another currency, is left to a person",
)
def payment(dossier: Dossier) -> Iterator[Check]:
    """Whether the money came in."""
    for paper in dossier.of(PaymentReceipt):
        receipt = paper.document
        assert isinstance(receipt, PaymentReceipt)
        for ordered in (one.document for one in dossier.of(Order)):
            if isinstance(ordered, Order) and _plain(receipt.order_reference) == _plain(ordered.order_reference):
                same = (receipt.amount, receipt.currency) == (ordered.total_amount, ordered.currency)
                stated = f"{receipt.amount.normalize():f} {receipt.currency}"
                declared = f"{ordered.total_amount.normalize():f} {ordered.currency}"
                yield compared(payment, same, "payment", stated, declared, paper)
