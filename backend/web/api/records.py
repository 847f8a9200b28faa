"""Records of every kind that is signed as it is sent, and the files that belong to them."""

from typing import Any

from flask import request

from backend.domain.errors import Invalid
from backend.domain.fields import Document
from backend.domain.kinds import CERTIFIED, KINDS, OWN, RecordKind, Signing
from backend.domain.records import fields_of
from backend.services import files, issuance, statements
from backend.web.api import views
from backend.web.api.shapes import FileShape, ReasonInput, RecordReceipt
from backend.web.api.views import auth, blueprint, idempotency_key
from backend.web.context import current_context, person


def _offer(stated: RecordKind) -> None:
    """Add the operation that signs a document of one kind."""
    sign = issuance.issue if stated.signing is Signing.CERTIFIED else statements.sign_own
    roles = " or ".join(sorted(stated.signed_by))

    @blueprint.post(f"/{stated.collection}", endpoint=f"post_{stated.kind.name.lower()}")
    @blueprint.auth_required(auth)
    @blueprint.input(stated.model, location="json", arg_name="document")
    @blueprint.output(RecordReceipt, status_code=201)
    @blueprint.doc(
        summary=stated.operation,
        description=f"{stated.help} Signed with the key of whoever asks, which needs a token of the role {roles}.",
        tags=["Issuers" if stated.signing is Signing.CERTIFIED else "Merchants"],
        responses=[401, 403, 409, 422],
    )
    def post(document: Document) -> dict[str, Any]:
        return views.receipt(sign(current_context(), person(), stated.kind, fields_of(document), idempotency_key()))


for _kind in CERTIFIED + OWN:
    _offer(KINDS[_kind])


@blueprint.post("/records/<record_id>/revocation")
@blueprint.auth_required(auth)
@blueprint.input(ReasonInput, location="json", arg_name="body")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Revoke a record", tags=["Issuers"], responses=[401, 404, 409, 412, 422, 428])
def post_revocation(record_id: str, body: ReasonInput) -> dict[str, Any]:
    """The issuer takes back a record for good; from the next block on the ledger says so to everybody."""
    revoked = issuance.revoke(current_context(), person(), record_id, body.reason, views.version_read())
    views.tagged(revoked.version)
    return views.receipt(revoked)


@blueprint.post("/files")
@blueprint.auth_required(auth)
@blueprint.output(FileShape, status_code=201)
@blueprint.doc(summary="Upload a PDF", tags=["Issuers", "Merchants"], responses=[401, 413, 422])
def post_file() -> dict[str, Any]:
    """Store a PDF, as the body itself (application/pdf) or as the part ``file`` of multipart/form-data."""
    uploaded = request.files.get("file")
    content = uploaded.read() if uploaded is not None else request.get_data()
    if not content:
        raise Invalid("no file was sent", [("file", "is missing")])
    stored = files.store_pdf(current_context(), person(), content)
    return {"sha256": stored.sha256, "size": stored.size, "mediaType": stored.media_type}
