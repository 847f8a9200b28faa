"""A merchant's pages: state what an issuer is to certify, submit it, and correct what was sent back."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from flask import Response, abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from pydantic.alias_generators import to_snake
from wtforms import FieldList

from backend.domain.errors import Conflict, Invalid, NotFound, StaleVersion
from backend.domain.kinds import BY_SLUG, CERTIFIED, ISSUERS, KINDS, Kind
from backend.domain.parties import Role
from backend.domain.records import ConfirmationRequest, Product, RequestMessage, RequestState, document_of, order_of
from backend.services import products as use_cases
from backend.services.accreditation import those_who_may_issue
from backend.services.records import visible_record
from backend.services.statements import issue_statement, order, withdraw_request
from backend.services.verification import evaluated
from backend.web.context import current_context, only, person
from backend.web.forms.base import Problems, add_blank_rows, filled_in
from backend.web.forms.documents import ProductForm, receive
from backend.web.forms.record_forms import RecordForm, form_for, order_form
from backend.web.pages import blueprint, version_read
from backend.web.pages.declarations import in_trade_zone
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import heading_text, kind_name, name_of
from backend.web.presentation.languages import TRADE_ZONE
from backend.web.public.downloads import MOST_ROWS, table_file

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
    if copied := request.args.get("copy"):
        filled |= _copied(copied, kind)
    elif product.consignee and "consignee" in KINDS[kind].every_field:
        filled["consignee"] = filled_in(product.consignee)
    return _state(kind, usual_start(kind) | filled, product)


def _copied(record_id: str, kind: Kind) -> dict[str, Any]:
    """Return what an earlier paper of the merchant's says, as first values of a form for another one."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = visible_record(ctx, work, person(), record_id)
    if found.kind is not kind:
        raise NotFound("no such record", id=record_id)
    # Its number and days are those of the earlier paper; what the issuer adds, it adds anew.
    left_out = {KINDS[kind].number_field, "issueDate", "validUntil"}
    return filled_in({name: value for name, value in found.readable_fields.items() if name not in left_out})


@blueprint.route("/requests/<request_id>/correct", methods=["GET", "POST"])
@only(Role.MERCHANT)
def correct_request(request_id: str) -> ResponseReturnValue:
    """Correct a statement that was sent back, with its values filled in."""
    with current_context().work(reading=True) as work:
        found = work.requests.get(request_id)
    if found.merchant.id != person().organisation.id:
        raise NotFound("no such request", id=request_id)
    statement = found.statement
    is_there = (statement is None or statement.superseded_by_id is None) and not found.is_erased
    if found.state is not RequestState.SENT_BACK or not is_there:
        raise Conflict("only a request that was sent back can be corrected", state=found.state.value)
    start = {**filled_in(found.readable_fields), "issuer": found.issuer.id}
    return _state(found.kind, start, statement.product if statement is not None else found.product, found)


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
    ordering = order_form(kind) if sent_back is None or sent_back.statement is None else None
    form = (ordering or form_for(kind))(data=start)
    form.issuer.offer(_issuers(kind))
    messages: Sequence[RequestMessage] = ()
    if sent_back is not None:
        with ctx.work(reading=True) as work:
            messages = work.requests.messages(sent_back)
        form.mark(next((one.doubtful for one in reversed(messages) if one.doubtful is not None), []))
    before = sent_back.readable_fields if sent_back else {}
    attachments = before.get("attachments", [])
    if request.method == "POST":
        attachments, refused = receive(ctx)
        # What an import or a program stated and the form has no place for stays: a correction must not lose it.
        kept = {name: value for name, value in before.items() if name != "attachments" and not form.has_place_for(name)}
        stated = with_weight(kind, with_zones(form.document), product)
        fields = {**kept, **stated, **({"attachments": attachments} if attachments else {})}
        links = (form.issuer.data or "", product.id if product else None, sent_back.id if sent_back else None)
        try:
            if refused:
                (order_of if ordering else document_of)(kind, fields)
            elif ordering:
                asked = order(ctx, person(), kind, fields, *links)
                flash(_("Sent. The issuer tests the goods and enters the results itself."))
                return redirect(url_for("pages.confirmation_request", request_id=asked.id))
            else:
                made = issue_statement(ctx, person(), kind, fields, *links)
                flash(_("Signed and sent."))
                return redirect(url_for("pages.record", record_id=made.id))
        except Invalid as error:
            form.show(_in_form(kind, error.problems))
    else:
        refused = []
    offer_blank_rows(form)
    page = render_template(
        "pages/record_form.html",
        title=_title(kind, sent_back is not None, ordering is not None),
        ordering=ordering is not None,
        form=form,
        product=product,
        sent_back=sent_back,
        messages=messages,
        attachments=attachments,
        refused=refused_files(refused),
    )
    return page, 422 if form.has_faults or refused else 200


