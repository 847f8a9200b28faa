"""Records of every kind that is signed as it is sent, and the files that belong to them."""

from typing import Any

from flask import request

from backend.domain.errors import Invalid, NotAllowed
from backend.domain.fields import Document
from backend.domain.kinds import CERTIFIED, ISSUERS, KINDS, OWN, RecordKind, Signing
from backend.domain.parties import Role
from backend.domain.records import ConfirmationRequest, fields_of
from backend.services import files, issuance, statements
from backend.web.api import views
from backend.web.api.shapes import (
    ConfirmationRequestList,
    ConfirmationRequestShape,
    FileShape,
    ReasonInput,
    RecordReceipt,
    RequestQuery,
)
from backend.web.api.views import auth, blueprint
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
        return views.receipt(sign(current_context(), person(), stated.kind, fields_of(document)))


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


@blueprint.get("/confirmation-requests")
@blueprint.auth_required(auth)
@blueprint.input(RequestQuery, location="query", arg_name="query")
@blueprint.output(ConfirmationRequestList)
@blueprint.doc(summary="List confirmation requests", tags=["Issuers", "Merchants"], responses=[401, 403, 404, 422])
def list_confirmation_requests(query: RequestQuery) -> dict[str, Any]:
    """Those that merchants submitted to an issuer, or that a merchant submitted itself.

    Of those ``waiting`` and ``sent-back`` the longest waiting come first, of others and of all the newest.
    """
    ctx, own = current_context(), person().organisation
    if own.role is not Role.MERCHANT and own.role not in ISSUERS:
        raise NotAllowed("only merchants and issuers have confirmation requests")
    with ctx.work(reading=True) as work:
        found = work.requests.search(own, query.state, query.limit, query.after)
    return {
        "requests": [_request_shown(one) for one in found],
        "next": found[-1].id if len(found) == query.limit else None,
    }


def _request_shown(one: ConfirmationRequest) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state.value,
        "kind": one.statement.kind.slug,
        "statement": one.statement.id,
        "merchant": one.merchant.name,
        "issuer": one.issuer.name,
        "madeAt": one.made_at,
        "answeredAt": one.answered_at,
        "reason": one.reason,
        "confirmed": one.confirmed and one.confirmed.id,
    }


@blueprint.post("/confirmation-requests/<request_id>/withdrawal")
@blueprint.auth_required(auth)
@blueprint.output(ConfirmationRequestShape, status_code=201)
@blueprint.doc(summary="Withdraw a confirmation request", tags=["Merchants"], responses=[401, 404, 409])
def post_request_withdrawal(request_id: str) -> dict[str, Any]:
    """The merchant gives up a request that the issuer sent back. Its statement stays on file, unconfirmed."""
    return _request_shown(statements.withdraw_request(current_context(), person(), request_id))


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
