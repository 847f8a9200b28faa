"""Checks whether a consignment's papers belong together and describe the same shipment.

Order, payment receipt, waybill and invoice are compared with the declaration that names them, and every fact that
several papers state (weights, packages, transport, days, lots, marks) with the others. Papers that are missing are not
reported here.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from backend.domain import amount_match
from backend.domain.consignment import PlannedDrawdown
from backend.domain.dossier import Dossier, Paper, compared
from backend.domain.fields import Party, in_base_unit
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.inspection_report import InspectionReport
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.movement_event import MovementEvent
from backend.domain.kinds.order import Order
from backend.domain.kinds.payment_receipt import PaymentReceipt
from backend.domain.kinds.phytosanitary_certificate import PhytosanitaryCertificate
from backend.domain.kinds.waybill import Waybill
from backend.domain.verdict import REGISTER, ActionBy, Check, Outcome, Rank, Scope, fails, leaves_open, notes, passes

SCALES, LEAST_ON_SCALES = Decimal("0.02"), Decimal(1)
_MERCHANT = ActionBy.MERCHANT
_ALSO_REGISTERED = (amount_match,)
"""Modules whose checks are run with those below."""
_NAMES = (
    "names' case, width, accents, spaces, punctuation and shortened words (Limited and Ltd) do not count; company "
    "numbers decide where both state one"
)
_OWN_NUMBERS = "letters' case, width, spaces and kinds of dashes do not count"
_SCALES = (
    "2 % of the declared weight, at least 1 kg, for another scale and rounding up: our own choice, since no rule "
    "of customs "
    "that we know of fixes one"
)
ZONES = timedelta(days=1)
"""A moment may be on the day before or after, depending on the time zone of a paper's days."""


def _kilograms(weight: Decimal) -> str:
    return f"{weight.normalize():f}"


def match(
    declaration: Declaration,
    papers: Sequence[Paper],
    drawn: Sequence[PlannedDrawdown] = (),
    record: str | None = None,
) -> list[Check]:
    """Return checks across documents, each about the paper that it compares with the declaration or another paper.

    ``drawn`` is what earlier declarations take from the certificates among the papers, ``record`` the id of the
    declaration's own record.
    """
    return REGISTER.run(Scope.MATCH, Dossier(declaration, tuple(papers), tuple(drawn), record))


def agrees(checks: Iterable[Check]) -> bool:
    """Tell whether nothing of what ``match`` returned prevents VALID."""
    return all(check.outcome in (Outcome.PASS, Outcome.NOTE) for check in checks)


@lru_cache(maxsize=16_384)
def found_to_agree(question: bytes) -> list[bool]:
    """Return what is known of a comparison that was made before: nothing, or that its papers agree.

    ``question`` is a digest of all that ``match`` was given. Of the papers themselves nothing is kept, since one that
    is erased must leave nothing behind.
    """
    return []


@REGISTER.check(
    "MATCH_GROSS_WEIGHT",
    "Gross weight agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("gross-weight-matches", "{stated} kg gross here, {declared} kg declared."),
    fails(
        "gross-weight-differs",
        _MERCHANT,
        "{stated} kg gross here, but {declared} kg declared. Correct the one that is wrong.",
    ),
    rule="a waybill's gross weight is the declared one; a certificate of origin, which may cover more, states no less",
    tolerance=_SCALES,
)
def gross_weight(dossier: Dossier) -> Iterator[Check]:
    """Compare the gross weights."""
    declared = dossier.declaration.gross_weight_measure
    slack = max(declared * SCALES, LEAST_ON_SCALES)
    for paper in dossier.of(Waybill, CertificateOfOrigin):
        stated = getattr(paper.document, "gross_weight_measure", None)
        if stated is not None:
            is_short, is_over = stated < declared - slack, stated > declared + slack
            same = not is_short and not (is_over and isinstance(paper.document, Waybill))
            values = {"stated": _kilograms(stated), "declared": _kilograms(declared)}
            yield gross_weight.answer(f"gross-weight-{'matches' if same else 'differs'}", values, paper.record)


