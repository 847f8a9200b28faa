"""Security of the web application: headers, protection against forged forms, rate limits and limits of bodies."""

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, current_app, g, request
from flask_babel import gettext as _
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_talisman import Talisman
from flask_wtf.csrf import CSRFProtect
from limits.errors import ConfigurationError

from backend.domain.errors import TraceabilityError
from backend.domain.parties import Person
from backend.services.files import LARGEST
from backend.web.api.views import BULK, LARGEST_BULK
from backend.web.api.views import LARGEST_BODY as LARGEST_JSON
from backend.web.context import BodyLimit, bearer, in_kib, sign_in_session
from backend.web.public import rpc

# Scripts and styles come from this server alone, so that injected markup cannot run any (cross-site scripting).
CONTENT_POLICY = {
    "default-src": "'self'",
    # Bootstrap's style sheet draws its signs from data: images.
    "img-src": "'self' data:",
    "object-src": "'none'",
    # These three do not fall back to default-src, which is for fetches: an injected <base> or form would lead
    # elsewhere.
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
LARGEST_BODY = LARGEST + 512 * 1024
"""The largest body in bytes: a form with one file."""
_REDIS = {"socket_timeout": 1, "socket_connect_timeout": 1}
"""Seconds that a request waits for redis before this process counts for itself."""
LARGEST_FORM_PART = 1024 * 1024
LARGEST_OF_STRANGERS = 64 * 1024
"""The largest body, in bytes, of clients that are not signed in. It suffices for every form shown to them."""


class LimitsNotShared(TraceabilityError):
    """Raised when requests cannot be counted together with other processes as set."""

    code = "limits-not-shared"


def install_security(
    app: Flask, *, secure_cookies: bool, address: str = "", rate_limits_url: str | None = None
) -> None:
    """Set cookies, headers, CSRF protection and limits. The path of ``address``, the public one, bounds the cookies.

    ``rate_limits_url`` names a redis database that other processes count in as well.

    Raises:
        LimitsNotShared: The library for redis is not installed.
    """
    app.extensions["address"] = address
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_FORM_PART,
        # Every part costs memory when the form is parsed, so their number is limited.
        MAX_FORM_PARTS=2000,
        # The session is not sent with forms on other sites, and scripts cannot read it.
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=secure_cookies,
        WTF_CSRF_TIME_LIMIT=12 * 3600,
        WTF_CSRF_SSL_STRICT=False,  # the token is the session's own; some strip the Referer that this would ask for
        # In memory they start afresh with the process.
        RATELIMIT_STORAGE_URI=rate_limits_url or "memory://",
        # Where redis does not answer, each process counts for itself meanwhile (decision 0034).
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=rate_limits_url is not None,
        RATELIMIT_STORAGE_OPTIONS={} if rate_limits_url is None else dict(_REDIS),
        # One redis may serve several installations, whose session keys differ.
        RATELIMIT_KEY_PREFIX=sha256(b"rates" + _secret(app)).hexdigest()[:16],
        SESSION_COOKIE_PATH=urlsplit(address).path or "/",
    )
    Talisman(
        app,
        force_https=False,  # the operator's proxy ends TLS, and PUBLIC_URL says that there is one
        session_cookie_secure=secure_cookies,
        strict_transport_security=secure_cookies,
        content_security_policy=CONTENT_POLICY,
        frame_options="DENY",
        referrer_policy="same-origin",
    )
    # A browser adds cookies to a forged request by itself, a bearer token never: only pages need a token in the form.
    csrf = CSRFProtect(app)
    if "api" in app.blueprints:
        csrf.exempt(app.blueprints["api"])  # it knows no cookies: only bearer tokens count there
    if "rpc" in app.blueprints:
        csrf.exempt(app.blueprints["rpc"])  # nor does the read-only chain
    try:
        _limit_rates(app)
    except ConfigurationError as error:
        raise LimitsNotShared(
            "RATE_LIMITS_URL names redis, whose library is not installed here: install provenport[redis]"
        ) from error


def limits_are_shared(app: Flask) -> bool | None:
    """Tell whether redis counts for all processes now. None where each is set to count for itself."""
    if not app.config["RATELIMIT_IN_MEMORY_FALLBACK_ENABLED"]:
        return None
    limiter: Limiter = app.extensions["rates"]
    return bool(limiter.storage.check())


def _secret(app: Flask) -> bytes:
    return app.secret_key if isinstance(app.secret_key, bytes) else str(app.secret_key).encode()


def _limit_rates(app: Flask) -> None:
    """Limit how often public views are asked, for each client by itself.

    Sign-in is limited to ten attempts a minute for each pair of account and address. A limit for the account alone
    would let a stranger lock its owner out.
    """
    limiter = Limiter(_client, app=app)
    by_account = limiter.limit("10 per minute", key_func=_client_and_account, methods=["POST"])
    # A second limit for each address, against guessing one password for many accounts.
    by_address = limiter.limit("60 per minute", methods=["POST"])
    limits = {
        "pages.sign_in": [by_account, by_address],
        "pages.change_password": [limiter.limit("20 per minute", methods=["POST"])],
        "api.post_verify": [
            limiter.limit(_verifications, key_func=_person_or_client),
            limiter.limit(_verified_kib, key_func=_person_or_client, cost=_kib, error_message=_too_many_kib),
        ],
        "rpc.rpc": [limiter.limit(rpc.RATE)],
        "public.label": [limiter.limit("600 per minute")],
        "public.label_bundle": [limiter.limit("120 per minute")],
        "public.label_image": [limiter.limit("120 per minute")],
        "public.badge": [limiter.limit("600 per minute")],
        "public.linked_product": [limiter.limit("120 per minute")],
        "downloads.trust_file": [limiter.limit("120 per minute")],
    }
    bulk = limiter.shared_limit(
        _BULK_RATE, "bulk", key_func=_person_or_client, cost=_kib, error_message=_too_many_bulk_kib
    )
    limits |= {endpoint: [bulk] for endpoint in app.view_functions if endpoint.startswith("api.post_bulk_")}
    for endpoint, decorators in limits.items():
        view: Any = app.view_functions.get(endpoint)
        if view is None:
            continue  # a blueprint that this application does not have
        for decorated in decorators:
            view = decorated(view)
        app.view_functions[endpoint] = view
    app.extensions["rates"] = limiter


