"""Two steps for organisations that keep their key themselves: we make the text, they sign it, we put it on file.

The act is done twice. The first time it stops where it would sign, and leaves nothing behind but the text; the second
time the signature is there. Moment and chance are the same both times, so the text is, unless things moved on.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol, assert_never
from uuid import uuid4

from backend.domain import sd_jwt
from backend.domain.errors import Conflict, Invalid, NotFound
from backend.domain.kinds import BY_SLUG, KINDS, Kind, Signing
from backend.domain.message import Message
from backend.domain.outbox import Prepared
from backend.domain.parties import Person, SigningKey
from backend.domain.records import RecordOnFile
from backend.services import declarations, issuance, statements
from backend.services.joined_work import joined
from backend.services.ports import AppContext

PATIENCE = timedelta(hours=1)
"""How long a prepared text may be signed."""


class _Act(Protocol):
    def __call__(self, ctx: AppContext, actor: Person, arguments: dict[str, Any]) -> RecordOnFile: ...


def _issue(ctx: AppContext, actor: Person, arguments: dict[str, Any]) -> RecordOnFile:
    kind = _kind(arguments)
    match KINDS[kind].signing:
        case Signing.LODGED:
            return declarations.lodge(ctx, actor, arguments["document"]).record
        case Signing.OWN:
            return statements.sign_own(ctx, actor, kind, arguments["document"])
        case Signing.CERTIFIED:
            return issuance.issue(ctx, actor, kind, arguments["document"])
        case other:
            assert_never(other)


def _state(ctx: AppContext, actor: Person, arguments: dict[str, Any]) -> RecordOnFile:
    issuer = str(arguments.get("issuer") or "")
    return statements.state(ctx, actor, _kind(arguments), arguments["document"], issuer)


def _confirm(ctx: AppContext, actor: Person, arguments: dict[str, Any]) -> RecordOnFile:
    number = str(arguments.get("number") or "")
    return issuance.confirm(ctx, actor, str(arguments.get("request") or ""), number, arguments.get("changes"))


def _kind(arguments: dict[str, Any]) -> Kind:
    try:
        return BY_SLUG[str(arguments.get("kind"))]
    except KeyError:
        raise Invalid(
            "no such kind of record", [("kind", Message("must be one of {known}", known=", ".join(BY_SLUG)))]
        ) from None


ACTS: dict[str, _Act] = {"issue": _issue, "state": _state, "confirm": _confirm}


class _TextReady(Exception):
    """The act has come to where it signs."""

    def __init__(self, key: SigningKey, text: bytes) -> None:
        self.key, self.text = key, text
        super().__init__()


@dataclass(frozen=True)
class ToSign:
    """What to sign with which key, until when."""

    id: str
    thumbprint: str
    text: bytes
    until: datetime


def prepare(ctx: AppContext, actor: Person, act: str, arguments: dict[str, Any]) -> ToSign:
    """The text that the organisation signs with its own key (ES256, over exactly these bytes)."""
    if act not in ACTS:
        raise Invalid("no such act", [("act", Message("must be one of {known}", known=", ".join(ACTS)))])
    now = ctx.now()
    prepared = Prepared(str(uuid4()), actor.id, "", act, arguments, now, secrets.token_bytes(32), "")

    def stop(key: SigningKey, text: bytes) -> bytes:
        raise _TextReady(key, text)

    try:
        with joined(ctx) as within:
            _do(within, prepared, actor, stop)
            raise Conflict("the key of this organisation is kept here: there is nothing to sign outside")
    except _TextReady as ready:
        prepared.thumbprint, prepared.text_digest = ready.key.thumbprint, sha256(ready.text).hexdigest()
        text = ready.text
    with ctx.work() as work:
        work.signing_requests.delete_before(now - PATIENCE)
        work.add(prepared)
        work.commit()
    return ToSign(prepared.id, prepared.thumbprint, text, now + PATIENCE)


def submit(ctx: AppContext, actor: Person, prepared_id: str, signature: str) -> RecordOnFile:
    """Put on file what was prepared, with the signature made outside (base64url of r and s, 64 bytes)."""
    with ctx.work(reading=True) as work:
        prepared = work.signing_requests.find(prepared_id)
    if prepared is None or prepared.person_id != actor.id or prepared.moment + PATIENCE < ctx.now():
        raise NotFound("nothing waits for a signature under this id", id=prepared_id)
    try:
        raw = sd_jwt.unb64(signature)
    except sd_jwt.MalformedRecord as error:
        raise Invalid("not a signature", [("signature", "is not base64url of 64 bytes")]) from error

    def sign(key: SigningKey, text: bytes) -> bytes:
        if key.thumbprint != prepared.thumbprint or sha256(text).hexdigest() != prepared.text_digest:
            raise Conflict("things have moved on since this was prepared: prepare it again")
        if not sd_jwt.verify(key.public_jwk, text, raw):
            raise Invalid("not this key's signature", [("signature", "is not the key's signature over the text")])
        return raw

    with joined(ctx) as within:
        made = _do(within, prepared, actor, sign)
        made.recorded_at = ctx.now()
        with within.work() as work:
            kept = work.signing_requests.find(prepared.id)
            if kept is None:
                raise NotFound("nothing waits for a signature under this id", id=prepared.id)
            work.remove(kept)
    return made


def _do(
    within: AppContext, prepared: Prepared, actor: Person, sign: Callable[[SigningKey, bytes], bytes]
) -> RecordOnFile:
    """Do the act with the moment and the chance that it was prepared with."""
    around = replace(within, now=lambda: prepared.moment, random=prepared.chance(), outside=sign)
    return ACTS[prepared.act](around, actor, prepared.arguments)
