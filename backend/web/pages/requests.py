"""What merchants submitted to issuers: the list for both, and the issuer's page to sign a request or send it back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from pydantic.alias_generators import to_snake

from backend.domain.errors import Conflict, Invalid, NotFound, StaleVersion, TraceabilityError
from backend.domain.kinds import CERTIFIED, ISSUERS, KINDS, Kind, certified_by
from backend.domain.ledger import DocumentStatus
from backend.domain.parties import Organisation, Role
from backend.domain.records import ConfirmationRequest, RecordOnFile, RequestState
from backend.messages.catalogue import say
from backend.services import issuance
from backend.services.accreditation import signer_terms
from backend.store.unit_of_work import UnitOfWork
from backend.web.context import current_context, language, only, person
from backend.web.forms.base import filled_in
from backend.web.forms.documents import next_number, receive, results_in
from backend.web.forms.record_forms import form_for, issuing_form, number_form, order_form
from backend.web.pages import blueprint, version_read
from backend.web.pages.declarations import time_cell
from backend.web.pages.records import file_named
from backend.web.pages.statements import offer_blank_rows, refused_files, usual_start
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import goods_asked_about, kind_name, name_of, number_of, request_state
from backend.web.public.downloads import MOST_ROWS, table_file

PAGE = 50
LOOKED_AT = 20
"""How many of the latest records are tried until one can be read."""


@blueprint.get("/requests")
@only(Role.MERCHANT, *ISSUERS)
def requests() -> str:
    """List an issuer's or a merchant's requests in one state, at first those that wait for the reader."""
    own = person().organisation
    is_merchant = own.role is Role.MERCHANT
    usual = RequestState.SENT_BACK if is_merchant else RequestState.WAITING
    asked_for = request.args.get("state", usual.value)
    state = RequestState(asked_for) if asked_for in set(RequestState) else None
    with current_context().work(reading=True) as work:
        found = work.requests.search(own, state, PAGE, request.args.get("after"))
        counts = {one: work.requests.count(own, one) for one in RequestState if one.is_open}
    return render_template(
        "pages/requests.html",
        requests=found,
        counts=counts,
        page=PAGE,
        state=state,
        states=sorted(RequestState, key=lambda one: one is not usual),
        is_merchant=is_merchant,
        may_sign=not is_merchant and any(can_be_confirmed(one) for one in found),
    )


def can_be_confirmed(asked: ConfirmationRequest) -> bool:
    """Tell whether a request is a statement that waits for its issuer's signature."""
    return asked.state is RequestState.WAITING and asked.statement is not None


@blueprint.get("/requests.<any('csv', 'xlsx'):form>")
@only(Role.MERCHANT, *ISSUERS)
def requests_file(form: str) -> Response:
    """Download the list of requests as a table."""
    own, asked_for = person().organisation, request.args.get("state", "")
    state = RequestState(asked_for) if asked_for in set(RequestState) else None
    is_merchant = own.role is Role.MERCHANT
    with current_context().work(reading=True) as work:
        rows = [
            (
                kind_name(one.kind),
                goods_asked_about(one),
                name_of(one.issuer if is_merchant else one.merchant),
                request_state(one.state, not is_merchant).word,
                time_cell(one.made_at),
                one.reason or "",
            )
            for one in work.requests.search(own, state, MOST_ROWS)
        ]
    party = _("Issuer") if is_merchant else _("Merchant")
    return table_file(form, "requests", (_("Paper"), _("Goods"), party, _("Status"), _("Date"), _("Reason")), rows)


@blueprint.get("/requests/<request_id>")
@only(Role.MERCHANT, *ISSUERS)
def confirmation_request(request_id: str) -> str:
    """Show a request to its two sides; to the issuer with the next number and the last confirmation's values."""
    return _page(request_id, {}, {})


@blueprint.post("/requests/<request_id>/messages")
@only(Role.MERCHANT, *ISSUERS)
def write_message(request_id: str) -> ResponseReturnValue:
    """Ask or answer in the request's thread."""
    try:
        issuance.write_message(current_context(), person(), request_id, request.form.get("text", ""))
    except Invalid as error:
        return _page(request_id, request.form, _faults(error)), 422
    flash(_("Sent. The other side sees it with the request."))
    return redirect(url_for("pages.confirmation_request", request_id=request_id, _anchor="thread"))


