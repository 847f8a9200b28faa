"""Do order, payment receipt, waybill and invoice belong to the declaration that names them, and state the same facts?

They are compared as far as they were handed in: none of them is demanded here.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from backend.domain import amount_match, shipment_match
from backend.domain.consignment import PlannedDrawdown
from backend.domain.dossier import Dossier, Paper, compared
from backend.domain.fields import Party
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.order import Order
from backend.domain.kinds.payment_receipt import PaymentReceipt
from backend.domain.verdict import REGISTER, ActionBy, Check, Rank, Scope, fails, leaves_open, notes, passes

_MERCHANT = ActionBy.MERCHANT
_ALSO_REGISTERED = (amount_match, shipment_match)
"""Modules whose checks are run with those below."""
_NAMES = "names' case, width, spaces and punctuation do not count; company numbers decide where both state one"
_OWN_NUMBERS = "letters' case and spaces do not count"


def match(
    declaration: Declaration,
    papers: Sequence[Paper],
    drawn: Sequence[PlannedDrawdown] = (),
    record: str | None = None,
) -> list[Check]:
    """Checks across documents, each about the paper that it compares with the declaration or another paper.

    ``drawn`` is what earlier declarations take from the certificates among the papers, ``record`` the id of the
    declaration's own record.
    """
    return REGISTER.run(Scope.MATCH, Dossier(declaration, tuple(papers), tuple(drawn), record))


@REGISTER.check(
    "MATCH_EXPORTER",
    "Exporter agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("exporter-matches", "The same exporter."),
    fails("exporter-differs", _MERCHANT, "It is made out to {stated}; the declaration is {declared}'s."),
    rule="of an export, exporter, seller, payee, consignor and a laboratory's customer are the declaring merchant",
    tolerance=_NAMES,
)
def exporter(dossier: Dossier) -> Iterator[Check]:
    """Whether the goods are the declaring merchant's."""
    declared = dossier.declaration.merchant
    if dossier.declaration.direction != "export":
        return
    for paper, party in dossier.stating("exporter", "seller", "payee", "consignor", "customer"):
        yield compared(exporter, _same_party(party, declared), "exporter", party.name, declared.name, paper)


@REGISTER.check(
    "MATCH_BUYER",
    "Buyer agrees",
    Rank.WARNING,
    Scope.MATCH,
    passes("buyer-matches", "{stated} on both."),
    leaves_open(
        "buyer-differs",
        _MERCHANT,
        "It names {stated}, another paper {declared}. Goods for another than the buyer, or paid by another, may be "
        "in order: "
        "explain it.",
    ),
    rule="buyer, consignee and payer are one on all papers, compared with the first paper that names one: invoice, "
    "then order",
    tolerance=_NAMES,
)
def buyer(dossier: Dossier) -> Iterator[Check]:
    """Whether the goods go to who buys and pays them."""
    buyers = [*_stated(dossier.of(Invoice), "buyer"), *_stated(dossier.of(Order), "buyer")]
    named = [*buyers, *dossier.stating("consignee", "payer")]
    for paper, party in named[1:]:
        first = named[0][1]
        yield compared(buyer, _same_party(party, first), "buyer", party.name, first.name, paper)


def _stated(papers: Sequence[Paper], name: str) -> list[tuple[Paper, Any]]:
    found = [(paper, getattr(paper.document, name, None)) for paper in papers]
    return [(paper, value) for paper, value in found if value is not None]


@REGISTER.check(
    "MATCH_DESCRIPTION",
    "Goods described alike",
    Rank.NOTE,
    Scope.MATCH,
    passes("description-matches", "“{stated}” here, “{declared}” declared."),
    notes("description-differs", "“{stated}” here, “{declared}” declared: see whether these are the same goods."),
    rule=(
        "the description of goods shares a word with that of the declared goods, where both are written in Latin "
        "letters; the "
        "HS code is what decides"
    ),
    tolerance="the first four letters of a word count, so that lamp and lamps are one",
)
def description(dossier: Dossier) -> Iterator[Check]:
    """Whether papers call the goods by a name that is declared."""
    declared = "; ".join(item.description for item in dossier.declaration.items)
    stems = _stems(declared)
    for paper, stated in dossier.stating("description", "item_description", "items"):
        text = stated if isinstance(stated, str) else "; ".join(line.description for line in stated)
        own = _stems(text)
        if stems and own:
            yield compared(description, bool(stems & own), "description", text, declared, paper)


def _stems(text: str) -> set[str]:
    return {word[:4] for word in re.findall("[a-z]{3,}", unicodedata.normalize("NFKC", text).casefold())}


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
    rule="amount and currency paid are those of the order of the same number, or of its invoice where no such "
    "order is here",
    tolerance="none; payment in part, or in another currency, is left to a person",
)
def payment(dossier: Dossier) -> Iterator[Check]:
    """Whether the money came in."""
    for paper in dossier.of(PaymentReceipt):
        receipt = paper.document
        assert isinstance(receipt, PaymentReceipt)
        for owed in _owed(dossier, _plain(receipt.order_reference)):
            same = (receipt.amount, receipt.currency) == (owed.total_amount, owed.currency)
            stated = f"{receipt.amount.normalize():f} {receipt.currency}"
            declared = f"{owed.total_amount.normalize():f} {owed.currency}"
            yield compared(payment, same, "payment", stated, declared, paper)


def _owed(dossier: Dossier, number: str) -> list[Order | Invoice]:
    """The orders of this number, or else the invoices for it."""
    found = [one.document for one in dossier.of(Order, Invoice) if isinstance(one.document, Order | Invoice)]
    named = [one for one in found if one.order_reference and _plain(one.order_reference) == number]
    return [one for one in named if isinstance(one, Order)] or named
