"""The interface's blueprint, and how a token tells who asks."""

from hashlib import sha256
from typing import Any

from apiflask import APIBlueprint, HTTPTokenAuth
from flask import Response, g, request
from flask.json.provider import DefaultJSONProvider
from flask_babel import gettext
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from backend.domain import strict_json
from backend.domain.errors import Invalid
from backend.domain.parties import Person
from backend.services.idempotency import IdempotencyKey
from backend.services.organisations import bearer
from backend.web.auth import person
from backend.web.context import current_context
from backend.web.problems import problem

LARGEST_BODY = 2 * 1024 * 1024
"""Of a JSON body, in bytes; files have a limit of their own."""

auth = HTTPTokenAuth("Bearer", description="The token that your organisation was given.")
blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="Provenport")


_WITHOUT_JSON = {"api.post_file", "api.post_withdrawal", "api.post_reinstatement", "api.post_cancellation"}


@blueprint.before_request
def only_json_objects() -> None:
    """Bodies are JSON objects and say so: a list, a null or a form must not pass for an empty object."""
    if request.method != "POST" or request.endpoint in _WITHOUT_JSON:
        return
    if request.content_length is not None and request.content_length > LARGEST_BODY:
        raise RequestEntityTooLarge
    if not request.is_json:
        raise UnsupportedMediaType(gettext("Send the body as application/json."))
    if not isinstance(request.get_json(), dict):
        raise Invalid("the body must be a JSON object", [("", "must be a JSON object")])


@auth.verify_token  # type: ignore[untyped-decorator]
def who(token: str) -> Person | None:
    """The person whose token was sent."""
    found = bearer(current_context(), token) if token else None
    g.bearer = found
    return found


@auth.error_processor
def unknown(error: object) -> Response:
    """There was no token, or nobody's."""
    return problem(401, "not-signed-in")


def idempotency_key() -> IdempotencyKey | None:
    """The request's Idempotency-Key, bound to who asks and to what exactly they ask."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid("a key has 1 to 255 printable characters", [("Idempotency-Key", "is empty or too long")])
    digest = sha256(f"{request.method} {request.path}\n".encode() + request.get_data()).hexdigest()
    return IdempotencyKey(person().id, key, digest)


class StrictJson(DefaultJSONProvider):
    """Flask's JSON, reading with ``strict_json`` and writing text as it is."""

    ensure_ascii = False
    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read; raises HostileJson."""
        return strict_json.loads(s)