@blueprint.get("/requests/<request_id>/files/<sha256>")
@only(Role.MERCHANT, *ISSUERS)
def ordered_file(request_id: str, sha256: str) -> Response:
    """Download a file of an order, for its two sides. A statement's files are downloaded with its record."""
    with current_context().work(reading=True) as work:
        found = issuance.request_of(work, person(), request_id)
    return file_named(found.order or {}, sha256)


@blueprint.route("/requests/<request_id>/record", methods=["GET", "POST"])
@only(*ISSUERS)
def state_ordered(request_id: str) -> ResponseReturnValue:
    """Let the issuer state and sign what was ordered, such as a laboratory's report with its results."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = issuance.request_of(work, person(), request_id)
        if found.statement is not None:
            abort(404)
        if found.state is not RequestState.WAITING:
            raise Conflict("this request was answered already", state=found.state.value)
        start = _first_values(work, found)
    kind = found.kind
    form = issuing_form(kind)(data=start)
    attachments: list[dict[str, Any]] = []
    refused: list[str] = []
    if request.method == "POST":
        attachments, refused = receive(ctx)
        try:
            if table := _table_sent():
                # Rows are shown before anything is signed: a column may have been taken for another one.
                form = issuing_form(kind)(
                    formdata=None, data={**filled_in(form.document), "results": results_in(table)}
                )
                flash(_("The table is read. Look at the lines, then sign."))
            elif not refused:
                number = str(form.document.get(KINDS[kind].number_field, ""))
                fields = form.document | ({"attachments": attachments} if attachments else {})
                signed = issuance.confirm(ctx, person(), request_id, number, fields)
                flash(_("Signed. The merchant sees it now."))
                return redirect(url_for("pages.record", record_id=signed.id))
        except Invalid as error:
            form.show(error.problems)
        except Conflict as error:
            form.show([(KINDS[kind].number_field, _taken(error))])
    offer_blank_rows(form)
    page = render_template(
        "pages/record_form.html",
        title=kind_name(kind),
        form=form,
        ordered=found,
        attachments=attachments,
        refused=refused_files(refused),
    )
    return page, 422 if form.has_faults or refused else 200


def _first_values(work: UnitOfWork, found: ConfirmationRequest) -> dict[str, Any]:
    """Return the first values of the issuer's form: what the order says, the next number, the issuer's own fields."""
    own = _start(work, found.issuer, found)
    number = {KINDS[found.kind].number_field: own.pop("number")}
    return usual_start(found.kind) | filled_in({**issuance.taken_over(found), **own, **number})


def _table_sent() -> bytes | None:
    upload = request.files.get("table")
    return upload.read() if upload is not None and upload.filename else None


@blueprint.post("/requests/<request_id>/confirm")
@only(*ISSUERS)
def confirm(request_id: str) -> ResponseReturnValue:
    """Sign the statement under the issuer's own number."""
    typed = {name: request.form.get(name, "").strip() for name in _own_fields(person().role)}
    changes = {name: value for name, value in typed.items() if value}
    try:
        signed = issuance.confirm(
            current_context(), person(), request_id, request.form.get("number", "").strip(), changes
        )
    except Invalid as error:
        return _page(request_id, request.form, _faults(error)), 422
    except Conflict as error:
        return _page(request_id, request.form, {"number": _taken(error)}), 409
    flash(_("Signed. The merchant sees it now."))
    return redirect(url_for("pages.record", record_id=signed.id))


def _taken(error: Conflict) -> str:
    """Return what is told beside a number that the issuer gave before, as it can be changed on the form.

    Other conflicts, such as a key that gives way, have an answer of their own and are raised again.
    """
    if "number" not in error.values:
        raise error
    return str(_("You gave this number before. Choose another."))


@blueprint.post("/requests/sign")
@only(*ISSUERS)
def sign_requests() -> str:
    """Sign the chosen statements, each under the next number, and tell of each what became of it."""
    outcomes = [_signed(request_id) for request_id in dict.fromkeys(request.form.getlist("request"))][:PAGE]
    return render_template("pages/requests_signed.html", outcomes=outcomes)


