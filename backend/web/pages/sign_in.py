"""Signing in and out, and choosing a language."""

from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from backend.services import organisations
from backend.web.auth import SignedIn
from backend.web.context import current_context, instance
from backend.web.pages import blueprint
from backend.web.presentation.languages import COOKIE, languages

ONE_YEAR = 365 * 24 * 3600
"""Seconds."""


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask who it is; a wrong address and a wrong password get the same answer."""
    if current_user.is_authenticated:
        return redirect(url_for("pages.home"))
    email, onward = request.form.get("email", ""), request.args.get("next", "")
    if request.method == "GET":
        return render_template("pages/sign_in.html", email=email)
    person = organisations.sign_in(current_context(), email, request.form.get("password", ""))
    if person is None:
        wrong = _("E-mail address or password is not right. Please try again.")
        return render_template("pages/sign_in.html", email=email, wrong=wrong), 401
    session.clear()
    login_user(SignedIn(person))
    return redirect(local_path(onward))


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Forget who it was."""
    logout_user()
    session.clear()
    flash(_("You are signed out."))
    return redirect(url_for("pages.home"))


@blueprint.post("/language")
def choose_language() -> ResponseReturnValue:
    """Remember the language, and go back to the page."""
    answer = redirect(local_path(request.form.get("back", "")))
    chosen = request.form.get("language", "")
    if chosen in languages():
        secure = instance().secure_cookies
        answer.set_cookie(COOKIE, chosen, max_age=ONE_YEAR, samesite="Lax", httponly=True, secure=secure)
    return answer


def local_path(path: str) -> str:
    """The path, where it leads to a page here; else the start page. Nobody is sent to another site."""
    harmless = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if harmless else url_for("pages.home")
