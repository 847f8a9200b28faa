"""Errors as HTTP answers: problem+json (RFC 9457) for programs, a page for people.

This is the only place where an error gets its HTTP status.
"""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, jsonify, make_response, render_template, request
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from backend.domain import errors
from backend.domain.simulation import SimulatorMissing
from backend.messages.catalogue import say
from backend.messages.verdict import verdict_json
from backend.services.decisions import NotReleasable
from backend.services.erasure import Retained
from backend.services.idempotency import IdempotencyKeyReused
from backend.web.context import language, with_issuer_named
from backend.web.presentation import labels

MEDIA_TYPE = "application/problem+json"

# The first that fits counts, so a class stands before the one that it derives from: NotReleasable before Conflict,
# StorageFull before StorageUnavailable, LedgerBehind before TooMuchWaiting.
_STATUS: list[tuple[type[errors.TraceabilityError], HTTPStatus]] = [
    (NotReleasable, HTTPStatus.CONFLICT),
    (IdempotencyKeyReused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.NotAllowed, HTTPStatus.FORBIDDEN),
    (errors.StaleVersion, HTTPStatus.PRECONDITION_FAILED),
    (errors.VersionRequired, HTTPStatus.PRECONDITION_REQUIRED),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.StorageFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (errors.StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.LedgerBehind, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.TooMuchWaiting, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.LedgerUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.ForeignLedger, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.LedgerRefused, HTTPStatus.SERVICE_UNAVAILABLE),
    (SimulatorMissing, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.Invalid, HTTPStatus.UNPROCESSABLE_ENTITY),
]


def titles() -> dict[str, str]:
    """Return the title of each problem code, in the reader's language."""
    return {
        "not-found": _("There is no such thing, or you may not see it."),
        "not-allowed": _("Your organisation has no right to do this."),
        "invalid": _("Some fields need your attention."),
        "conflict": _("This is no longer possible in its present state."),
        "product-twin": _("You have this product already."),
        "stale-version": _(
            "Somebody else has changed this since you read it. Nothing of yours was done: read it again."
        ),
        "version-required": _("Say which version your change rests on: read it again first."),
        "ledger-unavailable": _("The ledger cannot be asked at the moment. Try again shortly; nothing was lost."),
        "foreign-ledger": _("The ledger at hand is not ours. Nothing is written to it; the operator must look."),
        "ledger-refused": _("The ledger refused this. The operator must look; nothing was lost."),
        "malformed-json": _("The body cannot be read as JSON."),
        "malformed-record": _("This record is damaged or altered."),
        "malformed-bundle": _("This file is not an evidence bundle."),
        "idempotency-key-reused": _("This Idempotency-Key was used before with another request. Take a new one."),
        "not-releasable": _("The papers do not bear a release. Read the failed checks."),
        "retained": _("It must be kept for customs. Nothing was erased."),
        "outside-accreditation": _("Nothing was signed: it lies outside the accreditation."),
        "simulator-missing": _("Simulations cannot be run on this server."),
        "wrong-scenario": _("The scenario cannot be simulated. Fix the lines named."),
        "not-signed-in": _("Send your token: Authorization: Bearer <token>."),
        "too-large": _("What was sent is too large."),
        "method-not-allowed": _("This address does not take this method."),
        "unsupported-media-type": _("Send the body in a media type that this address takes."),
        "csrf": _("The page was open too long. Reload it and send again; nothing was stored."),
        "too-many-requests": _("Too many attempts. Wait a minute and try again."),
        "too-much-work": _("This is more than the server checks at once."),
        "too-slow": _("What was sent did not arrive in time."),
        "too-busy": _("The server has too much to do at the moment. Try again shortly; nothing was stored."),
        "misdirected": _("This server does not answer for that address."),
        "storage-unavailable": _("It could not be stored. Nothing was half done; try again shortly."),
        "storage-full": _("There is no room left to store it. Nothing was half done; the operator must make room."),
        "too-much-waiting": _("Too much waits for the ledger at the moment. Nothing was stored; try again later."),
        "ledger-behind": _("Papers wait too long for the ledger. Nothing was stored; try again later."),
        "internal": _("Something went wrong on our side. Nothing was half done."),
    }


def install_problems(app: Flask) -> None:
    """Register the handlers that answer every error in one form."""
    app.register_error_handler(errors.TraceabilityError, refused)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def answers_programs() -> bool:
    """Tell whether the path is one that programs ask, which get problem+json instead of a page."""
    return request.path.startswith(("/api/", "/rpc", "/healthz", "/readyz", "/metrics", "/trust.json", "/schemas"))


