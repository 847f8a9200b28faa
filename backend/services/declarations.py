"""A merchant lodges a declaration for a consignment, reports the arrival of the goods, or withdraws the declaration."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

from backend.domain.consignment import Consignment, Event, NamedPaper, PlannedDrawdown, Step
from backend.domain.drawdowns import Count, share_out
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.domain.evidence import QUANTITY_STEPS, quantity_steps
from backend.domain.fields import in_base_unit
from backend.domain.finding import plain_code
from backend.domain.kinds import ISSUERS, PAPERS, Kind
from backend.domain.kinds.declaration import Declaration
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.parties import FormDraft, Organisation, Person, Role, normalised
from backend.domain.records import Assurance, RecordOnFile, document_of
from backend.domain.retention import kept_until
from backend.domain.verdict import ActionBy, Check, Outcome
from backend.services.drawdowns import balances, refund
from backend.services.ports import AppContext, rerunnable
from backend.services.records import DraftInputs, UnsignedRecord, change_status, draft, sign_once
from backend.services.verification import Declared, PapersVerdict, verdict_on_papers
from backend.store.unit_of_work import UnitOfWork

EARLIEST_ARRIVAL = timedelta(days=365)
MOST_NAMED = 50
"""Papers that a declaration names at most."""
MOST_SUITABLE = 20
"""Papers that are proposed at once."""
_MOST_LINKS = 8
"""Numbers of one kind by which papers are proposed: each costs a search."""
FORM = "declaration"
"""The name under which drafts of the form are kept."""
DRAFT_KEPT_FOR = timedelta(days=30)
LARGEST_DRAFT = 256 * 1024
"""Characters of JSON: a form with 200 full lines of goods has about half as many."""
_CLEARED_AT_ONCE = 20
_THOUSANDTHS, _PRICE = Decimal("0.001"), Decimal("0.0001")
# A declared line holds ``fields.Text``; what a certificate describes may be ten times as long.
_LONGEST_GOODS = 200


def lodge(ctx: AppContext, actor: Person, fields: Any, is_drafted: bool = False) -> Consignment:
    """Sign and lodge a declaration; ``fields["records"]`` lists the ids of the merchant's records that it relies on.

    The merchant's name and number are those of the signed-in merchant, whatever was sent. With ``is_drafted`` the
    actor's draft of the form is deleted with it.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: A field is wrong, a record named is not the merchant's, or the arrival lies in the future or too far
            back.
        Conflict: The reference was used before, or the merchant's key cannot sign now.
        OutsideAccreditation: The ledger does not accredit the merchant for declarations.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    lodged: list[Consignment] = []  # one for each try, so that the one stored need not be read again

    def keep(work: UnitOfWork, consignment: Consignment) -> None:
        lodged.append(consignment)
        draft = work.form_drafts.find(actor.id, FORM) if is_drafted else None
        if draft is not None:
            work.form_drafts.delete(draft)

    sign_once(
        ctx,
        lambda work, inputs: draft_declaration(ctx, work, inputs, actor, fields, partial(keep, work)),
        signer=actor.organisation,
    )
    return lodged[-1]


# Drafts of the form


@rerunnable
def keep_draft(ctx: AppContext, actor: Person, typed: Mapping[str, Any]) -> FormDraft:
    """Keep what the actor has typed in the form for a declaration so far, in place of what was kept before.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: It is more than a form can hold.
    """
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants lodge declarations")
    if len(json.dumps(typed)) > LARGEST_DRAFT:
        raise Invalid("the draft is too long", [("", "is too long to be kept as a draft")])
    with ctx.work() as work:
        work.form_drafts.delete_before(ctx.now() - DRAFT_KEPT_FOR, _CLEARED_AT_ONCE)
        draft = work.form_drafts.find(actor.id, FORM)
        if draft is None:
            draft = FormDraft(actor.id, FORM, ctx.now(), dict(typed))
            work.add(draft)
        elif draft.typed != typed:
            draft.typed = dict(typed)
        draft.saved_at = ctx.now()
        work.commit()
    return draft


