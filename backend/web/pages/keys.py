"""The authority's pages about signing keys: give a new one, stop one that is in wrong hands."""

from datetime import datetime, timedelta

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid
from backend.domain.parties import Role
from backend.services import keys
from backend.web.auth import only, person
from backend.web.context import current_context
from backend.web.pages import blueprint
from backend.web.pages.declarations import TRADE_ZONE, in_trade_zone
from backend.web.presentation.languages import in_words

USUALLY = timedelta(days=1)


@blueprint.post("/accreditations/<organisation_id>/new-key")
@only(Role.AUTHORITY)
def new_key(organisation_id: str) -> ResponseReturnValue:
    """Give an organisation a new key."""
    try:
        made = keys.rotate(current_context(), person(), organisation_id)
    except Conflict:
        flash(_("Its key is being replaced already: look again in a few seconds."), "wrong")
    else:
        flash(_("It signs with the new key.") if made.is_active else _("It signs with the new key within seconds."))
    return redirect(url_for("pages.accreditations"))


@blueprint.route("/keys/<thumbprint>", methods=["GET", "POST"])
@only(Role.AUTHORITY)
def key(thumbprint: str) -> ResponseReturnValue:
    """What a key signed since a moment; stops it where that is asked for."""
    ctx = current_context()
    since, fault = _since(request.values.get("since", ""), ctx.now())
    if request.method == "POST" and fault is None:
        try:
            keys.compromised(ctx, person(), thumbprint, since)
            flash(_("Stopped. The key signs nothing more, and the ledger says so within seconds."))
            return redirect(url_for("pages.key", thumbprint=thumbprint, since=_typed(since)))
        except Invalid as error:
            fault = in_words(error.problems[0][1])
    found = keys.signed_since(ctx, person(), thumbprint, since)
    page = render_template("pages/key.html", found=found, since=_typed(since), fault=fault)
    return page, 422 if fault else 200


def _since(typed: str, now: datetime) -> tuple[datetime, str | None]:
    if not typed:
        return now - USUALLY, None
    try:
        return datetime.fromisoformat(in_trade_zone(typed)), None
    except ValueError:
        return now - USUALLY, _("Give date and time as 2026-03-31 14:05.")


def _typed(moment: datetime) -> str:
    return moment.astimezone(TRADE_ZONE).strftime("%Y-%m-%dT%H:%M")