def problem(status: int, code: str, detail: str = "", **members: Any) -> Response:
    """Answer with a problem+json document, or with the page that says the same. ``members`` are extension members."""
    title = titles().get(code, HTTPStatus(status).phrase)
    if not answers_programs():
        told = {"status": status, "code": code, "title": title, "detail": detail}
        return make_response(render_template("problem.html", **told, person=current_user), status)
    kind = f"{request.script_root}/api/problems#{code}"
    known = {"requestId": g.get("request_id", ""), **members}
    body = {"type": kind, "title": title, "status": status, "code": code, "detail": detail, **known}
    response = jsonify({name: value for name, value in body.items() if value not in ("", None)})
    response.status_code, response.mimetype = status, MEDIA_TYPE
    # RFC 9110, section 11.6.1: an answer with 401 names the scheme.
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def refused(error: errors.TraceabilityError) -> Response:
    """Answer with the problem that belongs to one of our own errors."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
    # RFC 9110, section 15.5.21: 422 is for content that is well-formed, which this is not.
    if error.code == "malformed-json":
        status = HTTPStatus.BAD_REQUEST
    members: dict[str, Any] = {}
    if isinstance(error, errors.Invalid) and error.problems:
        # Precise in every language: the words of the forms speak of pickers, which programs have not.
        members["errors"] = [{"field": where, "message": say(what, language())} for where, what in error.problems]
    if isinstance(error, errors.Conflict) and isinstance(error.values.get("status"), str):
        members["currentStatus"] = error.values["status"]
    if isinstance(error, errors.StaleVersion):
        members |= {"currentVersion": error.version, "changes": [_change(change) for change in error.changes]}
    if isinstance(error, Retained):
        names = [served_by.name for served_by in error.served_by]
        members |= {"keptUntil": error.until.isoformat(), "customsOffice": error.office, "askConsentOf": names}
    if isinstance(error, NotReleasable):
        members["verdict"] = verdict_json(error.verdict, language(), with_issuer_named)
    response = problem(status, error.code, _sentence_of(error), **members)
    if isinstance(error, errors.StaleVersion):
        response.set_etag(str(error.version))
    if isinstance(error, errors.TooMuchWaiting | errors.StorageUnavailable) and error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _sentence_of(error: errors.TraceabilityError) -> str:
    """Return the sentence about an error. For a change that came too late it tells what others changed."""
    if isinstance(error, errors.StaleVersion) and error.changes:
        return " ".join(labels.later_changes(error.changes))
    return say(error, language())


def _change(change: errors.LaterChange) -> dict[str, Any]:
    members = {
        "what": change.what,
        "at": change.at.isoformat(),
        "by": change.organisation,
        "person": labels.colleague(change),
        "why": labels.why_of(change),
        "sentence": labels.later_change(change),
    }
    return {name: value for name, value in members.items() if value is not None}


def _csrf(error: CSRFError) -> Response:
    return problem(HTTPStatus.BAD_REQUEST, "csrf", say(error.description, language()))


CODES = {
    400: "invalid",
    401: "not-signed-in",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    415: "unsupported-media-type",
    421: "misdirected",
    422: "invalid",
    429: "too-many-requests",
    503: "too-busy",
}


def code_of(status: int) -> str:
    """Return the problem code of an HTTP status about which nothing more is known."""
    if status == HTTPStatus.BAD_REQUEST and request.is_json:
        return "malformed-json"
    return CODES.get(status, "internal")


def _http(error: HTTPException) -> Response:
    if error.response is not None:
        return make_response(error.response)
    status = error.code or 500
    response = problem(status, code_of(status), _detail(error))
    for name, value in error.get_headers():
        # RFC 9110, section 15.5.6, demands Allow with 405.
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _detail(error: HTTPException) -> str:
    if isinstance(error, RateLimitExceeded) and not error.limit.error_message:
        limit = error.limit.limit
        return str(_("At most %(count)s in %(seconds)s seconds.", count=limit.amount, seconds=limit.get_expiry()))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return str(_("It takes %(methods)s.", methods=", ".join(sorted(error.valid_methods))))
    return say(error.description or "", language())


def _unforeseen(error: Exception) -> Response:
    """Answer to an unexpected error. Its text goes to the log only, since it may reveal data."""
    current_app.logger.exception(
        "unforeseen error on %s %s, request %s", request.method, request.path, g.get("request_id")
    )
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal")


reference = Blueprint("problems", __name__)


@reference.get("/api/problems")
def problem_reference() -> str:
    """Show what the ``type`` of each problem means."""
    return render_template("problems.html", titles=titles())
