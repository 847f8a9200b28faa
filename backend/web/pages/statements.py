"""A merchant's pages: state what an issuer is to certify, submit it, and correct what was sent back."""

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from pydantic.alias_generators import to_snake
from wtforms import FieldList

from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.kinds import BY_SLUG, CERTIFIED, KINDS, Kind
from backend.domain.parties import Organisation, Role
from backend.domain.records import ConfirmationRequest, Product, RequestState, document_of
from backend.services.statements import add_product, issue_statement, withdraw_request
from backend.services.verification import evaluated
from backend.web.context import current_context, only, person
from backend.web.forms.base import Problems, add_blank_rows, filled_in
from backend.web.forms.documents import ProductForm, receive
from backend.web.forms.record_forms import RecordForm, form_for
from backend.web.pages import blueprint
from backend.web.pages.declarations import TRADE_ZONE, in_trade_zone
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import kind_name, name_of

BLANK_ROWS = 3


@blueprint.route("/products/<product_id>/<slug>/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_statement(product_id: str, slug: str) -> ResponseReturnValue:
    """State for a product what an issuer is to certify."""
    kind = BY_SLUG.get(slug)
    certification = KINDS[kind].certification if kind else None
    if kind is None or certification is None:
        abort(404)
    product = _product(product_id)
    filled = {to_snake(name): getattr(product, own) for own, name in certification.from_product.items()}
    return _state(kind, usual_start(kind) | filled, product)


@blueprint.route("/requests/<request_id>/correct", methods=["GET", "POST"])
@only(Role.MERCHANT)
def correct_request(request_id: str) -> ResponseReturnValue:
    """Correct a statement that was sent back, with its values filled in."""
    with current_context().work(reading=True) as work:
        found = work.requests.get(request_id)
    if found.merchant.id != person().organisation.id:
        raise NotFound("no such request", id=request_id)
    is_there = found.statement.superseded_by_id is None and found.statement.erased_at is None
    if found.state is not RequestState.SENT_BACK or not is_there:
        raise Conflict("only a request that was sent back can be corrected", state=found.state.value)
    start = {**filled_in(found.statement.fields), "issuer": found.issuer.id}
    return _state(found.statement.kind, start, found.statement.product, found)


@blueprint.post("/requests/<request_id>/withdraw")
@only(Role.MERCHANT)
def withdraw_sent_back(request_id: str) -> ResponseReturnValue:
    """Give up a request that was sent back."""
    withdraw_request(current_context(), person(), request_id)
    flash(_("Withdrawn. Nobody confirms this statement any more."))
    return redirect(url_for("pages.requests"))


def _state(
    kind: Kind, start: dict[str, Any], product: Product | None, sent_back: ConfirmationRequest | None = None
) -> ResponseReturnValue:
    ctx = current_context()
    form = form_for(kind)(data=start)
    form.issuer.offer((o.id, name_of(o)) for o in _issuers(kind))
    before = sent_back.statement.fields if sent_back else {}
    attachments = before.get("attachments", [])
    if request.method == "POST":
        attachments, refused = receive(ctx)
        # What an import or a program stated and the form has no place for stays: a correction must not lose it.
        kept = {name: value for name, value in before.items() if name != "attachments" and not form.has_place_for(name)}
        fields = {**kept, **with_zones(form.document), **({"attachments": attachments} if attachments else {})}
        try:
            if refused:
                document_of(kind, fields)
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
            form.show(_in_form(kind, error.problems))
    else:
        refused = []
    offer_blank_rows(form)
    name = kind_name(kind, inside=True)
    page = render_template(
        "pages/record_form.html",
        title=_("Correct the %(kind)s", kind=name) if sent_back else _("New %(kind)s", kind=name),
        form=form,
        product=product,
        sent_back=sent_back,
        attachments=attachments,
        refused=[(name, in_words(message)) for name, _bar, message in (fault.partition("|") for fault in refused)],
    )
    return page, 422 if form.has_faults or refused else 200


def _in_form(kind: Kind, problems: Problems) -> Problems:
    """Leave out faults of the number, which the issuer gives and the merchant cannot fix."""
    return [(path, message) for path, message in problems if path != KINDS[kind].number_field]


def _issuers(kind: Kind) -> list[Organisation]:
    with current_context().work(reading=True) as work:
        return [found for role in sorted(KINDS[kind].signed_by) for found in work.organisations.all(role)]


def _product(product_id: str) -> Product:
    with current_context().work(reading=True) as work:
        return work.products.get(product_id, person().organisation)


def usual_start(kind: Kind) -> dict[str, Any]:
    """Return the first values of a form of this kind: the merchant as the party that it is, and today's date."""
    stated = KINDS[kind]
    days = {to_snake(name): today() for name in ("issueDate", "orderDate") if name in stated.every_field}
    return days | ({to_snake(stated.merchant_field): own_party()} if stated.merchant_field else {})


def offer_blank_rows(form: RecordForm) -> None:
    """Add blank rows to each list, for browsers without scripts."""
    for rows in form:
        if isinstance(rows, FieldList):
            add_blank_rows(rows, max(BLANK_ROWS, len(rows.entries)))


def with_zones(fields: dict[str, Any]) -> dict[str, Any]:
    """Add the zone of the trade to times that lack one."""
    return {name: in_trade_zone(value) if name.endswith("DateTime") else value for name, value in fields.items()}


def own_party() -> dict[str, str | None]:
    """Return the reader's organisation as the fields of a party."""
    own = person().organisation
    return {
        "name": own.name,
        "postal_address": own.postal_address,
        "country_code": own.country_code,
        "identifier": own.identifier,
    }


def today() -> str:
    """Return today's date in the zone of the trade, in the form that date fields take."""
    return current_context().now().astimezone(TRADE_ZONE).date().isoformat()


PAGE = 50


@blueprint.get("/products")
@only(Role.MERCHANT)
def products() -> str:
    """List the merchant's products."""
    with current_context().work(reading=True) as work:
        own = work.products.of(person().organisation, PAGE, request.args.get("after"))
    return render_template("pages/products.html", products=own, page=PAGE)


@blueprint.route("/products/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_product() -> ResponseReturnValue:
    """Add a product."""
    form = ProductForm()
    if request.method == "POST":
        try:
            product = add_product(current_context(), person(), form.document)
        except Invalid as error:
            form.show(error.problems)
            return render_template("pages/product_new.html", form=form), 422
        flash(_("The product is saved. Next: state its certificate of origin."))
        return redirect(url_for("pages.product", product_id=product.id))
    return render_template("pages/product_new.html", form=form)


@blueprint.get("/products/<product_id>")
@only(Role.MERCHANT)
def product(product_id: str) -> str:
    """Show a product with its papers."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.products.get(product_id, person().organisation)
        papers = evaluated(ctx, work.records.about(found, PAGE, request.args.get("after")))
    return render_template("pages/product.html", product=found, papers=papers, certified=CERTIFIED, page=PAGE)