def draft_kept(ctx: AppContext, work: UnitOfWork, actor: Person) -> FormDraft | None:
    """Return what the actor has typed in the form and not lodged, or None where that is nothing, or too long ago."""
    draft = work.form_drafts.find(actor.id, FORM)
    return draft if draft is not None and draft.saved_at >= ctx.now() - DRAFT_KEPT_FOR else None


@rerunnable
def drop_draft(ctx: AppContext, actor: Person) -> None:
    """Delete what the actor has typed in the form."""
    with ctx.work() as work:
        if (draft := work.form_drafts.find(actor.id, FORM)) is not None:
            work.form_drafts.delete(draft)
            work.commit()


# Papers that belong together


@dataclass(frozen=True)
class SuitablePaper:
    """A paper in force that has something in common with those chosen for a declaration, the strongest first.

    ``shared`` are names of ``Links``: ``order``, ``waybill``, ``invoice``, ``product``, ``goods``.
    """

    record: RecordOnFile
    shared: tuple[str, ...]

    @property
    def is_of_same_trade(self) -> bool:
        """Whether a number ties them together, not goods alone."""
        return any(name in self.shared for name in ("order", "waybill", "invoice"))


@dataclass(frozen=True)
class Links:
    """What ties papers together, numbers in the form in which they are searched for."""

    order: frozenset[str]
    waybill: frozenset[str]
    invoice: frozenset[str]
    product: frozenset[str]
    goods: frozenset[str]
    """Subheadings: the first six digits of HS codes."""

    @classmethod
    def of(cls, papers: Iterable[RecordOnFile]) -> "Links":
        """Return what these papers state together."""
        found: dict[str, set[str]] = defaultdict(set)
        for paper in papers:
            fields = paper.readable_fields
            for name, link in _LINKING.items():
                if number := plain_code(str(fields.get(name) or "")):
                    found[link].add(number)
            lines = [fields, *(line for line in fields.get("items", []) if isinstance(line, dict))]
            found["goods"] |= {str(line["hsCode"])[:6] for line in lines if line.get("hsCode")}
            if paper.product is not None:
                found["product"].add(paper.product.id)
        return cls(**{field.name: frozenset(found[field.name]) for field in dataclass_fields(cls)})

    def shared_with(self, other: "Links") -> tuple[str, ...]:
        """Return the names of what both state, the strongest first."""
        names = (field.name for field in dataclass_fields(self))
        return tuple(name for name in names if getattr(self, name) & getattr(other, name))


_LINKING = {
    "orderReference": "order",
    "waybillReference": "waybill",
    "invoiceNumber": "invoice",
    "invoiceReference": "invoice",
}


def suitable_papers(
    work: UnitOfWork, merchant: Organisation, chosen: Sequence[RecordOnFile], limit: int
) -> list[SuitablePaper]:
    """Return papers in force that belong with those chosen: of the same order first, of the same goods last."""
    if not chosen:
        return []
    links, found = Links.of(chosen), dict[str, RecordOnFile]()
    for numbers in (links.order, links.waybill, links.invoice, links.goods):
        for number in sorted(numbers)[:_MOST_LINKS]:
            ids = work.search.find(
                merchant, False, [number], limit, kinds=tuple(PAPERS), statuses=[int(DocumentStatus.ACTIVE)]
            )
            found |= {one.id: one for one in work.records.in_order([one for one in ids if one not in found])}
    for product_id in sorted(links.product)[:_MOST_LINKS]:
        product = work.products.get(product_id, merchant)
        found |= {one.id: one for one in work.records.about(product, limit) if one.status == DocumentStatus.ACTIVE}
    named = {paper.id for paper in chosen}
    suitable = [
        SuitablePaper(one, links.shared_with(Links.of([one])))
        for one in found.values()
        if one.id not in named and one.kind in PAPERS and one.holder.id == merchant.id
    ]
    order = [field.name for field in dataclass_fields(Links)]
    suitable = [one for one in suitable if one.shared]
    suitable.sort(key=lambda one: one.record.recorded_at, reverse=True)
    # Where a number is the same, more in common comes first; what an issuer stands behind before what a merchant says.
    suitable.sort(key=lambda one: (order.index(one.shared[0]), one.record.assurance is not Assurance.ISSUED))
    return suitable[:limit]


