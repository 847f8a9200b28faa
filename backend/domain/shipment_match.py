"""Do the papers of a consignment speak of the same shipment: its weights, packages, transport, days, lot and marks?"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from backend.domain.dossier import Dossier, Paper
from backend.domain.fields import in_base_unit
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.inspection_report import InspectionReport
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.movement_event import MovementEvent
from backend.domain.kinds.order import Order
from backend.domain.kinds.payment_receipt import PaymentReceipt
from backend.domain.kinds.phytosanitary_certificate import PhytosanitaryCertificate
from backend.domain.kinds.waybill import Waybill
from backend.domain.verdict import REGISTER, ActionBy, Check, Rank, Scope, fails, leaves_open, passes

_MERCHANT = ActionBy.MERCHANT
SCALES, LEAST_ON_SCALES = Decimal("0.02"), Decimal(1)
_SCALES = (
    "2 % of the declared weight, at least 1 kg, for another scale and rounding up: our own choice, since no rule "
    "of customs "
    "that we know of fixes one"
)
ZONES = timedelta(days=1)
"""A moment may fall on the day before or after, by the zone in which a paper counts its days."""


def _kilograms(weight: Decimal) -> str:
    return f"{weight.normalize():f}"


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
    """Whether the goods weigh as much here as there."""
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
    fails("net-above-gross", _MERCHANT, "{net} kg net are more than {gross} kg gross. Correct the one that is wrong."),
    rule=(
        "the declared net weight, and declared goods counted by weight, are at most the declared gross weight and "
        "that of "
        "each waybill; so are goods that an invoice counts by weight"
    ),
    tolerance=f"none within the declaration; against other papers {_SCALES}",
)
def net_weight(dossier: Dossier) -> Iterator[Check]:
    """Whether nothing weighs less with its packing than without."""
    declaration = dossier.declaration
    net = declaration.net_weight_measure
    goods = _mass((item.quantity, item.unit_code) for item in declaration.items)
    heaviest = max((weight for weight in (net, goods) if weight is not None), default=None)
    gross = declaration.gross_weight_measure
    if heaviest is not None:
        yield _net(heaviest, gross, Decimal(0), dossier.record)
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


def _mass(quantities: Iterator[tuple[Decimal, str]]) -> Decimal | None:
    """What goods that are counted by weight weigh together, in kilograms; None where none are."""
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
    """Whether as many packages travel as are declared."""
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
    rule="vessel, flight or vehicle, voyage and mode of transport are those on the declaration, where both state them",
    tolerance="letters' case, spaces and punctuation do not count",
)
def transport(dossier: Dossier) -> Iterator[Check]:
    """Whether papers name the same means of transport."""
    for name in ("transport_means", "voyage_reference", "transport_mode_code"):
        declared = getattr(dossier.declaration, name)
        for paper, stated in dossier.stating(name) if declared else ():
            reason = "transport-matches" if _letters(stated) == _letters(declared) else "transport-differs"
            yield transport.answer(reason, {"stated": stated, "declared": declared}, paper.record)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


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
        "a certificate of origin gives the invoice's own date; an order lies before its invoice, payment and "
        "waybill, and "
        "the inspection of plants before the day on which the goods move"
    ),
    tolerance="between a day and a moment one day, for zones of time; between days none",
)
def dates(dossier: Dossier) -> Iterator[Check]:
    """Whether what happened first is dated first."""
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
    """The earlier day, the later one, how far they may cross, and the paper of the later one."""
    none = timedelta(0)
    moved = dossier.declaration.movement_date
    for order in (one.document for one in dossier.of(Order)):
        assert isinstance(order, Order)
        for paper in dossier.of(Invoice, Waybill, PaymentReceipt):
            match paper.document:
                case PaymentReceipt(paid_date_time=moment):
                    yield order.order_date, moment.date(), ZONES, paper
                case Invoice(issue_date=day) | Waybill(issue_date=day):
                    yield order.order_date, day, none, paper
                case _:
                    pass
    for paper in dossier.of(PhytosanitaryCertificate):
        assert isinstance(paper.document, PhytosanitaryCertificate)
        if moved is not None:
            yield paper.document.inspection_date, moved, none, paper


# ---- lot and marks

_LOT = re.compile(
    r"\b(?:lot|batch)(?:\s+(?:no|number))?\b[\s.:#-]*([a-z0-9][a-z0-9/_-]*[0-9][a-z0-9/_-]*)", re.IGNORECASE
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
        "names lots "
        "(`lot …`, `batch …`); shipping marks of certificates are the same"
    ),
    tolerance="letters' case, spaces and punctuation do not count",
)
def lot(dossier: Dossier) -> Iterator[Check]:
    """Whether the goods inspected are the goods shipped."""
    texts = [text for item in dossier.declaration.items for text in (item.description, item.declaration_elements)]
    texts += [dossier.declaration.note]
    for paper in dossier.of(Invoice, Waybill, CertificateOfOrigin, PhytosanitaryCertificate):
        texts += [getattr(paper.document, name, None) for name in ("description", "shipping_marks")]
        texts += [line.description for line in getattr(paper.document, "items", ())]
    shipped = list(dict.fromkeys(name for text in texts if text for name in _LOT.findall(text)))
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
