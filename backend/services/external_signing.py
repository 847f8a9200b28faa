"""Signing by organisations that keep their key themselves: we draft a record, they sign it, we put it on file.

The draft is not stored, only its inputs. When the signature comes, the draft is built again from the same moment and
the same random bytes, and must be the same to the byte. If something it depends on has changed, for example the key,
the signature is refused.
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
from backend.domain.evidence import ANCHORER_CLAIM, anchorer_named
from backend.domain.kinds import BY_SLUG, KINDS, Kind, Signing
from backend.domain.outbox import SigningRequest
from backend.domain.parties import Person
from backend.domain.records import RecordOnFile
from backend.services.accreditation import SignerTerms, signer_terms
from backend.services.declarations import draft_declaration
from backend.services.issuance import draft_confirmation, draft_issue
from backend.services.ports import AppContext, rerunnable
from backend.services.records import DraftInputs, UnsignedRecord, file, own_anchorer
from backend.services.statements import draft_own, draft_statement
from backend.store.unit_of_work import UnitOfWork

PATIENCE = timedelta(hours=1)
"""How long a prepared draft may be submitted with its signature."""

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
    """The bytes to sign, the thumbprint of the key to sign with, and the end of the time allowed."""

    id: str
    thumbprint: str
    text: bytes
    until: datetime


@rerunnable
def prepare(ctx: AppContext, actor: Person, act: str, arguments: dict[str, Any]) -> TextToSign:
    """Draft a record and return the exact bytes that the organisation signs with its own key (ES256).

    ``act`` is a key of ``ACTS``. The request can be submitted within ``PATIENCE``.

    Raises:
        Invalid: There is no such act, or a field of the document is wrong.
        Conflict: The organisation's key is kept here, or the record cannot be made now.
        NotAllowed: The actor's role does not sign such records.
        OutsideAccreditation: The ledger does not accredit the organisation for it.
        TooMuchWaiting: No more records are taken in at the moment.
    """
    if act not in ACTS:
        raise Invalid("no such act", [("act", Message("must be one of {known}", known=", ".join(ACTS)))])
    now = ctx.now()
    anchorer = own_anchorer(ctx)
    # Kept with the request, so that the text comes out the same where the ledger cannot be asked at the signature.
    arguments = {**arguments, ANCHORER_CLAIM: None if anchorer is None else anchorer.as_claim()}
    # The 32 bytes are the seed of the draft's salts, stored so that the same draft can be built again.
    request = SigningRequest(str(uuid4()), actor.id, "", act, arguments, now, secrets.token_bytes(32), "")
    terms = signer_terms(ctx, actor.organisation)
    with ctx.work() as work:
        draft = _draft(ctx, work, request, actor, terms)
        if not draft.key.is_outside:
            raise Conflict("the key of this organisation is kept here: there is nothing to sign outside")
        request.thumbprint = draft.key.thumbprint
        request.text_digest = sha256(draft.signing_input).hexdigest()
        # Drafts that nobody signs would otherwise pile up.
        work.signing_requests.delete_before(now - PATIENCE)
        work.add(request)
        work.commit()
    return TextToSign(request.id, request.thumbprint, draft.signing_input, now + PATIENCE)


@rerunnable
def submit(ctx: AppContext, actor: Person, request_id: str, signature: str) -> RecordOnFile:
    """Put a prepared record on file with its signature (base64url of r and s, 64 bytes together).

    Raises:
        NotFound: No request of this person waits under this id, or its time has run out.
        Conflict: Something that the draft depends on has changed since it was prepared.
        Invalid: The signature is malformed, or is not the key's signature over the text.
    """
    terms = signer_terms(ctx, actor.organisation)
    with ctx.work() as work:
        request = work.signing_requests.find(request_id)
        # The same answer for an unknown id and for another person's request, so that ids cannot be probed.
        if request is None or request.person_id != actor.id or request.moment + PATIENCE < ctx.now():
            raise NotFound("nothing waits for a signature under this id", id=request_id)
        try:
            raw = sd_jwt.unb64(signature)
        except sd_jwt.MalformedRecord as error:
            raise Invalid("not a signature", [("signature", "is not base64url of 64 bytes")]) from error
        draft = _as_prepared(ctx, work, request, actor, terms)
        if not sd_jwt.verify(draft.key.public_jwk, draft.signing_input, raw):
            raise Invalid("not this key's signature", [("signature", "is not the key's signature over the text")])
        on_file = file(ctx, work, draft, raw)
        work.remove(request)
        work.commit()
    ctx.wake_anchoring()
    return on_file


def _as_prepared(
    ctx: AppContext, work: UnitOfWork, request: SigningRequest, actor: Person, terms: SignerTerms
) -> UnsignedRecord:
    draft = _draft(ctx, work, request, actor, terms)
    # It may have been prepared by a version of this program before an upgrade, under an earlier schema.
    for earlier in range(KINDS[draft.kind].schema_version - 1, 0, -1):
        if _is_prepared(draft, request):
            break
        draft = _draft(ctx, work, request, actor, terms, earlier)
    if not _is_prepared(draft, request):
        raise Conflict("things have moved on since this was prepared: prepare it again")
    return draft


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
    anchorer = anchorer_named(request.arguments.get(ANCHORER_CLAIM))
    inputs = DraftInputs(request.moment, request.random_bytes(), terms, schema_version, anchorer)
    return ACTS[request.act](ctx, work, inputs, actor, request.arguments)
