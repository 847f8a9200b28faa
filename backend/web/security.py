"""Headers, tokens against forged forms, and limits on guessing."""

from typing import cast

from flask import Flask, request
from flask.typing import RouteCallable
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_talisman import Talisman
from flask_wtf.csrf import CSRFProtect

from backend.services.files import LARGEST
from backend.web.public import rpc

CONTENT_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
LARGEST_BODY = LARGEST + 512 * 1024
"""A form with its file, in bytes."""
LARGEST_FORM_PART = 1024 * 1024


def install_security(app: Flask, *, secure_cookies: bool) -> None:
    """Protect every page and answer."""
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_FORM_PART,
        MAX_FORM_PARTS=2000,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=secure_cookies,
        WTF_CSRF_TIME_LIMIT=12 * 3600,
        RATELIMIT_STORAGE_URI="memory://",
        RATELIMIT_HEADERS_ENABLED=True,
    )
    Talisman(
        app,
        force_https=False,  # the operator's proxy ends TLS; SECURE_COOKIES=1 says that there is one
        session_cookie_secure=secure_cookies,
        strict_transport_security=secure_cookies,
        content_security_policy=CONTENT_POLICY,
        frame_options="DENY",
        referrer_policy="same-origin",
    )
    csrf = CSRFProtect(app)
    if "api" in app.blueprints:
        csrf.exempt(app.blueprints["api"])  # it knows no cookies: only bearer tokens count there
    if "rpc" in app.blueprints:
        csrf.exempt(app.blueprints["rpc"])  # nor does the read-only chain
    _limit_guessing(app)


def _limit_guessing(app: Flask) -> None:
    """Ten tries a minute at one account from one address; a stranger elsewhere cannot lock its owner out."""
    limiter = Limiter(get_remote_address, app=app)
    sign_in = app.view_functions["pages.sign_in"]
    by_account = limiter.limit("10 per minute", key_func=_address_and_account, methods=["POST"])
    by_address = limiter.limit("60 per minute", methods=["POST"])
    app.view_functions["pages.sign_in"] = cast(RouteCallable, by_address(by_account(sign_in)))
    if "rpc.rpc" in app.view_functions:
        slowed = limiter.limit(rpc.RATE)(app.view_functions["rpc.rpc"])
        app.view_functions["rpc.rpc"] = cast(RouteCallable, slowed)


def _address_and_account() -> str:
    return f"{get_remote_address()} {request.form.get('email', '').strip().lower()}"