def _title(kind: Kind, is_correction: bool, is_order: bool) -> str:
    name = kind_name(kind, inside=True)
    titles = {
        (True, True): _("Correct the request: %(kind)s", kind=name),
        (True, False): _("Request: %(kind)s", kind=name),
        (False, True): _("Correct the %(kind)s", kind=name),
        (False, False): _("New %(kind)s", kind=name),
    }
    return str(titles[is_order, is_correction])


def _in_form(kind: Kind, problems: Problems) -> Problems:
    """Leave out faults of the number, which the issuer gives and the merchant cannot fix."""
    return [(path, message) for path, message in problems if path != KINDS[kind].number_field]


def _issuers(kind: Kind) -> list[tuple[str, str]]:
    """List who may issue this kind, as (id, name). Those who cannot sign now come last and are marked."""
    return [
        (one.id, name_of(one) if is_able else _("%(name)s (cannot sign at present)", name=name_of(one)))
        for one, is_able in those_who_may_issue(current_context(), kind)
    ]


def _product(product_id: str) -> Product:
    with current_context().work(reading=True) as work:
        return work.products.get(product_id, person().organisation)


def usual_start(kind: Kind) -> dict[str, Any]:
    """Return the first values of a form of this kind: the merchant as the party that it is, and today's date."""
    stated = KINDS[kind]
    days = {to_snake(name): today() for name in ("issueDate", "orderDate") if name in stated.every_field}
    return days | ({to_snake(stated.merchant_field): own_party()} if stated.merchant_field else {})