@REGISTER.check(
    "MATCH_NET_WEIGHT",
    "Net weight below gross",
    Rank.FAIL,
    Scope.MATCH,
    passes("net-below-gross", "{net} kg net, {gross} kg gross."),
    fails(
        "goods-above-net",
        _MERCHANT,
        "The declared goods weigh {goods} kg, more than the declared net weight of {net} kg. Correct the one that is "
        "wrong.",
    ),
    fails("net-above-gross", _MERCHANT, "{net} kg net are more than {gross} kg gross. Correct the one that is wrong."),
    rule=(
        "the declared net weight, and declared goods counted by weight in any of their units, are at most the declared "
        "gross weight and that of each waybill, the goods also at most the net weight; so are goods that an invoice "
        "counts by weight, and goods on a certificate of origin at most its own gross weight"
    ),
    tolerance=f"none within the declaration and a certificate; against other papers {_SCALES}",
)
def net_weight(dossier: Dossier) -> Iterator[Check]:
    """Check that nothing weighs less with its packing than without."""
    declaration = dossier.declaration
    net = declaration.net_weight_measure
    goods = _declared_mass(declaration)
    heaviest = max((weight for weight in (net, goods) if weight is not None), default=None)
    gross = declaration.gross_weight_measure
    if heaviest is not None:
        yield _net(heaviest, gross, Decimal(0), dossier.record)
    if net is not None and goods is not None and goods > net:
        values = {"goods": _kilograms(goods), "net": _kilograms(net)}
        yield net_weight.answer("goods-above-net", values, dossier.record)
    for paper in dossier.of(CertificateOfOrigin):
        certificate = paper.document
        assert isinstance(certificate, CertificateOfOrigin)
        own = _mass([(certificate.quantity, certificate.unit_code)])
        if own is not None and certificate.gross_weight_measure is not None:
            yield _net(own, certificate.gross_weight_measure, Decimal(0), paper.record)
    slack = max(gross * SCALES, LEAST_ON_SCALES)
    for paper in dossier.of(Waybill):
        assert isinstance(paper.document, Waybill)
        if heaviest is not None:
            yield _net(heaviest, paper.document.gross_weight_measure, slack, paper.record)
    for paper in dossier.of(Invoice):
        assert isinstance(paper.document, Invoice)
        billed = _mass((line.quantity, line.unit_code) for line in paper.document.items)
        if billed is not None:
            yield _net(billed, gross, slack, paper.record)


def _declared_mass(declaration: Declaration) -> Decimal | None:
    """Return the mass in kilograms of the declared goods that any unit counts by weight, each by its heaviest."""
    found = [
        max(weights)
        for item in declaration.items
        if (weights := [mass for one in amount_match.measures(item) if (mass := _mass([one])) is not None])
    ]
    return sum(found, Decimal(0)) if found else None


def _mass(quantities: Iterable[tuple[Decimal, str]]) -> Decimal | None:
    """Return the total mass in kilograms of goods that are counted by weight, or None where there are none."""
    measured = [in_base_unit(quantity, unit) for quantity, unit in quantities]
    weights = [amount for base, amount in measured if base == "KGM"]
    return sum(weights, Decimal(0)) if weights else None


def _net(net: Decimal, gross: Decimal, slack: Decimal, record: str | None) -> Check:
    values = {"net": _kilograms(net), "gross": _kilograms(gross)}
    return net_weight.answer("net-below-gross" if net <= gross + slack else "net-above-gross", values, record)


@REGISTER.check(
    "MATCH_PACKAGES",
    "Packages agree",
    Rank.FAIL,
    Scope.MATCH,
    passes("packages-match", "{stated} packages here, {declared} declared."),
    fails(
        "packages-differ", _MERCHANT, "{stated} packages here, but {declared} declared. Correct the one that is wrong."
    ),
    rule=(
        "a waybill has as many packages as are declared, a certificate, which may cover more, no fewer, a "
        "movement, which may "
        "be of a part, no more"
    ),
    tolerance="none",
)
def packages(dossier: Dossier) -> Iterator[Check]:
    """Compare the numbers of packages."""
    declared = dossier.declaration.package_quantity
    for paper, stated in dossier.stating("package_quantity"):
        is_short = stated < declared and not isinstance(paper.document, MovementEvent)
        is_over = stated > declared and isinstance(paper.document, Waybill | MovementEvent)
        reason = "packages-differ" if is_short or is_over else "packages-match"
        yield packages.answer(reason, {"stated": stated, "declared": declared}, paper.record)


