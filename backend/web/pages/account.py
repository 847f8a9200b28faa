"""Signing in and out, a person's own sessions, tokens and password, and choosing a language."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.parties import PASSWORD_LENGTHS, TOKEN_DAYS, Role, TokenScope
from backend.messages.catalogue import say
from backend.services import credentials, keys, organisations
from backend.store.repositories.organisations import token_digest
from backend.web.context import COOKIE, SignedIn, current_context, instance, language, only, person
from backend.web.pages import blueprint
from backend.web.pages.declarations import in_trade_zone
from backend.web.presentation.field_names import in_words
from backend.web.presentation.languages import TRADE_ZONE, languages

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
    login_user(SignedIn(person, credentials.start_session(current_context(), person)))
    return redirect(local_path(onward))


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session here, not in the browser alone: a copy of the cookie opens nothing afterwards."""
    if current_user.is_authenticated:
        credentials.end_session(current_context(), current_user.secret)
    logout_user()
    session.clear()
    flash(_("You are signed out."))
    return redirect(url_for("pages.home"))


@blueprint.get("/account")
@only(*Role)
def account() -> str:
    """A person's sessions, tokens and password."""
    return _account()


def _account(faults: Mapping[str, str] | None = None) -> str:
    ctx, actor = current_context(), person()
    with ctx.work(reading=True) as work:
        sessions, tokens = work.persons.sessions(actor), work.persons.tokens(actor)
    now = ctx.now()
    return render_template(
        "pages/account.html",
        sessions=[one for one in sessions if one.is_valid(now)],
        present=token_digest(current_user.secret),
        tokens=tokens,
        now=now,
        scopes=list(TokenScope),
        days=request.form.get("days", str(TOKEN_DAYS)),
        name=request.form.get("name", ""),
        lengths=PASSWORD_LENGTHS,
        faults=faults or {},
    )


@blueprint.post("/account/password")
@only(*Role)
def change_password() -> ResponseReturnValue:
    """Change it; every other session of this person ends."""
    old, new = request.form.get("old", ""), request.form.get("new", "")
    if new != request.form.get("again", ""):
        return _account({"again": _("The two are not the same.")}), 422
    try:
        credentials.change_password(current_context(), person(), old, new, current_user.secret)
    except Invalid as error:
        return _account(_in_words(error)), 422
    flash(_("Your password is changed. You are signed out everywhere else; your tokens stay."))
    return redirect(url_for("pages.account"))


@blueprint.post("/account/tokens")
@only(*Role)
def new_token() -> ResponseReturnValue:
    """Make a token, and show it this once."""
    days, scope = request.form.get("days", ""), request.form.get("scope", "")
    try:
        if scope not in set(TokenScope) or not (days.isascii() and days.isdigit()):
            raise Invalid("scope or days is wrong", [("days", "must be 1 to 730")])
        made = credentials.new_token(
            current_context(), person(), request.form.get("name", ""), TokenScope(scope), int(days[:6])
        )
    except Invalid as error:
        return _account(_in_words(error)), 422
    except Conflict as error:
        return _account({"name": say(error, language())}), 409
    token, secret = made
    return render_template("pages/token_made.html", token=token, secret=secret)


def _in_words(error: Invalid) -> dict[str, str]:
    return {where: in_words(fault) for where, fault in error.problems}


@blueprint.post("/account/tokens/<token_id>/revocation")
@only(*Role)
def revoke_token(token_id: str) -> ResponseReturnValue:
    """Make a token of one's own worthless."""
    try:
        credentials.revoke_token(current_context(), token_id, owner=person())
    except NotFound:
        abort(404)
    flash(_("The token is revoked."))
    return redirect(url_for("pages.account"))


@blueprint.post("/account/sessions/<session_id>/end")
@only(*Role)
def end_session(session_id: str) -> ResponseReturnValue:
    """End a session of one's own, as on a computer that one has lost."""
    try:
        credentials.end_own_session(current_context(), person(), session_id)
    except NotFound:
        abort(404)
    flash(_("The session is ended."))
    return redirect(url_for("pages.account"))


@blueprint.post("/account/sessions/end-others")
@only(*Role)
def end_other_sessions() -> ResponseReturnValue:
    """End all sessions of one's own but the one at hand."""
    credentials.end_other_sessions(current_context(), person(), current_user.secret)
    flash(_("You are signed out everywhere else."))
    return redirect(url_for("pages.account"))


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