def _signed(request_id: str) -> dict[str, Any]:
    """Confirm one request as its own page proposes; what is refused leaves it as it was, and the others alone."""
    ctx, own = current_context(), person().organisation
    try:
        with ctx.work(reading=True) as work:
            found = issuance.request_of(work, person(), request_id)
            if found.issuer.id != own.id or found.statement is None:
                raise NotFound("no such request", id=request_id)
            start = _start(work, own, found)
    except NotFound as error:
        return {"request": None, "refused": [(None, say(error, language()))]}
    number = start.pop("number")
    changes = {name: value for name, value in start.items() if value}
    try:
        signed = issuance.confirm(ctx, person(), request_id, number, changes)
    except Invalid as error:
        problems = error.problems or [("", error.message)]
        return {"request": found, "refused": [(where or None, in_words(message)) for where, message in problems]}
    except TraceabilityError as error:
        return {"request": found, "refused": [(None, say(error, language()))]}
    return {"request": found, "signed": signed}


@blueprint.post("/requests/<request_id>/send-back")
@only(*ISSUERS)
def send_back(request_id: str) -> ResponseReturnValue:
    """Return the statement to the merchant with the reason and the marked fields."""
    reason, doubtful = request.form.get("reason", ""), request.form.getlist("fields")
    try:
        issuance.send_back(current_context(), person(), request_id, reason, doubtful)
    except Invalid as error:
        return _page(request_id, request.form, _faults(error)), 422
    flash(_("Sent back. The merchant reads your reason and can correct it."))
    return redirect(url_for("pages.requests"))


def _faults(error: Invalid) -> dict[str, str]:
    numbers = {KINDS[kind].number_field for kind in CERTIFIED}
    return {"number" if where in numbers else where: in_words(message) for where, message in error.problems}


def _own_fields(role: Role) -> list[str]:
    """List the fields that an issuer of this role adds when it confirms."""
    found = (KINDS[kind].certification for kind in sorted(certified_by(role)))
    return [name for certification in found if certification for name in certification.set_by_issuer]


def _page(request_id: str, typed: Any, faults: dict[str, str]) -> str:
    ctx, own = current_context(), person().organisation
    with ctx.work(reading=True) as work:
        found = issuance.request_of(work, person(), request_id)
        is_merchant = found.issuer.id != own.id
        start = {**({} if is_merchant else _start(work, own, found)), **typed}
        messages = work.requests.messages(found)
        changes = issuance.changes_since_return(work, found)
    kind = found.kind
    checks: list[issuance.SigningCheck] = []
    if not is_merchant and can_be_confirmed(found):
        typed_own = {name: start[name] for name in _own_fields(found.issuer.role) if start.get(name)}
        fields = {**found.readable_fields, **typed_own, KINDS[kind].number_field: start.get("number", "")}
        checks = _checks(found.issuer, kind, fields, found.statement)
    layout = (order_form(kind) if found.statement is None else None) or form_for(kind)
    return render_template(
        "pages/request.html",
        request_made=found,
        record=found.statement,
        fields=found.readable_fields or None,
        is_ordered=found.statement is None,
        start=start,
        number_field=KINDS[kind].number_field,
        own_fields=_own_fields(own.role),
        faults=faults,
        is_waiting=found.state is RequestState.WAITING,
        is_merchant=is_merchant,
        messages=messages,
        may_write=issuance.is_open_for_messages(found),
        changes=changes,
        checks=checks,
        can_sign=not any(one.problems for one in checks if one.subject not in MENDED_HERE),
        markable=[name for group in layout.layout.groups for name in group.fields],
        marked=request.form.getlist("fields"),
    )


@blueprint.route("/records/<record_id>/amend", methods=["GET", "POST"])
@only(*ISSUERS)
def amend(record_id: str) -> ResponseReturnValue:
    """Let the issuer sign a record that takes the place of one of its own, with other content."""
    return _replacing(record_id, is_whole=True)


@blueprint.route("/records/<record_id>/reissue", methods=["GET", "POST"])
@only(*ISSUERS)
def reissue(record_id: str) -> ResponseReturnValue:
    """Let the issuer sign the same content again under a new number."""
    return _replacing(record_id, is_whole=False)


