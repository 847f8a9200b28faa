"""A merchant's pages: lodge declarations and follow them to release."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.consignment import Consignment
from backend.domain.errors import Conflict, Invalid, NotFound, StaleVersion
from backend.domain.kinds import PAPERS, Kind
from backend.domain.ledger import WITHDRAWAL_EDGES, DeclarationStatus, DocumentStatus
from backend.domain.parties import Role
from backend.domain.records import Product, RecordOnFile
from backend.services import declarations as use_cases
from backend.services.access_policy import visible_record
from backend.services.verification import evaluated, verdict_on_consignment
from backend.store.unit_of_work import UnitOfWork
from backend.web.context import current_context, only, person
from backend.web.forms.base import add_blank_rows, filled_in
from backend.web.forms.documents import DeclarationForm, next_number
from backend.web.pages import blueprint, version_read
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import later_changes
from backend.web.presentation.match_table import match_table

PAGE = 50
BLANK_ITEMS = 3
TRADE_ZONE = ZoneInfo("Asia/Shanghai")
"""The zone of times that are typed without one, as the form tells."""
MOST_CHOSEN = 200
"""The largest number of papers for one declaration in the form."""
_REPEATED = ("customsOffice", "platformName", "carrierName", "previousProcedureTypeCode", "direction")
# A declared line holds ``fields.Text``; what a certificate describes may be ten times as long.
_LONGEST_GOODS = 200


def status_asked() -> DeclarationStatus | None:
    """Return the status that the list is filtered by, or None."""
    name = request.args.get("status", "").upper().replace("-", "_")
    return DeclarationStatus[name] if name in DeclarationStatus.__members__ else None


@blueprint.get("/declarations")
@only(Role.MERCHANT)
def declarations() -> str:
    """List the merchant's declarations, newest first: all, those in one status, alerted, or naming one paper."""
    own, after, status = person().organisation, request.args.get("after"), status_asked()
    alerted, paper = "alerted" in request.args, None
    with current_context().work(reading=True) as work:
        if alerted:
            found = work.consignments.alerted(PAGE, own, after=after)
        elif named := request.args.get("paper"):
            paper = visible_record(current_context(), work, person(), named)
            found = work.consignments.naming(paper.id, own, PAGE, after)
        else:
            found = work.consignments.lines(own, [status] if status is not None else [], PAGE, after)
    return render_template(
        "pages/declarations.html",
        consignments=found,
        status=status,
        statuses=list(DeclarationStatus),
        alerted=alerted,
        paper=paper,
        page=PAGE,
    )