@REGISTER.check(
    "MATCH_TRANSPORT",
    "Transport agrees",
    Rank.WARNING,
    Scope.MATCH,
    passes("transport-matches", "{stated} on both."),
    leaves_open(
        "transport-differs",
        _MERCHANT,
        "It names {stated}; the declaration has {declared}. Goods may have been carried otherwise than planned: "
        "explain it.",
    ),
    rule=(
        "carrier, vessel, flight or vehicle, voyage and mode of transport are those on the declaration, where both "
        "state them"
    ),
    tolerance="letters' case, spaces and punctuation do not count",
)
def transport(dossier: Dossier) -> Iterator[Check]:
    """Compare the means of transport and the carrier."""
    carrier = dossier.declaration.carrier_name
    for paper, party in dossier.stating("carrier") if carrier else ():
        assert carrier
        reason = "transport-matches" if _name(party.name) == _name(carrier) else "transport-differs"
        yield transport.answer(reason, {"stated": party.name, "declared": carrier}, paper.record)
    for name in ("transport_means", "voyage_reference", "transport_mode_code"):
        declared = getattr(dossier.declaration, name)
        for paper, stated in dossier.stating(name) if declared else ():
            reason = "transport-matches" if _letters(stated) == _letters(declared) else "transport-differs"
            yield transport.answer(reason, {"stated": stated, "declared": declared}, paper.record)


# ---- days


@REGISTER.check(
    "MATCH_DATES",
    "Dates fit together",
    Rank.FAIL,
    Scope.MATCH,
    passes("dates-match", "{stated} on both."),
    fails("dates-differ", _MERCHANT, "It gives {stated} as the invoice's date; the invoice has {declared}."),
    leaves_open("dates-out-of-order", _MERCHANT, "{later} cannot lie before {earlier}. Explain or correct it."),
    rule=(
        "a certificate of origin gives the invoice's own date, and is issued no earlier than that; an order lies "
        "before its invoice, payment, waybill, the movements of its goods and the departure that a certificate states; "
        "goods are inspected before the day on which they leave, and plants before that on which they move"
    ),
    tolerance="between a day and a moment one day, for zones of time; between days none",
)
def dates(dossier: Dossier) -> Iterator[Check]:
    """Check that dates are in a possible order."""
    for paper in dossier.of(CertificateOfOrigin):
        certificate = paper.document
        assert isinstance(certificate, CertificateOfOrigin)
        for invoice in (one.document for one in dossier.of(Invoice)):
            assert isinstance(invoice, Invoice)
            named = certificate.invoice_reference
            if certificate.invoice_date is not None and named and _letters(named) == _letters(invoice.invoice_number):
                same = certificate.invoice_date == invoice.issue_date
                values = {"stated": certificate.invoice_date.isoformat(), "declared": invoice.issue_date.isoformat()}
                yield dates.answer("dates-match" if same else "dates-differ", values, paper.record)
    for earlier, later, slack, paper in _in_order(dossier):
        if later < earlier - slack:
            values = {"earlier": earlier.isoformat(), "later": later.isoformat()}
            yield dates.answer("dates-out-of-order", values, paper.record)


def _in_order(dossier: Dossier) -> Iterator[tuple[date, date, timedelta, Paper]]:
    """Yield the earlier day, the later one, the tolerance, and the paper of the later one."""
    none = timedelta(0)
    moved = dossier.declaration.movement_date
    for paper in dossier.of(CertificateOfOrigin):
        certificate = paper.document
        assert isinstance(certificate, CertificateOfOrigin)
        if certificate.invoice_date is not None:
            yield certificate.invoice_date, certificate.issue_date, none, paper
    for order in (one.document for one in dossier.of(Order)):
        assert isinstance(order, Order)
        for paper in dossier.of(Invoice, Waybill, PaymentReceipt, MovementEvent, CertificateOfOrigin):
            match paper.document:
                case PaymentReceipt(paid_date_time=moment) | MovementEvent(event_date_time=moment):
                    yield order.order_date, moment.date(), ZONES, paper
                case Invoice(issue_date=day) | Waybill(issue_date=day):
                    yield order.order_date, day, none, paper
                case CertificateOfOrigin(departure_date=day) if day is not None:
                    yield order.order_date, day, none, paper
                case _:
                    pass
    if moved is None:
        return
    for paper in dossier.of(PhytosanitaryCertificate, InspectionReport):
        match paper.document:
            case PhytosanitaryCertificate(inspection_date=day):
                yield day, moved, none, paper
            case InspectionReport(performed_from=day) if dossier.declaration.direction == "export" and day is not None:
                yield day, moved, none, paper
            case _:
                pass


