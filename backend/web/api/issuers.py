"""The authority's acts: who takes part, who is accredited, and with which keys. Keys kept outside sign in two steps."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.domain.errors import Invalid, NotAllowed
from backend.domain.ledger import Accreditation
from backend.domain.outbox import AccreditationChange
from backend.domain.parties import Role
from backend.domain.sd_jwt import b64
from backend.domain.verdict import Unknown
from backend.services import accreditation, external_signing, keys
from backend.services.accreditation import Standing
from backend.services.keys import Compromise, OutsideKey
from backend.services.organisations import OrganisationProfile, register_by_authority
from backend.web.api import views
from backend.web.api.shapes import (
    AccreditationInput,
    ActShape,
    CompromiseInput,
    CompromiseShape,
    KeyShape,
    OrganisationInput,
    OrganisationJoined,
    RecordReceipt,
    RotationInput,
    SignatureInput,
    SigningRequestInput,
    SigningRequestShape,
    SinceQuery,
    StandingList,
    StandingShape,
    SuspensionInput,
)
from backend.web.api.views import auth, blueprint
from backend.web.context import current_context, person


@blueprint.post("/organisations")
@blueprint.auth_required(auth)
@blueprint.input(OrganisationInput, location="json", arg_name="body")
@blueprint.output(OrganisationJoined, status_code=201)
@blueprint.doc(summary="Register an organisation", tags=["Authority"], responses=[401, 403, 409, 422])
def post_organisation(body: OrganisationInput) -> dict[str, Any]:
    """Let an organisation join, with its first person. It is accredited for nothing yet."""
    fields = body.model_dump() | {"offices": tuple(body.offices)}
    joined = register_by_authority(current_context(), person(), OrganisationProfile(**fields))
    return {
        "id": joined.organisation.id,
        "role": body.role.value,
        "name": joined.organisation.name,
        "email": joined.person.email,
        "password": joined.password,
        "token": joined.token,
        "key": joined.thumbprint,
    }


@blueprint.get("/issuers")
@blueprint.auth_required(auth)
@blueprint.output(StandingList)
@blueprint.doc(summary="Who is accredited", tags=["Authority", "Customs"], responses=[401, 403])
def list_issuers() -> dict[str, Any]:
    """Every organisation that may be accredited, with what the ledger says of its key now."""
    _only_readers()
    ctx = current_context()
    now = ctx.now()
    return {"issuers": [_standing(standing, now) for standing in accreditation.standings(ctx)]}


@blueprint.get("/issuers/<organisation_id>")
@blueprint.auth_required(auth)
@blueprint.output(StandingShape)
@blueprint.doc(summary="Read an issuer's accreditation", tags=["Authority", "Customs"], responses=[401, 403, 404])
def get_issuer(organisation_id: str) -> dict[str, Any]:
    """One organisation that may be accredited; the ETag tells which version of its standing this is."""
    _only_readers()
    ctx = current_context()
    standing = accreditation.standing(ctx, organisation_id)
    views.tagged(standing.organisation.version)
    return _standing(standing, ctx.now())


def _only_readers() -> None:
    if person().role not in (Role.AUTHORITY, Role.OFFICER):
        raise NotAllowed("only the authority and customs list issuers")


def _standing(standing: Standing, now: datetime) -> dict[str, Any]:
    held = standing.accreditation
    terms = held if isinstance(held, Accreditation) else None
    return {
        "id": standing.organisation.id,
        "role": standing.organisation.role.value,
        "name": standing.organisation.name,
        "key": standing.thumbprint,
        "state": _state(held, now),
        "pending": standing.pending,
        "announcedFor": standing.announced and standing.announced.due_at,
        "validFrom": terms and terms.valid_from,
        "validUntil": terms and terms.valid_until,
        "suspendedSince": terms and terms.suspended_since,
        "version": standing.organisation.version,
    }


def _state(held: Accreditation | Unknown | None, now: datetime) -> str:
    if isinstance(held, Unknown):
        return "unknown"
    if held is None or held.kinds == 0:
        return "none"
    if held.suspended_since is not None and held.suspended_since <= now:
        return "suspended"
    if now < held.valid_from:
        return "not-yet"
    return "accredited" if now < held.valid_until else "lapsed"


@blueprint.post("/issuers/<organisation_id>/accreditation")
@blueprint.auth_required(auth)
@blueprint.input(AccreditationInput, location="json", arg_name="body")
@blueprint.output(ActShape, status_code=202)
@blueprint.doc(summary="Accredit an organisation", tags=["Authority"], responses=[401, 403, 404, 412, 422, 428])
def post_accreditation(organisation_id: str, body: AccreditationInput) -> dict[str, Any]:
    """Accredit its key for what its role issues. Takes effect with the next block; touches nothing signed before."""
    # Absent and null are both None here, and mean opposite things: as it stands, and every chapter.
    chapters: Sequence[int] | None = body.chapters
    if chapters is None and "chapters" in body.model_fields_set:
        chapters = accreditation.EVERY_CHAPTER
    terms = chapters, body.valid_from, body.valid_until, views.version_read()
    return _change(accreditation.accredit(current_context(), person(), organisation_id, *terms))


@blueprint.post("/issuers/<organisation_id>/suspension")
@blueprint.auth_required(auth)
@blueprint.input(SuspensionInput, location="json", arg_name="body")
@blueprint.output(ActShape, status_code=202)
@blueprint.doc(summary="Suspend an accreditation", tags=["Authority"], responses=[401, 403, 404, 412, 422, 428])
def post_suspension(organisation_id: str, body: SuspensionInput) -> dict[str, Any]:
    """Stop standing behind a key: what it signed counts no more, in any check from then on.

    What it signed before and had on the ledger counts again once the suspension is lifted; all else must be signed
    anew.
    """
    return _change(
        accreditation.suspend(current_context(), person(), organisation_id, body.since, views.version_read())
    )


@blueprint.post("/issuers/<organisation_id>/reinstatement")
@blueprint.auth_required(auth)
@blueprint.output(ActShape, status_code=202)
@blueprint.doc(summary="Lift a suspension", tags=["Authority"], responses=[401, 403, 404, 412, 428])
def post_reinstatement(organisation_id: str) -> dict[str, Any]:
    """Stand behind the key again.

    What it signed while it was suspended stays INVALID (`signed-while-suspended`), and what it signed before, but had
    anchored only after the suspension began, INDETERMINATE (`anchored-after-change`).
    """
    return _change(accreditation.reinstate(current_context(), person(), organisation_id, views.version_read()))


def _change(change: AccreditationChange) -> dict[str, Any]:
    return {"id": change.id, "key": change.thumbprint, "act": change.operation}


@blueprint.post("/issuers/<organisation_id>/key-rotation")
@blueprint.auth_required(auth)
@blueprint.input(RotationInput, location="json", arg_name="body")
@blueprint.output(KeyShape, status_code=202)
@blueprint.doc(summary="Replace a signing key", tags=["Authority"], responses=[401, 403, 404, 409, 422])
def post_key_rotation(organisation_id: str, body: RotationInput) -> dict[str, Any]:
    """Give an organisation a new key, made here or kept by it; what the old one signed stays good.

    For a key kept outside send its public ``jwk`` and as ``proof`` its ES256 signature (base64url, 64 bytes) over the
    three lines ``provenport key possession``, the organisation's id and the key's RFC 7638 thumbprint in hex, each
    ended by a line feed.
    """
    given = OutsideKey(body.jwk, body.proof or "") if body.jwk is not None else None
    new = keys.rotate(current_context(), person(), organisation_id, given)
    return {"key": new.thumbprint, "outside": new.is_outside, "state": "signs" if new.is_active else "waits"}


@blueprint.post("/keys/<thumbprint>/compromise")
@blueprint.auth_required(auth)
@blueprint.input(CompromiseInput, location="json", arg_name="body")
@blueprint.output(CompromiseShape, status_code=202)
@blueprint.doc(summary="Stop a key that is in wrong hands", tags=["Authority"], responses=[401, 403, 404, 422])
def post_compromise(thumbprint: str, body: CompromiseInput) -> dict[str, Any]:
    """The key signs nothing more, the ledger is told, and what it signed since then is listed."""
    return _compromise(keys.compromised(current_context(), person(), thumbprint, body.since))


@blueprint.get("/keys/<thumbprint>/records")
@blueprint.auth_required(auth)
@blueprint.input(SinceQuery, location="query", arg_name="query")
@blueprint.output(CompromiseShape)
@blueprint.doc(summary="List what a key signed", tags=["Authority"], responses=[401, 403, 404, 422])
def get_signed_since(thumbprint: str, query: SinceQuery) -> dict[str, Any]:
    """By the time at which each record was taken in here: what a record says of its own time, its signer wrote."""
    since = query.since or datetime(2000, 1, 1, tzinfo=UTC)
    return _compromise(keys.signed_since(current_context(), person(), thumbprint, since))


def _compromise(found: Compromise) -> dict[str, Any]:
    return {
        "key": found.key.thumbprint,
        "organisation": found.key.organisation.name,
        "since": found.since,
        "records": [
            {
                "id": record.id,
                "kind": record.kind.slug,
                "takenIn": record.recorded_at,
                "anchoredAt": record.batch and record.batch.anchored_at,
            }
            for record in found.records
        ],
    }


@blueprint.post("/signing-requests")
@blueprint.auth_required(auth)
@blueprint.input(SigningRequestInput, location="json", arg_name="body")
@blueprint.output(SigningRequestShape, status_code=201)
@blueprint.doc(summary="Prepare what you sign yourself", tags=["Issuers", "Merchants"], responses=[401, 403, 409, 422])
def post_signing_request(body: SigningRequestInput) -> dict[str, Any]:
    """Step one for organisations that keep their key: says which bytes to sign. Nothing is on file yet."""
    if body.act != "confirm" and body.document is None:
        raise Invalid("a document is needed", [("document", "is missing")])
    made = external_signing.prepare(
        current_context(), person(), body.act, body.model_dump(exclude={"act"}, mode="json")
    )
    return {
        "id": made.id,
        "key": made.thumbprint,
        "signingInput": b64(made.text),
        "until": made.until,
    }


@blueprint.post("/signing-requests/<request_id>/signature")
@blueprint.auth_required(auth)
@blueprint.input(SignatureInput, location="json", arg_name="body")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Hand in the signature", tags=["Issuers", "Merchants"], responses=[401, 404, 409, 422])
def post_signature(request_id: str, body: SignatureInput) -> dict[str, Any]:
    """Step two: with your signature the record is stored. Refused where things have moved on in between."""
    return views.receipt(external_signing.submit(current_context(), person(), request_id, body.signature))