@blueprint.route("/declarations/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_declaration() -> ResponseReturnValue:
    """Let the merchant choose papers and products, then fill in the declaration from them and lodge it."""
    ctx, own = current_context(), person().organisation
    turned = [request.args.get(name) or None for name in ("after", "products_after")]
    with ctx.work(reading=True) as work:
        chosen = _chosen(work, request.values.getlist("records"))
        goods = _chosen_products(work, request.values.getlist("products"))
        papers = work.records.of(own, PAPERS, PAGE, turned[0], in_force=True)
        products = work.products.of(own, PAGE, turned[1])
        named = {paper.id for paper in chosen} | {product.id for product in goods}
        mine = evaluated(ctx, [*chosen, *(paper for paper in papers if paper.id not in named)])
        start = _start(work, chosen, goods)
        offices = work.customs_offices.all()
    if request.method == "GET" and (any(turned) or not named):
        return render_template(
            "pages/declaration_choose.html",
            papers=mine,
            products=[*goods, *(product for product in products if product.id not in named)],
            chosen=named,
            earlier=papers[-1].id if len(papers) == PAGE else None,
            earlier_products=products[-1].id if len(products) == PAGE else None,
        )
    form = DeclarationForm(data=start)
    if request.method == "POST":
        try:
            lodged = use_cases.lodge(current_context(), person(), _stated(form, chosen))
        except Invalid as error:
            form.show(error.problems)
        except Conflict as error:
            if "reference" not in error.values:
                raise
            form.declaration_reference.errors = [_("You used this reference before. Choose another.")]
        else:
            flash(_("Lodged. Customs see it now."))
            return redirect(url_for("pages.declaration", declaration_id=lodged.id))
    add_blank_rows(form.items, BLANK_ITEMS)
    page = render_template("pages/declaration_new.html", form=form, papers=mine, chosen=named, offices=offices)
    return page, 422 if form.has_faults else 200


def _stated(form: DeclarationForm, chosen: list[RecordOnFile]) -> dict[str, Any]:
    fields = {**form.document, "records": [paper.id for paper in chosen]}
    if typed := fields.get("arrivalDateTime"):
        fields["arrivalDateTime"] = in_trade_zone(typed)
    return fields


def in_trade_zone(typed: str) -> str:
    """Add the zone to a time as browsers send it. Any other text stays as typed, for the domain to refuse."""
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        return typed
    return (moment if moment.tzinfo else moment.replace(tzinfo=TRADE_ZONE)).isoformat()


def _chosen(work: UnitOfWork, named: Sequence[str]) -> list[RecordOnFile]:
    """Return those of the ticked papers that the merchant holds and that are in force."""
    own, found = person().organisation, []
    # The ids come from the request: each costs a query, and may be anybody's.
    for record_id in list(dict.fromkeys(named))[:MOST_CHOSEN]:
        with suppress(NotFound):
            found.append(work.records.get(record_id))
    return [
        r
        for r in found
        if r.kind in PAPERS
        and r.holder.id == own.id
        and r.status == DocumentStatus.ACTIVE
        and r.superseded_by_id is None
    ]


def _chosen_products(work: UnitOfWork, named: Sequence[str]) -> list[Product]:
    """Return those of the ticked products that are the merchant's."""
    found = []
    for product_id in list(dict.fromkeys(named))[:MOST_CHOSEN]:
        with suppress(NotFound):
            found.append(work.products.get(product_id, person().organisation))
    return found


def _start(work: UnitOfWork, papers: list[RecordOnFile], products: list[Product]) -> dict[str, Any]:
    """Return the form's first values: goods from papers and products, the rest from the last declaration."""
    own = person().organisation
    last = next(iter(work.consignments.search(own, limit=1)), None)
    before = _fields(last.record) if last else {}
    certificates = [_fields(p) for p in papers if p.kind is Kind.CERTIFICATE_OF_ORIGIN]
    first = f"D{current_context().now():%Y%m%d}-01"
    start = filled_in({name: before[name] for name in _REPEATED if name in before})
    start["declaration_reference"] = next_number(
        last.reference if last else None, first, lambda number: work.consignments.reference_is_taken(own, number)
    )
    start["items"] = [_item(fields) for fields in certificates] + [_item_of(product) for product in products]
    if certificates:
        start["destination_country"] = certificates[0].get("importCountry")
        start["gross_weight_measure"] = certificates[0].get("grossWeightMeasure")
    return start


def _fields(record: RecordOnFile) -> dict[str, Any]:
    try:
        return record.fields
    except Invalid:
        return {}


def _item(certificate: dict[str, Any]) -> dict[str, Any]:
    return {
        "hs_code": certificate.get("hsCode"),
        "description": str(certificate.get("description", ""))[:_LONGEST_GOODS],
        "quantity": certificate.get("quantity"),
        "unit_code": certificate.get("unitCode"),
        "origin_country": certificate.get("originCountry"),
    }


def _item_of(product: Product) -> dict[str, Any]:
    return {
        "hs_code": product.hs_code,
        "description": product.name[:_LONGEST_GOODS],
        "unit_code": product.unit_code,
        "origin_country": product.origin_country,
    }


@blueprint.get("/declarations/<declaration_id>")
@only(Role.MERCHANT)
def declaration(declaration_id: str) -> str:
    """Show a declaration: its status, and what its papers prove."""
    return _page(declaration_id)


def _page(declaration_id: str, wrong: str | None = None, stale: StaleVersion | None = None) -> str:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.consignments.visible_to(person(), declaration_id, ctx.now())
        dossier = verdict_on_consignment(ctx, work, found)
    return render_template(
        "pages/declaration.html",
        consignment=found,
        record=found.record,
        fields=_fields(found.record),
        dossier=dossier,
        verdict=dossier.verdict,
        table=match_table(dossier),
        can_withdraw=_can_withdraw(found),
        now=ctx.now(),
        arrival=request.form.get("arrived", ""),
        wrong=wrong,
        changes=stale and later_changes(stale.changes),
    )


def _can_withdraw(consignment: Consignment) -> bool:
    return (consignment.status, DeclarationStatus.WITHDRAWN) in WITHDRAWAL_EDGES


@blueprint.post("/declarations/<declaration_id>/withdraw")
@only(Role.MERCHANT)
def withdraw(declaration_id: str) -> ResponseReturnValue:
    """Withdraw a declaration."""
    try:
        use_cases.withdraw(current_context(), person(), declaration_id, version_read())
    except StaleVersion as error:
        return _page(declaration_id, stale=error), 412
    flash(_("Withdrawn. Customs will not act on it any more."))
    return redirect(url_for("pages.declaration", declaration_id=declaration_id))


@blueprint.post("/declarations/<declaration_id>/arrival")
@only(Role.MERCHANT)
def report_arrival(declaration_id: str) -> ResponseReturnValue:
    """Report when the goods came under customs' control."""
    try:
        arrived = datetime.fromisoformat(in_trade_zone(request.form.get("arrived", "")))
        use_cases.report_arrival(current_context(), person(), declaration_id, arrived)
    except ValueError:
        return _page(declaration_id, _("Give date and time as 2026-03-31 14:05.")), 422
    except Invalid as error:
        return _page(declaration_id, in_words(error.problems[0][1])), 422
    flash(_("Noted. The clock for arrival to release runs from then."))
    return redirect(url_for("pages.declaration", declaration_id=declaration_id))
