"""Customs offices on the pages: codes and ledger accounts of each office, and delegations to other offices."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid, LedgerRefused, NotFound, message_of
from backend.domain.parties import PLACES, Role
from backend.domain.verdict import Unknown
from backend.messages.catalogue import say
from backend.services import customs_offices as use_cases
from backend.services.anchoring import requests
from backend.web.context import current_context, language, only, person
from backend.web.pages import blueprint
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import Shown, name_of, said
from backend.web.presentation.languages import TRADE_ZONE


@blueprint.get("/customs-offices")
@only(Role.OFFICER, Role.AUTHORITY)
def customs_offices() -> str:
    """List the codes of all offices, and the delegations that hold now."""
    return _page()


def _page(faults: dict[str, str] | None = None) -> str:
    ctx, actor = current_context(), person()
    offices = use_cases.all_offices(ctx)
    is_authority = actor.role is Role.AUTHORITY
    own = [one.code for one in offices if is_authority or one.organisation.id == actor.organisation.id]
    others = {one.organisation.id: one.organisation for one in offices}
    if not is_authority:
        others.pop(actor.organisation.id, None)
    return render_template(
        "pages/customs_offices.html",
        offices=offices,
        places=PLACES,
        names={
            one.code: said(PLACES[one.code]) if one.code in PLACES else name_of(one.organisation) for one in offices
        },
        own=list(dict.fromkeys(own)),
        others=list(others.values()),
        organisations={one.organisation.id: one.organisation for one in offices}.values(),
        delegations=use_cases.delegations(ctx, actor),
        is_authority=is_authority,
        faults=faults or {},
        typed=request.form,
    )


@blueprint.post("/customs-offices/delegate")
@only(Role.OFFICER, Role.AUTHORITY)
def delegate_office() -> ResponseReturnValue:
    """Delegate a code to another office until the end of a day."""
    office, other = request.form.get("office", ""), request.form.get("organisation", "")
    try:
        until = _end_of_day(request.form.get("until", ""))
        use_cases.delegate(current_context(), person(), office, other, until)
    except Invalid as error:
        return _page({where: in_words(message) for where, message in error.problems}), 422
    except Conflict:
        return _page({"organisation": _("This office serves the code itself. Choose another.")}), 409
    except NotFound:
        return _page({"office": _("Choose an office.")}), 422
    flash(_("Delegated. Its officers see these declarations now."))
    return redirect(url_for("pages.customs_offices"))


def _end_of_day(typed: str) -> datetime:
    try:
        day = datetime.strptime(typed.strip(), "%Y-%m-%d").replace(tzinfo=TRADE_ZONE)
    except ValueError as error:
        raise Invalid("not a date", [("until", "should be a valid date")]) from error
    # The day counts whole, in the zone of the trade, and ``until`` is exclusive.
    return (day + timedelta(days=1)).astimezone(UTC)


@blueprint.post("/customs-offices/delegations/<delegation_id>/end")
@only(Role.OFFICER, Role.AUTHORITY)
def end_delegation(delegation_id: str) -> ResponseReturnValue:
    """End a delegation."""
    try:
        use_cases.end_delegation(current_context(), person(), delegation_id)
    except Conflict:
        flash(_("It has ended already."), "wrong")
    else:
        flash(_("Ended. Its officers see these declarations no more."))
    return redirect(url_for("pages.customs_offices"))


@blueprint.post("/customs-offices/add")
@only(Role.AUTHORITY)
def add_office_code() -> ResponseReturnValue:
    """Let an office serve another code."""
    office, organisation = request.form.get("office_code", ""), request.form.get("organisation", "")
    try:
        use_cases.add_code(current_context(), person(), organisation, office)
    except Invalid as error:
        return _page({"office_code": in_words(error.problems[0][1])}), 422
    except Conflict:
        return _page({"office_code": _("This office serves the code already.")}), 409
    flash(_("Added. Declarations to this code reach the office now."))
    return redirect(url_for("pages.customs_offices"))


@blueprint.get("/ledger-accounts")
@only(Role.AUTHORITY)
def ledger_accounts() -> str:
    """List the accounts that sign for customs offices and for what is anchored, as the ledger knows them."""
    return _accounts_page()


def _accounts_page(fault: str | None = None) -> str:
    accounts = use_cases.ledger_accounts(current_context(), person())
    without = [one for one in accounts if one.address is None]
    return render_template(
        "pages/ledger_accounts.html",
        accounts=[(one, _account_name(one), _account_state(one)) for one in accounts if one.address is not None],
        waiting=[(one, _account_name(one)) for one in without if one.request is not None],
        without=[(one, _account_name(one)) for one in without if one.request is None],
        fault=fault,
    )


def _account_name(one: use_cases.LedgerAccount) -> str:
    if one.name == requests.ANCHORER:
        return str(_("This server, which anchors all records"))
    if one.name in requests.SHARED:
        return str(_("All customs offices without an account of their own"))
    names = [name_of(office) for office in one.offices]
    return " · ".join([one.name, *([said(PLACES[one.name])] if one.name in PLACES else []), *names])


def _account_state(one: use_cases.LedgerAccount) -> Shown:
    if isinstance(one.agent, Unknown) or one.agent is None:
        return Shown(_("Cannot be read at the moment"), "wait")
    if one.agent.successor is not None:
        return Shown(_("Replaced by another account"), "bad")
    return Shown(_("Registered"), "good") if one.agent.roles else Shown(_("Suspended"), "bad")


@blueprint.post("/ledger-accounts/register")
@only(Role.AUTHORITY)
def register_ledger_account() -> ResponseReturnValue:
    """Give an office an account of its own, once that is confirmed: it is for good."""
    code = request.form.get("office", "")
    accounts = use_cases.ledger_accounts(current_context(), person())
    found = next((one for one in accounts if one.name == code and one.address is None), None)
    if found is None:
        return _accounts_page(_("Choose an office.")), HTTPStatus.UNPROCESSABLE_ENTITY
    if request.form.get("sure") != "yes":
        return _confirm(found)
    return _asked(lambda: requests.register_account(current_context(), person(), code))


@blueprint.post("/ledger-accounts/<name>/replace")
@only(Role.AUTHORITY)
def replace_ledger_account(name: str) -> ResponseReturnValue:
    """Let another account take an account's place, once that is confirmed: the old one never acts again."""
    accounts = use_cases.ledger_accounts(current_context(), person())
    found = next((one for one in accounts if one.name == name and one.address is not None), None)
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    if request.form.get("sure") != "yes":
        return _confirm(found)
    return _asked(lambda: requests.move_account(current_context(), person(), name, request.form.get("seen", "")))


