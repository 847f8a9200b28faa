"""Customs offices on the pages: the codes of each office, and delegations to other offices."""

from datetime import UTC, datetime, timedelta

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.parties import PLACES, Role
from backend.services import customs_offices as use_cases
from backend.web.context import current_context, only, person
from backend.web.pages import blueprint
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import name_of, said
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
