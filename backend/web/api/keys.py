"""Signing keys: the authority replaces and stops them; who keeps its key itself signs in two steps."""

from datetime import UTC, datetime
from typing import Any

from backend.domain.errors import Invalid
from backend.domain.sd_jwt import b64
from backend.services import external_signing, keys
from backend.services.keys import Compromise, OutsideKey
from backend.web.api import views
from backend.web.api.shapes import (
    CompromiseInput,
    CompromiseShape,
    KeyShape,
    RecordReceipt,
    RotationInput,
    SignatureInput,
    SigningRequestInput,
    SigningRequestShape,
    SinceQuery,
)
from backend.web.api.views import auth, blueprint
from backend.web.context import current_context, person


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