def _confirm(one: use_cases.LedgerAccount) -> str:
    return render_template(
        "pages/ledger_account_confirm.html",
        one=one,
        name=_account_name(one),
        needs_money=not current_context().ledger.gives_money,
    )


@blueprint.post("/ledger-accounts/<name>/suspend")
@only(Role.AUTHORITY)
def suspend_ledger_account(name: str) -> ResponseReturnValue:
    """Take an account's role away at once."""
    seen = request.form.get("seen", "")
    return _asked(lambda: requests.suspend_account(current_context(), person(), name, seen))


@blueprint.post("/ledger-accounts/<name>/lift")
@only(Role.AUTHORITY)
def lift_ledger_account(name: str) -> ResponseReturnValue:
    """End an account's suspension."""
    seen = request.form.get("seen", "")
    return _asked(lambda: requests.lift_suspension(current_context(), person(), name, seen))


def _asked(act: Callable[[], object]) -> ResponseReturnValue:
    """Ask for a change of an account, or tell what hinders it."""
    try:
        act()
    except Conflict as error:
        return _accounts_page(say(message_of(error), language())), HTTPStatus.CONFLICT
    except LedgerRefused as error:
        told = _("The ledger does not accept this: %(error)s. Nothing was changed.", error=error.values["error"])
        return _accounts_page(told), HTTPStatus.CONFLICT
    flash(_("Asked for. This page shows when it is on the ledger."))
    return redirect(url_for("pages.ledger_accounts"))