def belonging_together(ctx: AppContext, work: UnitOfWork, merchant: Organisation, first: RecordOnFile) -> list[str]:
    """Return the ids of a paper and of all that its declaration would name: of one order, and what covers its goods.

    Numbers tie papers together over two steps (an order its invoice, the invoice its certificate). For goods that no
    certificate or report so found covers, the newest one of the same goods is taken that goes to the same country, has
    something left, and says that the goods conform.
    """
    chosen = [first]
    for _step in range(2):
        # One waybill for a declaration: an order that is sent in parts has several.
        has_waybill = any(paper.kind is Kind.WAYBILL for paper in chosen)
        for one in suitable_papers(work, merchant, chosen, MOST_SUITABLE):
            is_second = one.record.kind is Kind.WAYBILL and has_waybill
            if one.is_of_same_trade and not is_second:
                has_waybill |= one.record.kind is Kind.WAYBILL
                chosen.append(one.record)
    goods = Links.of(chosen).goods
    destinations = {code for paper in chosen if (code := _destination(paper))}
    others = [one.record for one in suitable_papers(work, merchant, chosen, MOST_SUITABLE)]
    left = {count.certificate_id: count.remaining for count in balances(ctx, work, others)}
    for kind in (Kind.CERTIFICATE_OF_ORIGIN, Kind.INSPECTION_REPORT):
        for code in sorted(goods - Links.of(paper for paper in chosen if paper.kind is kind).goods):
            fitting = (
                one
                for one in others
                if one.kind is kind
                and code in Links.of([one]).goods
                and left.get(one.id, 1) > 0
                and (not destinations or _destination(one) in (None, *destinations))
                and one.readable_fields.get("conforms", True)
            )
            if (paper := next(fitting, None)) is not None:
                chosen.append(paper)
    return [paper.id for paper in chosen][:MOST_NAMED]


def _destination(paper: RecordOnFile) -> str | None:
    fields = paper.readable_fields
    found = fields.get("importCountry") or fields.get("destinationCountry")
    return found if isinstance(found, str) else None


def filled_from(papers: Sequence[RecordOnFile], left: Iterable[Count] = ()) -> dict[str, Any]:
    """Return the fields of a declaration as far as its papers state them, by their JSON names.

    Numbers, packages and weight come from the order and the waybill, goods from the certificates of origin, with
    quantities and prices from the lines of the invoice or the order; a certificate alone brings what is ``left`` of it.
    What papers state differently is taken from the first: the pre-check tells of the others.
    """
    by_kind: dict[Kind, list[dict[str, Any]]] = defaultdict(list)
    remaining = {count.certificate_id: count.remaining for count in left}
    for paper in papers:
        fields = paper.readable_fields
        if 0 < (steps := remaining.get(paper.id, paper.quantity)) < paper.quantity:
            fields = {**fields, "quantity": f"{(Decimal(steps) / QUANTITY_STEPS).normalize():f}"}
        by_kind[paper.kind].append(fields)
    orders, waybills = by_kind[Kind.ORDER], by_kind[Kind.WAYBILL]
    certificates, invoices = by_kind[Kind.CERTIFICATE_OF_ORIGIN], by_kind[Kind.INVOICE]
    sources = {
        "orderReference": [*orders, *invoices, *by_kind[Kind.PAYMENT_RECEIPT], *waybills],
        "platformName": orders,
        "waybillReference": waybills,
        "packageQuantity": [*waybills, *certificates],
        "grossWeightMeasure": [*waybills, *certificates],
        "destinationCountry": [*waybills, *orders, *invoices],
    }
    filled = {name: _first_stated(stating, name) for name, stating in sources.items()}
    filled["destinationCountry"] = _first_stated(certificates, "importCountry") or filled["destinationCountry"]
    filled["carrierName"] = next((waybill["carrier"]["name"] for waybill in waybills if waybill.get("carrier")), None)
    filled["items"] = _items(certificates, invoices or orders)
    filled["netWeightMeasure"] = _net_weight(papers, filled["items"])
    return {name: value for name, value in filled.items() if value}


