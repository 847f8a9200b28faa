"""A merchant states what a certificate or a report says, lays it before the issuer, and corrects what came back."""

from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain import documents
from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.kinds import Kind
from backend.domain.parties import Organisation, Role
from backend.domain.records import ConfirmationRequest, Product, RequestState
from backend.services.statements import issue_statement
from backend.web.auth import only, person
from backend.web.context import current_context
from backend.web.forms.attachments import receive
from backend.web.forms.base import Problems, add_blank_rows, filled_in
from backend.web.forms.documents import InspectionForm, OriginForm
from backend.web.pages import blueprint
from backend.web.pages.declarations import TRADE_ZONE
from backend.web.presentation.field_messages import in_words
from backend.web.presentation.labels import name_of

BLANK_RESULTS = 3
_FORMS: Mapping[Kind, type[OriginForm] | type[InspectionForm]] = {
    Kind.CERTIFICATE_OF_ORIGIN: OriginForm,
    Kind.INSPECTION_REPORT: InspectionForm,
}
_ISSUERS = {Kind.CERTIFICATE_OF_ORIGIN: Role.CHAMBER, Kind.INSPECTION_REPORT: Role.LABORATORY}
_TEMPLATES = {
    Kind.CERTIFICATE_OF_ORIGIN: "pages/certificate_form.html",
    Kind.INSPECTION_REPORT: "pages/report_form.html",
}


@blueprint.route("/products/<product_id>/certificate-of-origin/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_certificate(product_id: str) -> ResponseReturnValue:
    """State a certificate of origin for a product."""
    product = _product(product_id)
    start = {
        "exporter": own_party(),
        "description": product.description,
        "hs_code": product.hs_code,
        "unit_code": product.unit_code,
        "origin_country": product.origin_country,
        "issue_date": today(),
    }
    return _state(Kind.CERTIFICATE_OF_ORIGIN, start, product)


@blueprint.route("/products/<product_id>/inspection-report/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_report(product_id: str) -> ResponseReturnValue:
    """State an inspection report for a product."""
    product = _product(product_id)
    start = {
        "customer": own_party(),
        "item_description": product.description,
        "hs_code": product.hs_code,
        "issue_date": today(),
    }
    return _state(Kind.INSPECTION_REPORT, start, product)


@blueprint.route("/requests/<request_id>/correct", methods=["GET", "POST"])
@only(Role.MERCHANT)
def correct_request(request_id: str) -> ResponseReturnValue:
    """Correct a statement that was sent back: everything is there already."""
    with current_context().work(reading=True) as work:
        found = work.requests.get(request_id)
    if found.merchant.id != person().organisation.id:
        raise NotFound("no such request", id=request_id)
    is_there = found.statement.superseded_by_id is None and found.statement.erased_at is None
    if found.state is not RequestState.SENT_BACK or not is_there:
        raise Conflict("only a request that was sent back can be corrected", state=found.state.value)
    start = {**filled_in(found.statement.fields), "issuer": found.issuer.id}
    return _state(found.statement.kind, start, found.statement.product, found)


def _state(
    kind: Kind, start: dict[str, Any], product: Product | None, sent_back: ConfirmationRequest | None = None
) -> ResponseReturnValue:
    ctx = current_context()
    form = _FORMS[kind](data=start)
    form.issuer.offer((o.id, name_of(o)) for o in _issuers(kind))
    before = sent_back.statement.fields if sent_back else {}
    attachments = before.get("attachments", [])
    if request.method == "POST":
        attachments, refused = receive(ctx)
        # What an import or a program stated and the form has no place for stays: a correction must not lose it.
        kept = {name: value for name, value in before.items() if name != "attachments" and not form.has_place_for(name)}
        fields = {**kept, **form.document, **({"attachments": attachments} if attachments else {})}
        try:
            if refused:
                documents.read(kind, fields)
            else:
                made = issue_statement(
                    ctx,
                    person(),
                    kind,
                    fields,
                    form.issuer.data or "",
                    product.id if product else None,
                    sent_back.id if sent_back else None,
                )
                flash(_("Signed and sent."))
                return redirect(url_for("pages.record", record_id=made.id))
        except Invalid as error:
            form.show(_in_form(error.problems))
    else:
        refused = []
    if isinstance(form, InspectionForm):
        add_blank_rows(form.results, max(BLANK_RESULTS, len(form.results.entries)))
    page = render_template(
        _TEMPLATES[kind],
        form=form,
        product=product,
        sent_back=sent_back,
        attachments=attachments,
        refused=[(name, in_words(message)) for name, _bar, message in (fault.partition("|") for fault in refused)],
    )
    return page, 422 if form.has_faults or refused else 200


def _in_form(problems: Problems) -> Problems:
    """The number is the issuer's to give: a fault of it is none of the merchant's."""
    return [(path, message) for path, message in problems if path not in ("certificateNumber", "reportNumber")]


def _issuers(kind: Kind) -> list[Organisation]:
    with current_context().work(reading=True) as work:
        return list(work.organisations.all(_ISSUERS[kind]))


def _product(product_id: str) -> Product:
    with current_context().work(reading=True) as work:
        return work.products.get(product_id, person().organisation)


def own_party() -> dict[str, str | None]:
    """The reader's organisation, as forms take a company."""
    own = person().organisation
    return {
        "name": own.name,
        "postal_address": own.postal_address,
        "country_code": own.country_code,
        "identifier": own.identifier,
    }


def today() -> str:
    """The day in the zone of the trade here, as forms take it."""
    return current_context().now().astimezone(TRADE_ZONE).date().isoformat()
