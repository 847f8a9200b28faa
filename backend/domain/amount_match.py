"""Checks whether the papers of a consignment state the same quantities and values as the declaration.

An invoice is about this consignment, so it must state what is declared. An order or a certificate may be about more, so
it must state no less. Each check states its tolerance and the source of the tolerance.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from babel.numbers import get_currency_precision

from backend.domain.dossier import Dossier, Paper
from backend.domain.fields import TradeLine, in_base_unit
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.declaration import Declaration, GoodsItem
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.order import Order
from backend.domain.kinds.phytosanitary_certificate import PhytosanitaryCertificate
from backend.domain.verdict import REGISTER, ActionBy, Check, Outcome, Rank, Scope, fails, leaves_open, notes, passes

_MERCHANT = ActionBy.MERCHANT
WITH_FREIGHT = frozenset({"CFR", "CIF", "CPT", "CIP", "DAP", "DPU", "DDP"})
"""Incoterms 2020 under which the seller pays the carriage, so that a price may include it."""
_WITH_INSURANCE = WITH_FREIGHT - {"CFR", "CPT"}
"""Incoterms 2020 under which it may include the insurance too."""
_WITHOUT_FREIGHT = frozenset({"EXW", "FCA", "FAS", "FOB"})
BULK = Decimal("0.05")
"""Tolerance between the ordered and the shipped quantity of goods that are not counted (UCP 600, article 30 b)."""
ROUNDING = Decimal("0.005")
"""The most that rounding may have moved a measure: a few digits would allow for a tenth of it and more."""
_CENTS = "one minor unit of the currency (ISO 4217) for each line on either side, for the rounding of line amounts"

# ---- quantities

_Measure = tuple[Decimal, str]
_MEASURED = frozenset({"KGM", "LTR", "MTR", "MTK", "KWH"})
"""Base units of goods that are measured and not counted."""


def _shown(quantity: Decimal, unit: str) -> str:
    return f"{quantity.normalize():f} {unit}"


def _rounding(quantity: Decimal, unit: str) -> Decimal:
    """Return how far rounding to the last stated digit may have moved a quantity, at most half a per cent.

    It is in the base unit, and 0 for counted goods.
    """
    base, half = in_base_unit(_half_a_digit(quantity), unit)
    return min(half, in_base_unit(quantity, unit)[1] * ROUNDING) if base in _MEASURED else Decimal(0)


def _half_a_digit(number: Decimal) -> Decimal:
    return Decimal(5).scaleb(min(int(number.as_tuple().exponent), 0) - 1)


def measures(item: GoodsItem) -> list[_Measure]:
    """Return the quantity of a declared item in every unit in which it is declared."""
    legal = (
        (item.first_legal_quantity, item.first_legal_unit_code),
        (
            item.second_legal_quantity,
            item.second_legal_unit_code,
        ),
    )
    return [(item.quantity, item.unit_code), *((q, unit) for q, unit in legal if q is not None and unit is not None)]


def _sums(goods: Iterable[Sequence[_Measure]]) -> dict[str, tuple[Decimal, Decimal, set[str]]]:
    """Sum goods by each base unit in which all of them are stated: total, possible rounding error, and their units."""
    found: dict[str, tuple[Decimal, Decimal, set[str]]] | None = None
    for measures in goods:
        own = {}
        for quantity, unit in reversed(measures):
            base, amount = in_base_unit(quantity, unit)
            own[base] = (amount, _rounding(quantity, unit), {unit})
        if found is None:
            found = own
        else:
            found = {
                base: (found[base][0] + amount, found[base][1] + slack, found[base][2] | units)
                for base, (amount, slack, units) in own.items()
                if base in found
            }
    return found or {}


@REGISTER.check(
    "MATCH_GOODS_QUANTITY",
    "Quantity agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("goods-quantity-matches", "{stated} here, {declared} declared."),
    fails(
        "goods-quantity-differs",
        _MERCHANT,
        "{stated} here, but {declared} declared. Correct the one that is wrong.",
    ),
    fails(
        "goods-quantity-exceeded",
        _MERCHANT,
        "{declared} declared, but no more than {stated} here. Reduce the quantity or add the paper that covers the "
        "rest.",
    ),
    leaves_open(
        "units-not-comparable",
        _MERCHANT,
        "{stated} here, {declared} declared: the one unit cannot be turned into the other. State one unit on both.",
    ),
    rule=(
        "invoices together state the declared quantity, orders and phytosanitary certificates no less; by subheading "
        "where every line names one, in the declared or a legal unit, converted by UN/ECE Recommendation 20"
    ),
    tolerance=(
        "none in one unit, nor for what is counted; half of the last digit stated, at most 0.5 %, where measures are "
        "converted; for orders of what is measured 5 % (UCP 600, article 30 b)"
    ),
)
def goods_quantity(dossier: Dossier) -> Iterator[Check]:
    """Compare the quantities on invoices, orders and phytosanitary certificates with the declared ones."""
    for model in (Invoice, Order, PhytosanitaryCertificate):
        lines = [(paper, line) for paper in dossier.of(model) for line in _lines(paper)]
        # A line without a subheading could be any of the goods: then only the sums can be compared.
        is_by_code = all(line.hs_code for _, line in lines)
        for code in sorted({(line.hs_code or "")[:6] if is_by_code else "" for _, line in lines}):
            goods = [item for item in dossier.declaration.items if item.hs_code.startswith(code)]
            own = [(paper, line) for paper, line in lines if not is_by_code or (line.hs_code or "").startswith(code)]
            if goods:  # else the check of the HS code tells
                yield _quantity(own[0][0], [line for _, line in own], goods, must_equal=model is Invoice)
        if lines and is_by_code and model is not PhytosanitaryCertificate:
            yield from _not_listed(lines[0][0], dossier, {(line.hs_code or "")[:6] for _, line in lines})


def _not_listed(paper: Paper, dossier: Dossier, listed: set[str]) -> Iterator[Check]:
    """Tell of declared subheadings that no line of these papers names, though every line names one."""
    reason = f"goods-quantity-{'differs' if isinstance(paper.document, Invoice) else 'exceeded'}"
    for code in sorted({item.hs_code[:6] for item in dossier.declaration.items} - listed):
        goods = [item for item in dossier.declaration.items if item.hs_code[:6] == code]
        values = {
            "stated": f"0 (HS {code})",
            "declared": ", ".join(_shown(item.quantity, item.unit_code) for item in goods),
        }
        yield goods_quantity.answer(reason, values, paper.record)


def _lines(paper: Paper) -> Sequence[TradeLine | PhytosanitaryCertificate]:
    document = paper.document
    if isinstance(document, Invoice | Order):
        return document.items
    return [document] if isinstance(document, PhytosanitaryCertificate) else []


_Line = TypeVar("_Line", TradeLine | PhytosanitaryCertificate, GoodsItem)


def _by_unit(lines: Iterable[_Line]) -> dict[str, list[_Line]]:
    found: dict[str, list[_Line]] = {}
    for line in lines:
        found.setdefault(in_base_unit(line.quantity, line.unit_code)[0], []).append(line)
    return found


def _quantity(
    paper: Paper, lines: Sequence[TradeLine | PhytosanitaryCertificate], goods: Sequence[GoodsItem], *, must_equal: bool
) -> Check:
    stated, declared = _sums([[(line.quantity, line.unit_code)] for line in lines]), _sums(map(measures, goods))
    base = next((base for base in declared if base in stated), None)
    if base is None:
        parts = _by_unit(lines), _by_unit(goods)
        if parts[0].keys() == parts[1].keys():  # goods of several units: each unit must agree
            found = [_quantity(paper, own, parts[1][unit], must_equal=must_equal) for unit, own in parts[0].items()]
            return max(found, key=lambda check: check.outcome is not Outcome.PASS)
        values = {
            "stated": ", ".join(_shown(line.quantity, line.unit_code) for line in lines),
            "declared": ", ".join(_shown(item.quantity, item.unit_code) for item in goods),
        }
        return goods_quantity.answer("units-not-comparable", values, paper.record)
    (amount, slack, units), (wanted, other_slack, other_units) = stated[base], declared[base]
    slack = Decimal(0) if len(units | other_units) == 1 else max(slack, other_slack)
    unit, factor = base, Decimal(1)
    if len(units | other_units) == 1:
        (unit,) = units
        factor = in_base_unit(Decimal(1), unit)[1]
    values = {"stated": _shown(amount / factor, unit), "declared": _shown(wanted / factor, unit)}
    if must_equal:
        reason = "goods-quantity-matches" if abs(amount - wanted) <= slack else "goods-quantity-differs"
    else:
        is_bulk = isinstance(paper.document, Order) and base in _MEASURED
        slack += amount * BULK if is_bulk else 0
        reason = "goods-quantity-matches" if wanted <= amount + slack else "goods-quantity-exceeded"
    return goods_quantity.answer(reason, values, paper.record)


# ---- values


def _minor(currency: str) -> Decimal:
    return Decimal(1).scaleb(-get_currency_precision(currency))


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount.normalize():f} {currency}"


def _value(item: GoodsItem) -> Decimal:
    return item.total_price if item.total_price is not None else item.unit_price * item.quantity


def _currency(declaration: Declaration) -> str | None:
    """Return the one currency of the declared values, or None where there are several."""
    found = {item.currency for item in declaration.items}
    return found.pop() if len(found) == 1 else None


def _carriage(declaration: Declaration, currency: str) -> tuple[Decimal, ...]:
    """Return the possible carriage within a price in this currency: none, freight, insurance, both."""
    freight, insurance = (
        amount if amount is not None and own in (None, currency) else Decimal(0)
        for amount, own in (
            (declaration.freight_amount, declaration.freight_currency),
            (declaration.insurance_amount, declaration.insurance_currency),
        )
    )
    return Decimal(0), freight, insurance, freight + insurance


@REGISTER.check(
    "MATCH_CURRENCY",
    "Currency agrees",
    Rank.WARNING,
    Scope.MATCH,
    passes("currency-matches", "Both in {stated}."),
    leaves_open(
        "currency-differs",
        _MERCHANT,
        "It is in {stated}, the declaration in {declared}: their amounts cannot be compared.",
    ),
    rule="order, invoice and the FOB value of a certificate of origin are in the currency of the declared goods",
    tolerance="none",
)
def currency(dossier: Dossier) -> Iterator[Check]:
    """Check whether amounts are in one currency, so that they can be compared."""
    declared = sorted({item.currency for item in dossier.declaration.items})
    for paper in dossier.of(Invoice, Order, CertificateOfOrigin):
        stated = getattr(paper.document, "currency", None)
        if stated is not None:
            reason = "currency-matches" if declared == [stated] else "currency-differs"
            yield currency.answer(reason, {"stated": stated, "declared": ", ".join(declared)}, paper.record)


@REGISTER.check(
    "MATCH_VALUE",
    "Value agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("value-matches", "{stated} here, {declared} declared."),
    fails("value-differs", _MERCHANT, "It charges {stated}; {declared} are declared. Correct the one that is wrong."),
    fails("value-exceeded", _MERCHANT, "{declared} are declared, but the order is for no more than {stated}."),
    leaves_open(
        "fob-value-differs",
        _MERCHANT,
        "It states an FOB value of {stated}; {declared} are declared for these goods. Explain the difference.",
    ),
    rule=(
        "the declared value is what the invoices charge together, with or without declared freight and insurance (WTO "
        "Customs Valuation Agreement, articles 1 and 8.2); an order is for no less; an FOB value for the same "
        "quantity is the "
        "declared one less freight and insurance"
    ),
    tolerance=_CENTS,
)
def value(dossier: Dossier) -> Iterator[Check]:
    """Compare the declared value with what is charged."""
    unit = _currency(dossier.declaration)
    if unit is None:
        return
    items = dossier.declaration.items
    declared, carriage = sum((_value(item) for item in items), Decimal(0)), _carriage(dossier.declaration, unit)
    for model in (Invoice, Order):
        papers = [one for one in dossier.of(model) if getattr(one.document, "currency", "") == unit]
        if not papers or len(papers) < len(dossier.of(model)):
            continue  # told by the check of the currency
        total = sum((getattr(one.document, "total_amount", Decimal(0)) for one in papers), Decimal(0))
        slack = _minor(unit) * (len(items) + sum(len(_lines(one)) for one in papers))
        values = {"stated": _money(total, unit), "declared": _money(declared, unit)}
        if model is Invoice:
            same = any(abs(total - part - declared) <= slack for part in carriage)
            yield value.answer("value-matches" if same else "value-differs", values, papers[0].record)
        else:
            yield value.answer(
                "value-matches" if declared <= total + slack else "value-exceeded", values, papers[0].record
            )
    yield from _fob_values(dossier, unit, carriage[-1])


def _fob_values(dossier: Dossier, unit: str, carriage: Decimal) -> Iterator[Check]:
    for paper in dossier.of(CertificateOfOrigin):
        certificate = paper.document
        assert isinstance(certificate, CertificateOfOrigin)
        goods = [item for item in dossier.declaration.items if item.hs_code[:6] == certificate.hs_code[:6]]
        if certificate.free_on_board_amount is None or certificate.currency != unit or not goods:
            continue
        declared, quantity = sum(map(_value, goods), Decimal(0)), sum((item.quantity for item in goods), Decimal(0))
        slack = _minor(unit) * (len(goods) + 1)
        is_whole = quantity == certificate.quantity and {item.unit_code for item in goods} == {certificate.unit_code}
        is_too_much = declared > certificate.free_on_board_amount + carriage + slack
        is_too_little = is_whole and declared < certificate.free_on_board_amount - slack
        values = {"stated": _money(certificate.free_on_board_amount, unit), "declared": _money(declared, unit)}
        reason = "fob-value-differs" if is_too_much or is_too_little else "value-matches"
        yield value.answer(reason, values, paper.record)


@REGISTER.check(
    "MATCH_LINE_VALUE",
    "Line values agree",
    Rank.FAIL,
    Scope.MATCH,
    passes("line-value-matches", "{stated} for HS {code} here, {declared} declared."),
    fails(
        "line-value-differs",
        _MERCHANT,
        "{stated} for HS {code} here, but {declared} declared. Correct the one that is wrong.",
    ),
    rule=(
        "a declared line's total is its quantity times its unit price; of invoices whose every line names a "
        "subheading, the "
        "lines of one come to what is declared for it, after the invoice's own discount or surcharge in proportion"
    ),
    tolerance=f"for the rounding of unit prices half a minor unit of the currency for each unit; {_CENTS}",
)
def line_value(dossier: Dossier) -> Iterator[Check]:
    """Compare the value of each line with its quantity and price, in the declaration and against the invoices."""
    items = dossier.declaration.items
    for item in items:
        if item.total_price is not None:
            made, cents = item.quantity * item.unit_price, _minor(item.currency)
            slack = item.quantity * min(_half_a_digit(item.unit_price), cents / 2) + cents
            yield _line(abs(item.total_price - made) <= slack, made, item.total_price, item, dossier.record)
    unit, invoices = _currency(dossier.declaration), dossier.of(Invoice)
    lines = [line for paper in invoices for line in _lines(paper) if isinstance(line, TradeLine)]
    total = sum((line.amount for line in lines), Decimal(0))
    if unit is None or not total or not all(line.hs_code for line in lines):
        return
    if any(getattr(paper.document, "currency", None) != unit for paper in invoices):
        return
    # An invoice's own discount or surcharge is spread over its lines in proportion.
    share = sum(map(_value, items), Decimal(0)) / total
    for code in sorted({item.hs_code[:6] for item in items}):
        own, goods = (
            [line for line in lines if (line.hs_code or "")[:6] == code],
            [i for i in items if i.hs_code[:6] == code],
        )
        if own:
            stated, declared = sum((line.amount for line in own), Decimal(0)), sum(map(_value, goods), Decimal(0))
            slack = _minor(unit) * (len(own) + len(goods))
            yield _line(abs(stated * share - declared) <= slack, stated, declared, goods[0], invoices[0].record)


def _line(same: bool, stated: Decimal, declared: Decimal, item: GoodsItem, record: str | None) -> Check:
    cents = _minor(item.currency)
    values = {
        "stated": _money(stated.quantize(cents), item.currency),
        "declared": _money(declared, item.currency),
        "code": item.hs_code[:6],
    }
    return line_value.answer("line-value-matches" if same else "line-value-differs", values, record)


@REGISTER.check(
    "MATCH_TOTAL",
    "Total adds up",
    Rank.FAIL,
    Scope.MATCH,
    passes("total-matches", "Its lines and its total come to {stated}."),
    notes("total-discounted", "Its lines come to {lines}, its total is {stated}: a discount."),
    fails(
        "total-differs",
        _MERCHANT,
        "Its lines come to {lines}, its total is {stated}: the rest is no freight or insurance that is stated.",
    ),
    leaves_open("total-differs", _MERCHANT),
    leaves_open(
        "total-beyond-incoterm",
        _MERCHANT,
        "Its total of {stated} holds carriage or insurance, which the buyer pays under {incoterm}. Explain it.",
    ),
    rule=(
        "an order's total is its lines and its freight, an invoice's is its lines with or without the declared "
        "freight and "
        "insurance, or less: a discount. More is left to a person where the Incoterm puts carriage into the price, and "
        "carriage or insurance where the Incoterm has the buyer pay it"
    ),
    tolerance="one minor unit of the currency (ISO 4217) for each line",
)
def total(dossier: Dossier) -> Iterator[Check]:
    """Check whether each paper's own figures add up."""
    for paper in dossier.of(Invoice, Order):
        document = paper.document
        assert isinstance(document, Invoice | Order)
        lines = sum((line.amount for line in document.items), Decimal(0))
        slack = _minor(document.currency) * len(document.items)
        if isinstance(document, Order):
            parts: tuple[Decimal, ...] = (document.freight_amount or Decimal(0),)
        else:
            parts = _carriage(dossier.declaration, document.currency)
        values = {"stated": _money(document.total_amount, document.currency), "lines": _money(lines, document.currency)}
        if any(abs(lines + part - document.total_amount) <= slack for part in parts):
            own = _beyond_incoterm(document, lines, parts, slack)
            yield total.answer(
                "total-beyond-incoterm" if own else "total-matches", {**values, "incoterm": own}, paper.record
            )
        elif document.total_amount < lines + max(parts):
            yield total.answer("total-discounted", values, paper.record)
        else:
            may_hold_freight = isinstance(document, Invoice) and document.incoterms_code in WITH_FREIGHT
            outcome = Outcome.INDETERMINATE if may_hold_freight else Outcome.FAIL
            yield total.answer("total-differs", values, paper.record, outcome)


