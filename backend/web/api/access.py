"""Tokens, idempotency keys and cursors of the programming interface."""

from hashlib import sha256

from apiflask import HTTPTokenAuth
from flask import request

from backend.domain.errors import Invalid
from backend.services.idempotency import IdempotencyKey
from backend.web.auth import person

auth = HTTPTokenAuth("Bearer", description="The token that your organisation was given.")


def idempotency_key() -> IdempotencyKey | None:
    """The request's Idempotency-Key, bound to who asks and to what exactly they ask."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid("a key has 1 to 255 printable characters", [("Idempotency-Key", "is empty or too long")])
    digest = sha256(f"{request.method} {request.path}\n".encode() + request.get_data()).hexdigest()
    return IdempotencyKey(person().id, key, digest)
