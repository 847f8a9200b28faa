"""A merchant lodges declarations and follows them to release."""

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
"""Times without a zone are typed in China time; the form says so."""
MOST_CHOSEN = 200
"""Papers that one declaration is made out with in the form."""
_REPEATED = ("customsOffice", "platformName", "carrierName", "previousProcedureTypeCode", "direction")
_LONGEST_GOODS = 200


def status_asked() -> DeclarationStatus | None:
    """The status that a list is filtered by."""
    name = request.args.get("status", "").upper().replace("-", "_")
    return DeclarationStatus[name] if name in DeclarationStatus.__members__ else None


@blueprint.get("/declarations")
@only(Role.MERCHANT)
def declarations() -> str:
    """The merchant's declarations, newest first."""
    status = status_asked()
    with current_context().work(reading=True) as work:
        chosen = [status] if status is not None else []
        found = work.consignments.lines(person().organisation, chosen, PAGE, request.args.get("after"))
    return render_template(
        "pages/declarations.html", consignments=found, status=status, statuses=list(DeclarationStatus), page=PAGE
    )


@blueprint.route("/declarations/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_declaration() -> ResponseReturnValue:
    """First choose papers and products; then everything that they say is filled in already."""
    ctx, after = current_context(), request.args.get("after")
    with ctx.work(reading=True) as work:
        products = list(work.products.of(person().organisation))
        chosen = _chosen(work, request.values.getlist("records"))
        offered = work.records.of(person().organisation, PAPERS, PAGE, after, in_force=True)
        earlier = offered[-1].id if len(offered) == PAGE else None
        named = {paper.id for paper in chosen}
        mine = evaluated(ctx, [*chosen, *(paper for paper in offered if paper.id not in named)])
        goods = [product for product in products if product.id in request.values.getlist("products")]
        start = _start(work, chosen, goods)
        offices = work.customs_offices.all()
    if request.method == "GET" and not (chosen or goods):
        return render_template("pages/declaration_choose.html", papers=mine, products=products, earlier=earlier)
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
    """A time as a browser's control gives it, with its zone; anything else stays as typed, for the domain to refuse."""
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        return typed
    return (moment if moment.tzinfo else moment.replace(tzinfo=TRADE_ZONE)).isoformat()


def _chosen(work: UnitOfWork, named: Sequence[str]) -> list[RecordOnFile]:
    """The merchant's own papers among those that were ticked, as long as they are in force."""
    own, found = person().organisation, []
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


def _start(work: UnitOfWork, papers: list[RecordOnFile], products: list[Product]) -> dict[str, Any]:
    """The form's beginning: goods from papers and products, the rest as in the declaration before."""
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
    """One declaration: where it stands, and what its papers prove."""
    return _page(declaration_id)


def _page(declaration_id: str, wrong: str | None = None, stale: StaleVersion | None = None) -> str:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = use_cases.visible(ctx, work, person(), declaration_id)
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
    """Take it back."""
    try:
        use_cases.withdraw(current_context(), person(), declaration_id, version_read())
    except StaleVersion as error:
        return _page(declaration_id, stale=error), 412
    flash(_("Withdrawn. Customs will not act on it any more."))
    return redirect(url_for("pages.declaration", declaration_id=declaration_id))


@blueprint.post("/declarations/<declaration_id>/arrival")
@only(Role.MERCHANT)
def report_arrival(declaration_id: str) -> ResponseReturnValue:
    """Tell when the goods came under customs' control."""
    try:
        arrived = datetime.fromisoformat(in_trade_zone(request.form.get("arrived", "")))
        use_cases.report_arrival(current_context(), person(), declaration_id, arrived)
    except ValueError:
        return _page(declaration_id, _("Give date and time as 2026-03-31 14:05.")), 422
    except Invalid as error:
        return _page(declaration_id, in_words(error.problems[0][1])), 422
    flash(_("Noted. The clock for arrival to release runs from then."))
    return redirect(url_for("pages.declaration", declaration_id=declaration_id))