def _replacing(record_id: str, is_whole: bool) -> ResponseReturnValue:
    ctx, own = current_context(), person().organisation
    with ctx.work(reading=True) as work:
        found = issuance.own_record(work, person(), record_id)
        number = _next_number(work, own, found.kind, ctx.now(), _last_signed(work, own, found.kind))
    if not issuance.is_replaceable(found):
        raise Conflict("this record is not in force", status=DocumentStatus(found.status).name)
    before, name = found.fields, KINDS[found.kind].number_field
    form_class = issuing_form(found.kind) if is_whole else number_form(found.kind)
    form = form_class(data=filled_in({**before, name: number}))
    attachments = before.get("attachments", [])
    refused: list[str] = []
    reason, reason_fault, stale = request.form.get("reason", ""), None, False
    if request.method == "POST":
        try:
            if is_whole:
                attachments, refused = receive(ctx)
                attachments = _handed_on(before, attachments) + attachments
                # What the form has no place for, as a program stated it, stays.
                kept = {one: value for one, value in before.items() if not form.has_place_for(one)}
                fields = {**kept, **form.document, "attachments": attachments}
                if not refused:
                    return _replaced(issuance.amend(ctx, person(), record_id, fields, reason, version_read()))
            else:
                given = str(form.document.get(name, ""))
                return _replaced(issuance.reissue(ctx, person(), record_id, given, reason, version_read()))
        except StaleVersion:
            stale = True
        except Invalid as error:
            form.show([(where, message) for where, message in error.problems if where != "reason"])
            reason_fault = next((in_words(message) for where, message in error.problems if where == "reason"), None)
        except Conflict as error:
            form.show([(name, _taken(error))])
    held = {**before, **(form.document if is_whole else {}), name: form[to_snake(name)].data}
    offer_blank_rows(form)
    page = render_template(
        "pages/record_form.html",
        title=_("Amend %(number)s", number=number_of(found))
        if is_whole
        else _("Reissue %(number)s", number=number_of(found)),
        form=form,
        replaces=found,
        is_whole=is_whole,
        checks=_checks(found.issuer, found.kind, held, found, counts_on=found),
        attachments=attachments,
        reason=reason,
        reason_fault=reason_fault,
        is_stale=stale,
        refused=refused_files(refused),
    )
    return page, 412 if stale else 422 if form.has_faults or refused or reason_fault else 200


def _checks(
    issuer: Organisation,
    kind: Kind,
    fields: dict[str, Any],
    supersedes: RecordOnFile | None,
    counts_on: RecordOnFile | None = None,
) -> list[issuance.SigningCheck]:
    """Return what signing would refuse of these fields; where a certificate's account goes on, of its quantity too.

    The ledger is asked what the issuer may sign before the unit of work, as it may be slow.
    """
    ctx = current_context()
    terms = signer_terms(ctx, issuer)
    with ctx.work(reading=True) as work:
        balance = issuance.balance_of(ctx, work, counts_on) if counts_on is not None else None
        own = work.organisations.get(issuer.id)
        return issuance.check_before_signing(ctx, work, terms, own, kind, fields, supersedes, balance)


def _handed_on(before: Mapping[str, Any], received: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the files of the record before that stay ticked and that the reader did not upload, but the merchant."""
    kept = {value.partition("|")[0] for value in request.form.getlist("kept")}
    here = {one["sha256"] for one in received}
    return [one for one in before.get("attachments", []) if one["sha256"] in kept - here]


def _replaced(signed: RecordOnFile) -> ResponseReturnValue:
    flash(_("Signed. It takes the place of the one before, for whoever checks that one too."))
    return redirect(url_for("pages.record", record_id=signed.id))


MENDED_HERE = ("number",)
"""Checks whose refusal the issuer can put right on the form for signing itself."""


def _start(work: UnitOfWork, own: Organisation, found: ConfirmationRequest) -> dict[str, str]:
    """Return the form's first values: the next number, and the issuer's fields of the last record."""
    kind = found.kind
    certification = KINDS[kind].certification
    assert certification is not None  # only such kinds are submitted to an issuer
    last, stated = _last_signed(work, own, kind), found.readable_fields
    own_values = {name: stated.get(name) or last.get(name) or "" for name in certification.set_by_issuer}
    return {"number": _next_number(work, own, kind, found.made_at, last), **own_values}


def _next_number(work: UnitOfWork, own: Organisation, kind: Kind, moment: datetime, last: Mapping[str, Any]) -> str:
    """Propose the number after that of the last record, or the first of the year; the unique key decides."""
    certification = KINDS[kind].certification
    assert certification is not None
    first = f"{certification.number_stem}{moment:%Y}-000001"
    before = last.get(KINDS[kind].number_field)
    return next_number(before, first, lambda number: work.records.number_is_taken(own, kind, number))


def _last_signed(work: UnitOfWork, own: Organisation, kind: Kind) -> dict[str, Any]:
    """Return what the issuer's newest readable record of a kind says; nothing where there is none."""
    fields = (record.readable_fields for record in work.records.of(own, [kind], LOOKED_AT))
    return next(filter(None, fields), {})
