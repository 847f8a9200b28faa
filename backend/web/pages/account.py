"""Sign-in and sign-out, the choice of language, and the authority's pages about keys."""

from datetime import datetime, timedelta

from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from backend.domain.errors import Conflict, Invalid
from backend.domain.parties import Role
from backend.services import keys, organisations
from backend.web.context import COOKIE, SignedIn, current_context, instance, only, person
from backend.web.pages import blueprint
from backend.web.pages.declarations import TRADE_ZONE, in_trade_zone
from backend.web.presentation.field_names import in_words
from backend.web.presentation.languages import languages

ONE_YEAR = 365 * 24 * 3600
"""Seconds."""


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Sign a person in. Wrong address and wrong password get the same answer, so that addresses cannot be probed."""
    if current_user.is_authenticated:
        return redirect(url_for("pages.home"))
    email, onward = request.form.get("email", ""), request.args.get("next", "")
    if request.method == "GET":
        return render_template("pages/sign_in.html", email=email)
    person = organisations.sign_in(current_context(), email, request.form.get("password", ""))
    if person is None:
        wrong = _("E-mail address or password is not right. Please try again.")
        return render_template("pages/sign_in.html", email=email, wrong=wrong), 401
    # The session is emptied before somebody is signed in to it: one that was planted must not be taken over (session
    # fixation).
    session.clear()
    login_user(SignedIn(person))
    return redirect(local_path(onward))


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Sign out and empty the session."""
    logout_user()
    session.clear()
    flash(_("You are signed out."))
    return redirect(url_for("pages.home"))


@blueprint.post("/language")
def choose_language() -> ResponseReturnValue:
    """Store the language in a cookie, and return to the page."""
    answer = redirect(local_path(request.form.get("back", "")))
    chosen = request.form.get("language", "")
    if chosen in languages():
        secure, path = instance().secure_cookies, request.script_root or "/"
        answer.set_cookie(COOKIE, chosen, max_age=ONE_YEAR, path=path, samesite="Lax", httponly=True, secure=secure)
    return answer


def local_path(path: str) -> str:
    r"""Return the path if it leads to a page of this server, else the start page.

    Paths like ``//host`` or ``/\\host`` lead browsers to another site (open redirect).
    """
    harmless = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if harmless else url_for("pages.home")


USUALLY = timedelta(days=1)


@blueprint.post("/accreditations/<organisation_id>/new-key")
@only(Role.AUTHORITY)
def new_key(organisation_id: str) -> ResponseReturnValue:
    """Replace an organisation's signing key by a new one."""
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
    """Show what a key signed since a time, and stop the key if the form asks for it."""
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