# ---- lot and marks

_LOT = re.compile(
    r"(?:\b(?:lots?|batch)(?:\s+(?:no|number))?\b|批[号次])[\s.:：#-]*([a-z0-9][a-z0-9/_-]*[0-9][a-z0-9/_-]*)",
    re.IGNORECASE,
)


@REGISTER.check(
    "MATCH_LOT",
    "Lot and marks agree",
    Rank.WARNING,
    Scope.MATCH,
    passes("lot-matches", "{stated} on both."),
    leaves_open(
        "lot-differs",
        _MERCHANT,
        "It names {stated}; another paper has {declared}. If the goods are not those that were inspected, name the "
        "right "
        "report.",
    ),
    rule=(
        "the lot of an inspection report is named where a declared line, an invoice, a waybill or a certificate "
        "names lots (`lot …`, `batch …`); a paper that names lots names one of those that the declaration names; "
        "shipping marks of certificates are the same"
    ),
    tolerance="letters' case, spaces and punctuation do not count",
)
def lot(dossier: Dossier) -> Iterator[Check]:
    """Compare the inspected lot and shipping marks with those shipped."""
    items = dossier.declaration.items
    declared = _lots(
        [dossier.declaration.note, *(i.description for i in items), *(i.declaration_elements for i in items)]
    )
    shipped = dict.fromkeys(declared)
    for paper in dossier.of(Invoice, Waybill, CertificateOfOrigin, PhytosanitaryCertificate):
        texts = [getattr(paper.document, name, None) for name in ("description", "shipping_marks")]
        own = _lots([*texts, *(line.description for line in getattr(paper.document, "items", ()))])
        shipped |= dict.fromkeys(own)
        if own and declared and not {*map(_letters, own)} & {*map(_letters, declared)}:
            yield lot.answer("lot-differs", {"stated": ", ".join(own), "declared": ", ".join(declared)}, paper.record)
    for paper in dossier.of(InspectionReport):
        assert isinstance(paper.document, InspectionReport)
        stated = paper.document.item_identification
        if shipped:
            same = any(_letters(stated).endswith(_letters(name)) for name in shipped)
            values = {"stated": stated, "declared": ", ".join(shipped)}
            yield lot.answer("lot-matches" if same else "lot-differs", values, paper.record)
    marked = list(dossier.stating("shipping_marks"))
    for paper, marks in marked[1:]:
        same = _letters(marks) == _letters(marked[0][1])
        yield lot.answer(
            "lot-matches" if same else "lot-differs", {"stated": marks, "declared": marked[0][1]}, paper.record
        )


def _lots(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for text in texts if text for name in _LOT.findall(text)))