def _first_stated(papers: Sequence[dict[str, Any]], name: str) -> Any:
    return next((fields[name] for fields in papers if fields.get(name)), None)


def _items(certificates: Sequence[dict[str, Any]], trades: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return lines of goods: one a certificate, then one for each line of the trade that no certificate covers."""
    lines = [{**line, "currency": trade.get("currency")} for trade in trades for line in trade.get("items", [])]
    items = []
    for certificate in certificates:
        item = {name: certificate.get(name) for name in ("hsCode", "quantity", "unitCode", "originCountry")}
        item["description"] = str(certificate.get("description", ""))[:_LONGEST_GOODS]
        same = [line for line in lines if str(line.get("hsCode", ""))[:6] == str(certificate.get("hsCode"))[:6]]
        line = same[0] if same else lines[0] if len(lines) == len(certificates) == 1 else None
        if line is not None and (priced := _priced(line, str(item["unitCode"]))):
            lines.remove(line)
            item |= priced
        items.append(item)
    for line in lines:
        # A line without a code may be freight or packing; a line of the same goods is a certificate's already.
        if line.get("hsCode") and (priced := _priced(line, str(line.get("unitCode")))):
            text = str(line.get("description", ""))[:_LONGEST_GOODS]
            items.append({"hsCode": line["hsCode"], "unitCode": line["unitCode"], "description": text, **priced})
    return items


def _priced(line: Mapping[str, Any], unit: str) -> dict[str, str] | None:
    """Return quantity, unit price and currency of a line of trade, counted in a unit; None where that cannot be."""
    try:
        base, amount = in_base_unit(Decimal(line["quantity"]), line["unitCode"])
        wanted, one = in_base_unit(Decimal(1), unit)
        if base != wanted:
            return None
        quantity = amount / one
        if quantity != quantity.quantize(_THOUSANDTHS):
            return None
        price = (Decimal(line["amount"]) / quantity).quantize(_PRICE)
    except (ArithmeticError, KeyError, TypeError):
        return None
    shown = {"quantity": quantity, "unitPrice": price}
    return {name: f"{value.normalize():f}" for name, value in shown.items()} | {"currency": str(line["currency"])}


def _net_weight(papers: Sequence[RecordOnFile], items: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what the goods weigh by the merchant's own products, or None where one of them has no weight."""
    weights = [
        Decimal(paper.product.net_weight)
        for paper in papers
        if paper.kind is Kind.CERTIFICATE_OF_ORIGIN
        and paper.product is not None
        and paper.product.net_weight
        and paper.product.unit_code == paper.readable_fields.get("unitCode")
    ]
    if not items or len(weights) != len(items):
        return None
    total = sum((weight * Decimal(item["quantity"]) for weight, item in zip(weights, items, strict=True)), Decimal(0))
    return f"{total.quantize(_THOUSANDTHS).normalize():f}"


def draft_declaration(
    ctx: AppContext,
    work: UnitOfWork,
    inputs: DraftInputs,
    actor: Person,
    fields: Any,
    keep: Callable[[Consignment], None] = lambda lodged: None,
) -> UnsignedRecord:
    """Build the declaration that ``lodge`` signs; ``keep`` is given what is stored of it once it is on file.

    Raises what ``lodge`` raises, except for a reused key.
    """
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants lodge declarations")
    if not isinstance(fields, dict):
        raise Invalid("a declaration is a JSON object", [("", "must be an object")])
    merchant = work.organisations.get(actor.organisation.id)
    document, papers = check(inputs.moment, work, merchant, fields)
    drafted = draft(ctx, work, inputs, Kind.DECLARATION, document, merchant, merchant)

    def store(on_file: RecordOnFile) -> None:
        consignment = _consignment(work, on_file, document, papers)
        work.add(consignment)
        keep(consignment)

    return replace(drafted, on_filed=store)


def check(
    now: datetime, work: UnitOfWork, merchant: Organisation, fields: dict[str, Any]
) -> tuple[Declaration, list[RecordOnFile]]:
    """Check the fields of a declaration and store nothing.

    Returns the document that would be signed and the records that it relies on.

    Raises:
        Invalid: A field is wrong, a record named is not the merchant's, or the arrival lies in the future or too far
            back.
        Conflict: The merchant used the reference before.
    """
    papers, named = _papers(work, merchant, fields.get("records", []))
    completed = {**fields, "merchant": _party(merchant), "records": named}
    document = document_of(Kind.DECLARATION, completed)
    assert isinstance(document, Declaration)
    # What is signed names the office by the code that it is kept under: another spelling would be in nobody's queue.
    office = _served_office(work, document.customs_office)
    if office != document.customs_office:
        document = document_of(Kind.DECLARATION, {**completed, "customsOffice": office})
        assert isinstance(document, Declaration)
    _check_arrival(now, document.arrival_date_time)
    if work.consignments.reference_is_taken(merchant, document.declaration_reference):
        raise reference_taken(document.declaration_reference)
    return document, papers


@dataclass(frozen=True)
class PreCheck:
    """What customs would be told of a declaration if it were lodged now.

    ``document`` is what would be signed, ``found`` the verdict on its papers, ``balances`` what each issued certificate
    of origin among them covers and has left, and ``taken`` what the declaration would take from each, in thousandths of
    the unit by the id of its first version.
    """

    document: Declaration
    found: PapersVerdict
    balances: Sequence[Count]
    taken: Mapping[str, int]

    @property
    def differences(self) -> list[Check]:
        """What prevents VALID, without what passes by itself once the ledger has the papers."""
        return [
            check
            for check in self.found.verdict.checks
            if check.outcome in (Outcome.FAIL, Outcome.INDETERMINATE) and check.action_by is not ActionBy.WAIT
        ]


def pre_check(ctx: AppContext, actor: Person, fields: Any) -> PreCheck:
    """Tell what customs would find, by the same rules, without signing or storing anything.

    Raises what ``lodge`` raises: what would be refused then is refused now.
    """
    inputs = DraftInputs.fresh(ctx, actor.organisation)
    with ctx.work(reading=True) as work:
        drafted = draft_declaration(ctx, work, inputs, actor, fields)
        document = drafted.document
        assert isinstance(document, Declaration)
        papers = [work.records.get(named.id) for named in document.records]
        wanted = _planned_drawdowns(work, document, papers)
        certificates = [drawdown.certificate_id for drawdown in wanted]
        drawn = work.drawdowns.drawn_from(certificates)
        declared = Declared(
            document,
            {named.id: named.sha256 for named in document.records},
            wanted,
            work.consignments.planned_from(certificates),
            drawn,
        )
        with ctx.ledger.at_one_block():
            found = verdict_on_papers(ctx, work, declared)
            counts = balances(ctx, work, [paper.record for paper in found.papers])
    by_certificate = {count.original_id: count for count in counts}
    given = share_out(wanted, by_certificate).shares
    taken: dict[str, int] = defaultdict(int)
    for share in given:
        taken[share.count.original_id] += share.quantity
    return PreCheck(document, found, counts, taken)


def reference_taken(reference: str) -> Conflict:
    """Return the refusal of a reference that the merchant has used before."""
    return Conflict("a declaration was lodged under this reference before", reference=reference)


def check_what_is_named(work: UnitOfWork, consignment: Consignment) -> None:
    """Check again that the papers and the office that a declaration names are there, where it is stored later.

    Raises:
        Invalid: A paper was erased, or no office here serves the code any more.
    """
    _served_office(work, consignment.customs_office)
    erased = work.records.erased_among({paper.record.id for paper in consignment.papers})
    for place, paper in enumerate(consignment.papers):
        if paper.record.id in erased:
            raise _no_paper_of_yours(place)


def _consignment(
    work: UnitOfWork, on_file: RecordOnFile, document: Declaration, papers: Sequence[RecordOnFile]
) -> Consignment:
    merchant, lodged = on_file.holder, on_file.issued_at
    until = kept_until(document.customs_office, document.previous_procedure_type_code, lodged)
    consignment = Consignment(
        id=on_file.id,
        record=on_file,
        merchant=merchant,
        reference=document.declaration_reference,
        customs_office=document.customs_office,
        lodged_at=lodged,
        papers=[NamedPaper(paper, until) for paper in papers],
        planned_drawdowns=_planned_drawdowns(work, document, papers),
        events=[Event(str(uuid4()), Step.LODGED, lodged, lodged, merchant)],
    )
    if document.arrival_date_time is not None:
        consignment.arrive(Event(str(uuid4()), Step.ARRIVED, document.arrival_date_time, lodged, merchant))
    return consignment


def _planned_drawdowns(
    work: UnitOfWork, declaration: Declaration, papers: Sequence[RecordOnFile]
) -> list[PlannedDrawdown]:
    """Work out which quantities the declared goods take from the certificates of origin named.

    Goods and certificates are matched by the six digits of the HS code, and the unit.
    """
    covering: dict[str, list[RecordOnFile]] = defaultdict(list)
    for paper in papers:
        if paper.kind is Kind.CERTIFICATE_OF_ORIGIN:
            # The first six digits of an HS code are the same worldwide, further ones are each country's own.
            covering[str(paper.fields["hsCode"])[:6]].append(paper)
    declared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in declaration.items:
        declared[item.hs_code[:6], item.unit_code] += item.quantity
    return [
        PlannedDrawdown(
            work.records.original_of(paper).id, heading, unit, quantity_steps(quantity), len(covering[heading]) > 1
        )
        for (heading, unit), quantity in declared.items()
        for paper in covering[heading]
    ]


def _party(merchant: Organisation) -> dict[str, Any]:
    party = {
        "name": merchant.name,
        "postalAddress": merchant.postal_address,
        "countryCode": merchant.country_code,
        "identifier": merchant.identifier,
    }
    return {name: value for name, value in party.items() if value is not None}


def _papers(work: UnitOfWork, merchant: Organisation, ids: Any) -> tuple[list[RecordOnFile], list[dict[str, str]]]:
    if not isinstance(ids, list) or not all(isinstance(record_id, str) for record_id in ids):
        raise Invalid("records must be a list of record ids", [("records", "must be a list of record ids")])
    papers = []
    for place, record_id in enumerate(dict.fromkeys(ids)):
        try:
            paper = work.records.get(record_id)
        except NotFound:
            paper = None
        # One answer for a record that does not exist and for somebody else's, so that ids cannot be probed.
        # An erasure at the same moment either is seen here, or sees this declaration: one of the two runs again.
        if paper is None or paper.erased_at is not None or not _may_name(merchant, paper):
            raise _no_paper_of_yours(place)
        papers.append(paper)
    return papers, [{"id": p.id, "kind": p.kind.slug, "sha256": p.digest} for p in papers]


def _no_paper_of_yours(place: int) -> Invalid:
    return Invalid("a record named does not exist", [(f"records.{place}", "is no record of yours")])


def _may_name(merchant: Organisation, paper: RecordOnFile) -> bool:
    """Allow the merchant's own papers, and those that an issuer holds because it matched no merchant here."""
    is_kept_for_somebody = paper.holder.id == paper.issuer.id and paper.issuer.role in ISSUERS
    return paper.kind in PAPERS and paper.erased_at is None and (paper.holder.id == merchant.id or is_kept_for_somebody)


def _check_arrival(now: datetime, arrived: datetime | None) -> None:
    if arrived is None:
        return
    # Clocks of merchants may differ from ours by five minutes.
    if arrived > now + timedelta(minutes=5):
        raise Invalid(
            "the goods cannot have come already",
            [("arrivalDateTime", "lies in the future: leave it out until they come")],
        )
    if arrived < now - EARLIEST_ARRIVAL:
        raise Invalid("arrival lies too far back", [("arrivalDateTime", "lies more than a year back")])


@rerunnable
def report_arrival(ctx: AppContext, actor: Person, declaration_id: str, arrived: datetime) -> Consignment:
    """Note when goods that were declared beforehand came under customs' control.

    Raises:
        NotFound: There is no such declaration, or the actor may not see it.
        NotAllowed: The actor is neither a merchant nor a customs officer.
        Invalid: The arrival lies in the future, or more than a year back.
        Conflict: The declaration was decided already, or its arrival is known.
    """
    _check_arrival(ctx.now(), arrived)
    with ctx.work() as work:
        consignment = work.consignments.visible_to(actor, declaration_id, ctx.now())
        if actor.role not in (Role.MERCHANT, Role.OFFICER):
            raise NotAllowed("only the merchant or customs report arrival")
        if not consignment.status.is_open:
            raise Conflict("the case is closed: its clock stands", status=consignment.status.name)
        if consignment.arrived_at is not None:
            raise Conflict("the arrival is known already", arrived_at=consignment.arrived_at)
        work.consignments.next_version(consignment)
        reporter = work.organisations.get(actor.organisation.id)
        consignment.arrive(Event(str(uuid4()), Step.ARRIVED, arrived, ctx.now(), reporter))
        work.commit()
    return consignment


@rerunnable
def withdraw(ctx: AppContext, actor: Person, declaration_id: str, read: int | None = None) -> Consignment:
    """Withdraw a declaration and refund what it drew, as long as customs have not begun to act on the goods.

    Raises:
        NotFound: There is no such declaration, or the actor may not see it.
        NotAllowed: The actor is not a merchant.
        StaleVersion: It was changed since the version that the merchant read.
        Conflict: The declaration's status does not allow a withdrawal.
    """
    with ctx.work() as work:
        consignment = work.consignments.visible_to(actor, declaration_id, ctx.now())
        if actor.role is not Role.MERCHANT:
            raise NotAllowed("only the merchant withdraws")
        work.consignments.next_version(consignment, read)
        now = ctx.now()
        consignment.withdraw(Event(str(uuid4()), Step.WITHDRAWN, now, now, consignment.merchant))
        change_status(ctx, work, consignment.record, DeclarationStatus.WITHDRAWN, "withdrawn by the merchant")
        refund(ctx, work, consignment.id)
        work.commit()
    ctx.wake_anchoring()
    return consignment


def jurisdiction(ctx: AppContext, work: UnitOfWork, actor: Person) -> frozenset[str] | None:
    """Return the codes of the offices whose declarations an officer may read and decide. None for other roles."""
    if actor.role is not Role.OFFICER:
        return None
    return work.customs_offices.jurisdiction(actor.organisation, ctx.now())


def _served_office(work: UnitOfWork, typed: str) -> str:
    """Return the office's code in its stored form.

    Raises:
        Invalid: No office here serves it, so that nobody could decide on the declaration.
    """
    code = normalised(typed)
    if not work.customs_offices.find(code):
        raise Invalid("no such customs office", [("customsOffice", "is served by no customs office here")])
    return code