def _beyond_incoterm(document: Invoice | Order, lines: Decimal, parts: Sequence[Decimal], slack: Decimal) -> str | None:
    """Return the Incoterm under which a total holds more of the carriage than its seller pays, or None."""
    term = document.incoterms_code if isinstance(document, Invoice) else None
    if term in _WITHOUT_FREIGHT:
        allowed: Sequence[Decimal] = parts[:1]
    elif term in WITH_FREIGHT - _WITH_INSURANCE:
        allowed = parts[:2]
    else:
        return None
    return None if any(abs(lines + part - document.total_amount) <= slack for part in allowed) else term


def _discount(document: Invoice | Order) -> Decimal:
    lines = sum((line.amount for line in document.items), Decimal(0))
    freight = document.freight_amount if isinstance(document, Order) else None
    return max(Decimal(0), lines + (freight or Decimal(0)) - document.total_amount)


@REGISTER.check(
    "MATCH_DISCOUNT",
    "Discount agrees",
    Rank.WARNING,
    Scope.MATCH,
    passes("discount-matches", "A discount of {stated} on both."),
    leaves_open(
        "discount-differs", _MERCHANT, "It gives a discount of {stated}, the order one of {declared}. Explain it."
    ),
    rule="an invoice over the same lines as its order gives the same discount: what its total is short of its lines",
    tolerance="one minor unit of the currency (ISO 4217) for each line of the invoice",
)
def discount(dossier: Dossier) -> Iterator[Check]:
    """Check whether invoice and order give the same discount."""
    orders = [paper.document for paper in dossier.of(Order)]
    for paper in dossier.of(Invoice):
        billed = paper.document
        for ordered in orders:
            assert isinstance(billed, Invoice)
            assert isinstance(ordered, Order)
            sums = {sum((line.amount for line in one.items), Decimal(0)) for one in (billed, ordered)}
            given, agreed = _discount(billed), _discount(ordered)
            if billed.currency == ordered.currency and len(sums) == 1 and (given or agreed):
                same = abs(given - agreed) <= _minor(billed.currency) * len(billed.items)
                values = {"stated": _money(given, billed.currency), "declared": _money(agreed, billed.currency)}
                yield discount.answer("discount-matches" if same else "discount-differs", values, paper.record)


@REGISTER.check(
    "MATCH_FREIGHT",
    "Freight agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("freight-matches", "Freight of {stated} on both."),
    fails("freight-differs", _MERCHANT, "It states freight of {stated}; {declared} are declared."),
    rule="the freight of orders together is the declared freight, where both state one in the same currency",
    tolerance="one minor unit of the currency (ISO 4217) for each order",
)
def freight(dossier: Dossier) -> Iterator[Check]:
    """Compare the declared freight with the freight of the orders."""
    declared, unit = dossier.declaration.freight_amount, dossier.declaration.freight_currency
    unit = unit or _currency(dossier.declaration)
    orders = [(paper, paper.document) for paper in dossier.of(Order) if isinstance(paper.document, Order)]
    agreed = [
        order.freight_amount for _, order in orders if order.freight_amount is not None and order.currency == unit
    ]
    if declared is not None and unit is not None and orders and len(agreed) == len(orders):
        stated = sum(agreed, Decimal(0))
        reason = "freight-matches" if abs(stated - declared) <= _minor(unit) * len(orders) else "freight-differs"
        values = {"stated": _money(stated, unit), "declared": _money(declared, unit)}
        yield freight.answer(reason, values, orders[0][0].record)
