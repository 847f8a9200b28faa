"""Issuers' and merchants' records, and the files that belong to them."""

from typing import Any

from flask import request

from backend.domain.documents import CertificateOfOrigin, InspectionReport, fields_of
from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from backend.services import files, issuance
from backend.web.api import views
from backend.web.api.access import auth, idempotency_key
from backend.web.api.interface import blueprint
from backend.web.api.shapes import FileShape, ReasonInput, RecordReceipt
from backend.web.auth import person
from backend.web.context import current_context


@blueprint.post("/certificates-of-origin")
@blueprint.auth_required(auth)
@blueprint.input(CertificateOfOrigin, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Issue a certificate of origin", tags=["Issuers"], responses=[401, 403, 409, 422])
def post_certificate(document: CertificateOfOrigin) -> dict[str, Any]:
    """A chamber signs a certificate of origin with its own key. Needs a chamber's token and the number it gives."""
    kind = Kind.CERTIFICATE_OF_ORIGIN
    return views.receipt(issuance.issue(current_context(), person(), kind, fields_of(document), idempotency_key()))


@blueprint.post("/inspection-reports")
@blueprint.auth_required(auth)
@blueprint.input(InspectionReport, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Issue an inspection report", tags=["Issuers"], responses=[401, 403, 409, 422])
def post_report(document: InspectionReport) -> dict[str, Any]:
    """A laboratory signs an inspection report with its own key. Needs a laboratory's token."""
    kind = Kind.INSPECTION_REPORT
    return views.receipt(issuance.issue(current_context(), person(), kind, fields_of(document), idempotency_key()))


@blueprint.post("/records/<record_id>/revocation")
@blueprint.auth_required(auth)
@blueprint.input(ReasonInput, location="json", arg_name="body")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Revoke a record", tags=["Issuers"], responses=[401, 404, 409, 422])
def post_revocation(record_id: str, body: ReasonInput) -> dict[str, Any]:
    """The issuer takes back a record for good; from the next block on the ledger says so to everybody."""
    return views.receipt(issuance.revoke(current_context(), person(), record_id, body.reason))


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
