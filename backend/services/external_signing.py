"""Two steps for organisations that keep their key themselves: we draft a record, they sign it, we put it on file.

The draft itself is not kept, only what it was made from: drawn up again when the signature comes, it is the same to the
byte, unless things have moved on in between. Then the signature is over something else, and is refused.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, assert_never
from uuid import uuid4

from backend.domain import sd_jwt
from backend.domain.errors import Conflict, Invalid, Message, NotFound
from backend.domain.kinds import BY_SLUG, KINDS, Kind, Signing
from backend.domain.outbox import SigningRequest
from backend.domain.parties import Person
from backend.domain.records import RecordOnFile
from backend.services.accreditation import SignerTerms, signer_terms
from backend.services.declarations import draft_declaration
from backend.services.issuance import draft_confirmation, draft_issue
from backend.services.ports import AppContext
from backend.services.records import DraftInputs, UnsignedRecord, file
from backend.services.statements import draft_own, draft_statement
from backend.store.unit_of_work import UnitOfWork

PATIENCE = timedelta(hours=1)
"""How long a draft may be signed."""

_Draft = Callable[[AppContext, UnitOfWork, DraftInputs, Person, Mapping[str, Any]], UnsignedRecord]


def _issue(
    ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, actor: Person, arguments: Mapping[str, Any]
) -> UnsignedRecord:
    kind, document = _kind(arguments), arguments["document"]
    match KINDS[kind].signing:
        case Signing.LODGED:
            return draft_declaration(ctx, work, inputs, actor, document)
        case Signing.OWN:
            return draft_own(ctx, work, inputs, actor, kind, document)
        case Signing.CERTIFIED:
            return draft_issue(ctx, work, inputs, actor, kind, document)
        case other:
            assert_never(other)


def _state(
    ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, actor: Person, arguments: Mapping[str, Any]
) -> UnsignedRecord:
    issuer = str(arguments.get("issuer") or "")
    return draft_statement(ctx, work, inputs, actor, _kind(arguments), arguments["document"], issuer)


def _confirm(
    ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, actor: Person, arguments: Mapping[str, Any]
) -> UnsignedRecord:
    request, number = str(arguments.get("request") or ""), str(arguments.get("number") or "")
    return draft_confirmation(ctx, work, inputs, actor, request, number, arguments.get("changes"))


def _kind(arguments: Mapping[str, Any]) -> Kind:
    try:
        return BY_SLUG[str(arguments.get("kind"))]
    except KeyError:
        raise Invalid(
            "no such kind of record", [("kind", Message("must be one of {known}", known=", ".join(BY_SLUG)))]
        ) from None


# "state" is the word of the programming interface for issuing a statement; programs out there send it.
ACTS: dict[str, _Draft] = {"issue": _issue, "state": _state, "confirm": _confirm}


@dataclass(frozen=True)
class TextToSign:
    """What to sign with which key, until when."""

    id: str
    thumbprint: str
    text: bytes
    until: datetime


def prepare(ctx: AppContext, actor: Person, act: str, arguments: dict[str, Any]) -> TextToSign:
    """The text that the organisation signs with its own key (ES256, over exactly these bytes)."""
    if act not in ACTS:
        raise Invalid("no such act", [("act", Message("must be one of {known}", known=", ".join(ACTS)))])
    now = ctx.now()
    request = SigningRequest(str(uuid4()), actor.id, "", act, arguments, now, secrets.token_bytes(32), "")
    terms = signer_terms(ctx, actor.organisation)
    with ctx.work() as work:
        draft = _draft(ctx, work, request, actor, terms)
        if not draft.key.is_outside:
            raise Conflict("the key of this organisation is kept here: there is nothing to sign outside")
        request.thumbprint = draft.key.thumbprint
        request.text_digest = sha256(draft.signing_input).hexdigest()
        work.signing_requests.delete_before(now - PATIENCE)
        work.add(request)
        work.commit()
    return TextToSign(request.id, request.thumbprint, draft.signing_input, now + PATIENCE)


def submit(ctx: AppContext, actor: Person, request_id: str, signature: str) -> RecordOnFile:
    """Put on file what was prepared, with its signature (base64url of r and s, 64 bytes).

    Raises NotFound where nothing of this person's waits under this id, Conflict where things have moved on since it
    was prepared, Invalid where the signature is not the key's over the text.
    """
    terms = signer_terms(ctx, actor.organisation)
    with ctx.work() as work:
        request = work.signing_requests.find(request_id)
        if request is None or request.person_id != actor.id or request.moment + PATIENCE < ctx.now():
            raise NotFound("nothing waits for a signature under this id", id=request_id)
        try:
            raw = sd_jwt.unb64(signature)
        except sd_jwt.MalformedRecord as error:
            raise Invalid("not a signature", [("signature", "is not base64url of 64 bytes")]) from error
        draft = _draft(ctx, work, request, actor, terms)
        if not _is_prepared(draft, request) and (earlier := KINDS[draft.kind].schema_version - 1):
            # It may have been prepared by the version of this program before an upgrade.
            draft = _draft(ctx, work, request, actor, terms, earlier)
        if not _is_prepared(draft, request):
            raise Conflict("things have moved on since this was prepared: prepare it again")
        if not sd_jwt.verify(draft.key.public_jwk, draft.signing_input, raw):
            raise Invalid("not this key's signature", [("signature", "is not the key's signature over the text")])
        on_file = file(ctx, work, draft, raw)
        work.remove(request)
        work.commit()
    ctx.wake_anchoring()
    return on_file


def _is_prepared(draft: UnsignedRecord, request: SigningRequest) -> bool:
    return (draft.key.thumbprint, sha256(draft.signing_input).hexdigest()) == (request.thumbprint, request.text_digest)


def _draft(
    ctx: AppContext,
    work: UnitOfWork,
    request: SigningRequest,
    actor: Person,
    terms: SignerTerms,
    schema_version: int | None = None,
) -> UnsignedRecord:
    inputs = DraftInputs(request.moment, request.random_bytes(), terms, schema_version)
    return ACTS[request.act](ctx, work, inputs, actor, request.arguments)