@REGISTER.check(
    "MATCH_EXPORTER",
    "Exporter agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("exporter-matches", "The same exporter."),
    fails("exporter-differs", _MERCHANT, "It is made out to {stated}; the declaration is {declared}'s."),
    leaves_open(
        "exporter-not-comparable",
        _MERCHANT,
        "It names {stated}, the declaration {declared}, in other letters: state the company's number on both.",
    ),
    rule="of an export, exporter, seller, payee, consignor and a laboratory's customer are the declaring merchant",
    tolerance=_NAMES,
)
def exporter(dossier: Dossier) -> Iterator[Check]:
    """Check that the declaring merchant is the exporter on all papers."""
    declared = dossier.declaration.merchant
    if dossier.declaration.direction != "export":
        return
    for paper, party in dossier.stating("exporter", "seller", "payee", "consignor", "customer"):
        values = {"stated": _shown_party(party), "declared": _shown_party(declared)}
        if not _is_comparable(party, declared):
            yield exporter.answer("exporter-not-comparable", values, paper.record)
        else:
            same = _same_party(party, declared)
            yield exporter.answer(f"exporter-{'matches' if same else 'differs'}", values, paper.record)


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
    """Check that buyer, consignee and payer are one party."""
    buyers = [*_stated(dossier.of(Invoice), "buyer"), *_stated(dossier.of(Order), "buyer")]
    named = [*buyers, *dossier.stating("consignee", "payer")]
    for paper, party in named[1:]:
        first = named[0][1]
        yield compared(buyer, _same_party(party, first), "buyer", _shown_party(party), _shown_party(first), paper)


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
    """Check that papers describe the goods with a word of the declaration."""
    declared = "; ".join(item.description for item in dossier.declaration.items)
    stems = _stems(declared)
    for paper, stated in dossier.stating("description", "item_description", "items"):
        text = stated if isinstance(stated, str) else "; ".join(line.description for line in stated)
        own = _stems(text)
        if stems and own:
            yield compared(description, bool(stems & own), "description", text, declared, paper)


def _stems(text: str) -> set[str]:
    return {word[:4] for word in re.findall("[a-z]{3,}", unicodedata.normalize("NFKC", text).casefold())}


_FORMS = {
    "company": "co",
    "limited": "ltd",
    "incorporated": "inc",
    "corporation": "corp",
    "private": "pte",
    "pvt": "pte",
    "and": "",
    "the": "",
}
"""Words of company names, by how they are shortened; "pte" and "pvt" are the one word in two countries."""


def _same_party(one: Party, other: Party) -> bool:
    if one.identifier and other.identifier:
        return _plain(one.identifier) == _plain(other.identifier)
    is_abroad = one.country_code and other.country_code and one.country_code != other.country_code
    return not is_abroad and _name(one.name) == _name(other.name)


def _is_comparable(one: Party, other: Party) -> bool:
    """Tell whether two parties can be told apart: by numbers, or by names in the same letters."""
    has_numbers = bool(one.identifier and other.identifier)
    return (
        has_numbers
        or one.name == other.name
        or len({bool(re.search("[a-z]", _name(party.name))) for party in (one, other)}) == 1
    )


def _shown_party(party: Party) -> str:
    return f"{party.name} ({party.country_code})" if party.country_code else party.name


@lru_cache(maxsize=1024)
def _name(name: str) -> str:
    """Return a party's name without what does not count: case, width, accents, punctuation, and how it is shortened."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    words = re.findall(r"[^\W_]+", "".join(letter for letter in folded if not unicodedata.combining(letter)))
    return "".join(_FORMS.get(word, word) for word in words)


def _letters(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def _plain(number: str) -> str:
    """Return a number without what does not count: case, width, spaces, and which dash is written."""
    return re.sub(r"[\u2010-\u2015\u2212]", "-", "".join(unicodedata.normalize("NFKC", number).casefold().split()))


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
    """Check that papers belong to the declared order."""
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
    """Check that papers belong to the declared waybill."""
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
    """Check that certificates name an invoice that was submitted."""
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
    """Compare payments with the amounts owed."""
    for paper in dossier.of(PaymentReceipt):
        receipt = paper.document
        assert isinstance(receipt, PaymentReceipt)
        for owed in _owed(dossier, _plain(receipt.order_reference)):
            same = (receipt.amount, receipt.currency) == (owed.total_amount, owed.currency)
            stated = f"{receipt.amount.normalize():f} {receipt.currency}"
            declared = f"{owed.total_amount.normalize():f} {owed.currency}"
            yield compared(payment, same, "payment", stated, declared, paper)


def _owed(dossier: Dossier, number: str) -> list[Order | Invoice]:
    """Return the orders of this number, or else the invoices for it."""
    found = [one.document for one in dossier.of(Order, Invoice) if isinstance(one.document, Order | Invoice)]
    named = [one for one in found if one.order_reference and _plain(one.order_reference) == number]
    return [one for one in named if isinstance(one, Order)] or named