def _client() -> str:
    """Return the client's address, for IPv6 its /64 network, since one household has 2^64 addresses."""
    if "tells_rates" not in g:
        g.tells_rates = True
        after_this_request(_tell_rates)
    address = get_remote_address()
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else address


def _client_and_account() -> str:
    # As ``find_by_email`` compares: other capitals are no further ten tries at the same account.
    return f"{_client()} {request.form.get('email', '').strip().lower()}"


def _verifications() -> str:
    return f"{_share(600)} per minute"


def _verified_kib() -> str:
    return f"{_share(8 * 1024)} per minute"


def _share(count: int) -> int:
    """Return a limit, ten times as high for those who send a valid token."""
    return count if _asker() is None else 10 * count


def _kib() -> int:
    """Return what a bundle counts for: a large one is as much work as many small ones."""
    return 1 + (request.content_length or 0) // 1024


def _too_many_kib() -> str:
    return str(_("At most %(most)s of bundles a minute are verified here.", most=in_kib(_share(8 * 1024) * 1024)))


_BULK_KIB = 256 * 1024
_BULK_RATE = f"{_BULK_KIB} per minute"


def _too_many_bulk_kib() -> str:
    return str(_("At most %(most)s of lines a minute are taken in from one person.", most=in_kib(_BULK_KIB * 1024)))


def _person_or_client() -> str:
    # Called in any case: it also has the rates told in the answer.
    client, asker = _client(), _asker()
    return client if asker is None else f"person {asker.id}"


def _asker() -> Person | None:
    if "asker" not in g:
        g.asker = _known_by(request.headers.get("Authorization", ""))
    return cast("Person | None", g.asker)


def _known_by(authorization: str) -> Person | None:
    scheme, token = (*authorization.split(None, 1), "", "")[:2]
    # RFC 9110, section 11.1: the scheme is written in any case.
    found = bearer(token.strip()) if scheme.lower() == "bearer" and token else None
    return None if found is None else found.person


def _tell_rates(response: Response) -> Response:
    """Add the headers RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), and Retry-After."""
    limits = current_app.extensions["rates"].current_limits
    policies, states = [], []
    for number, one in enumerate(limits, 1):
        # Not 0, which would invite the client to ask again while it is still refused.
        seconds = max(1, round(one.reset_at - time.time()))
        policies.append(f'"{number}";q={one.limit.amount};w={one.limit.get_expiry()}')
        states.append(f'"{number}";r={max(0, one.remaining)};t={seconds}')
        if one.breached:
            response.headers["Retry-After"] = str(seconds)
    if policies:
        response.headers["RateLimit-Policy"], response.headers["RateLimit"] = ", ".join(policies), ", ".join(states)
    return response


def body_limits(app: Flask) -> Callable[[str, str, Mapping[str, str]], BodyLimit]:
    """Return the function by which the server decides how much of a body it reads.

    It takes method, path and headers, named as in WSGI without ``HTTP_``, and is asked before any byte of the body is
    kept. Clients that are not signed in may send as much as a form for strangers needs. Who asks is looked up only if
    more is to be sent, since the lookup reads the database.
    """

    def limit(method: str, path: str, headers: Mapping[str, str]) -> BodyLimit:
        path = path.removeprefix(urlsplit(app.extensions["address"]).path)
        length = headers.get("CONTENT_LENGTH", "")
        if path == "/rpc":
            return BodyLimit(rpc.LARGEST_REQUEST)
        if path == "/api/v1/verify":
            return BodyLimit(LARGEST_JSON)
        is_api = path.startswith("/api/")
        most = LARGEST_BODY if not is_api or path == "/api/v1/files" else LARGEST_JSON
        if is_api and path.endswith(BULK):
            most = LARGEST_BULK
        # A body without a length, as in chunks, may grow to anything and counts as a large one.
        if (length.isdigit() and int(length) <= LARGEST_OF_STRANGERS) or _is_known(app, is_api, headers):
            return BodyLimit(most)
        return BodyLimit(LARGEST_OF_STRANGERS, "not-signed-in")

    return limit


def _is_known(app: Flask, is_api: bool, headers: Mapping[str, str]) -> bool:
    """Whether a token is somebody's, or a cookie of ours opens a session that goes on.

    If the lookup fails, the answer is yes, so that the request itself can report the fault.
    """
    environ = {f"HTTP_{name}": value for name, value in headers.items()} | {"REQUEST_METHOD": "POST"}
    with app.app_context():
        try:
            if is_api:
                return _known_by(headers.get("AUTHORIZATION", "")) is not None
            cookie = app.session_interface.open_session(app, app.request_class(environ))
            secret = cookie and cookie.get("_user_id")
            return bool(secret) and sign_in_session(str(secret)) is not None
        except TraceabilityError:
            return True