def refused_files(faults: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names of files that were refused (``receive``), each with the reason in the reader's language."""
    return [(name, in_words(message)) for name, _bar, message in (fault.partition("|") for fault in faults)]


def offer_blank_rows(form: RecordForm) -> None:
    """Add blank rows to each list, for browsers without scripts."""
    for rows in form:
        if isinstance(rows, FieldList):
            add_blank_rows(rows, max(BLANK_ROWS, len(rows.entries)))


def with_zones(fields: dict[str, Any]) -> dict[str, Any]:
    """Add the zone of the trade to times that lack one."""
    return {name: in_trade_zone(value) if name.endswith("DateTime") else value for name, value in fields.items()}


def with_weight(kind: Kind, fields: dict[str, Any], product: Product | None) -> dict[str, Any]:
    """Add the gross weight that was left empty, where the product tells what one unit weighs."""
    is_open = "grossWeightMeasure" in KINDS[kind].every_field and "grossWeightMeasure" not in fields
    if not is_open or product is None or product.gross_weight is None or fields.get("unitCode") != product.unit_code:
        return fields
    with suppress(ArithmeticError):
        weight = Decimal(str(fields.get("quantity"))) * Decimal(product.gross_weight)
        if weight.is_finite() and weight > 0:
            return fields | {"grossWeightMeasure": f"{weight.quantize(Decimal('0.001')).normalize():f}"}
    return fields


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
LONGEST_QUESTION = 100
"""Characters of what is looked for."""


@blueprint.get("/products")
@only(Role.MERCHANT)
def products() -> str:
    """List the merchant's products: those in use, or all."""
    all_of_them = "retired" in request.args
    with current_context().work(reading=True) as work:
        own = work.products.of(person().organisation, PAGE, request.args.get("after"), in_use=not all_of_them)
    return render_template("pages/products.html", products=own, page=PAGE, all_of_them=all_of_them)


@blueprint.get("/products.<any('csv', 'xlsx'):form>")
@only(Role.MERCHANT)
def products_file(form: str) -> Response:
    """Download the list of products as a table."""
    in_use = "retired" not in request.args
    with current_context().work(reading=True) as work:
        own = work.products.of(person().organisation, MOST_ROWS, in_use=in_use)
    rows = [
        (p.name, p.local_name or "", p.model or "", p.hs_code, p.unit_code, p.origin_country, p.gtin or "") for p in own
    ]
    names = (
        _("Name in English"),
        _("Name in Chinese"),
        _("Model or article number"),
        _("HS code"),
        _("Unit"),
        _("Made in"),
        _("GTIN (bar code)"),
    )
    return table_file(form, "products", names, rows)


@blueprint.route("/products/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_product() -> ResponseReturnValue:
    """Add a product, as a copy of another one if that is named."""
    start = {"hs_code": request.args.get("hs_code")} if request.args.get("hs_code") else {}
    if copied := request.args.get("copy"):
        start = _start_of(_product(copied), but=("model", "gtin"))
    form = ProductForm(data=start)
    if request.method == "POST":
        try:
            made = use_cases.add_product(current_context(), person(), form.document)
        except (Invalid, use_cases.ProductTwin) as error:
            return _product_form(form, error)
        flash(_("The product is saved. Next: state its certificate of origin."))
        return redirect(url_for("pages.product", product_id=made.id))
    return _product_form(form)


@blueprint.route("/products/<product_id>/edit", methods=["GET", "POST"])
@only(Role.MERCHANT)
def edit_product(product_id: str) -> ResponseReturnValue:
    """Change what is said of a product."""
    found = _product(product_id)
    form = ProductForm(data=_start_of(found))
    if request.method == "POST":
        try:
            use_cases.change_product(current_context(), person(), product_id, form.document, version_read())
        except (Invalid, use_cases.ProductTwin) as error:
            return _product_form(form, error, found)
        except StaleVersion:
            return _product_form(form, None, _product(product_id), is_stale=True)
        flash(_("Saved. Papers that are signed already keep what they say."))
        return redirect(url_for("pages.product", product_id=product_id))
    return _product_form(form, None, found)


def _start_of(product: Product, but: tuple[str, ...] = ()) -> dict[str, Any]:
    names = [name for name in use_cases.ProductFields.model_fields if name not in but]
    return {name: filled_in(value) if isinstance(value := getattr(product, name), dict) else value for name in names}


def _product_form(
    form: ProductForm,
    error: Invalid | use_cases.ProductTwin | None = None,
    product: Product | None = None,
    is_stale: bool = False,
) -> ResponseReturnValue:
    twin = None
    if isinstance(error, Invalid):
        form.show(error.problems)
    elif error is not None:
        twin = _product(str(error.values["product_id"]))
        form[str(error.values["field"])].errors = [_("Another product of yours in use has it.")]
    typed = str(form.hs_code.data or "")
    suggestions = use_cases.find_headings(current_context(), typed) if form.hs_code.errors and typed else []
    page = render_template(
        "pages/product_new.html", form=form, product=product, twin=twin, suggestions=suggestions, is_stale=is_stale
    )
    status = HTTPStatus.PRECONDITION_FAILED if is_stale else HTTPStatus.UNPROCESSABLE_ENTITY
    return page, status if form.has_faults or is_stale else HTTPStatus.OK


@blueprint.post("/products/<product_id>/retire")
@only(Role.MERCHANT)
def retire_product(product_id: str) -> ResponseReturnValue:
    """Take a product out of use."""
    return _switched(product_id, use_cases.retire_product, _("Retired. Forms offer it no more; its papers stay."))


@blueprint.post("/products/<product_id>/restore")
@only(Role.MERCHANT)
def restore_product(product_id: str) -> ResponseReturnValue:
    """Take a retired product into use again."""
    return _switched(product_id, use_cases.restore_product, _("In use again."))


def _switched(product_id: str, switch: Callable[..., Product], done: str) -> ResponseReturnValue:
    try:
        switch(current_context(), person(), product_id, version_read())
    except StaleVersion:
        flash(_("This product was changed meanwhile. Look at it again, then decide."), "wrong")
    except use_cases.ProductTwin as error:
        flash(_("Another product in use has its model or bar code: %(name)s.", name=error.values["name"]), "wrong")
    else:
        flash(done)
    return redirect(url_for("pages.product", product_id=product_id))


@blueprint.get("/products/<product_id>")
@only(Role.MERCHANT)
def product(product_id: str) -> str:
    """Show a product with its papers."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.products.get(product_id, person().organisation)
        papers = evaluated(ctx, work.records.about(found, PAGE, request.args.get("after")))
    return render_template("pages/product.html", product=found, papers=papers, certified=CERTIFIED, page=PAGE)


@blueprint.get("/hs-codes")
@only(Role.MERCHANT, *ISSUERS)
def hs_codes() -> ResponseReturnValue:
    """Look HS codes up by words in Chinese or English, or by the beginning of a code; as JSON for the form's script."""
    asked = request.args.get("q", "")[:LONGEST_QUESTION]
    found = use_cases.find_headings(current_context(), asked) if asked.strip() else []
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return jsonify([{"code": one.code, "text": heading_text(one)} for one in found])
    return render_template("pages/hs_codes.html", found=found, asked=asked)
