"""Records, their evidence, and the verdict on evidence that somebody brings."""

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue

from backend.domain.errors import Conflict, Invalid
from backend.domain.kinds import Audience
from backend.domain.parties import Role
from backend.domain.records import RecordOnFile
from backend.messages.verdict import verdict_json
from backend.services import bundles, erasure
from backend.services.bundles import bundle_of, bundle_of_consignment
from backend.services.ports import AppContext
from backend.services.records import visible_record
from backend.services.verification import verdict_on, verdict_on_bundle
from backend.store.unit_of_work import UnitOfWork
from backend.web.api import views
from backend.web.api.shapes import (
    ErasureConsentShape,
    ErasureInput,
    ErasureShape,
    EvidenceQuery,
    MomentQuery,
    PersonShape,
    PresentationQuery,
    ReasonInput,
    RecordShape,
    VerdictShape,
)
from backend.web.api.views import auth, blueprint
from backend.web.context import current_context, language, person, with_issuer_named
from backend.web.public.downloads import bundle_file


@blueprint.get("/me")
@blueprint.auth_required(auth)
@blueprint.output(PersonShape)
@blueprint.doc(summary="Whose token is this?", tags=["Everybody"], responses=[401])
def get_me() -> dict[str, Any]:
    """Who you are to this system."""
    actor = person()
    return {
        "email": actor.email,
        "role": actor.role.value,
        "organisation": actor.organisation.name,
        "organisationId": actor.organisation.id,
    }


@blueprint.get("/records/<record_id>")
@blueprint.auth_required(auth)
@blueprint.input(MomentQuery, location="query", arg_name="query")
@blueprint.output(RecordShape)
@blueprint.doc(summary="Read a record", tags=["Everybody"], responses=[401, 404, 422])
def get_record(record_id: str, query: MomentQuery) -> dict[str, Any]:
    """A record with its fields and its verdict, now or ``at`` a past moment, for those who may see it."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        on_file = visible_record(ctx, work, person(), record_id)
        kept = _retention(ctx, work, on_file)
    views.tagged(on_file.version)
    return {**views.record(on_file, verdict_on(ctx, on_file, query.at)), "retention": kept}


def _retention(ctx: AppContext, work: UnitOfWork, on_file: RecordOnFile) -> dict[str, Any] | None:
    """Until when a record is kept, for its holder and customs only: others need not know what was lodged where."""
    actor = person()
    is_concerned = on_file.holder.id == actor.organisation.id or actor.role is Role.OFFICER
    if not is_concerned or (found := erasure.retention(ctx, work, actor, on_file)) is None:
        return None
    return {
        "keptUntil": found.until,
        "office": found.missing and found.missing.office,
        "requestedAt": found.request and found.request.recorded_at,
        "requestReason": found.request and found.request.note,
    }


@blueprint.get("/records/<record_id>/evidence")
@blueprint.auth_required(auth)
@blueprint.input(EvidenceQuery, location="query", arg_name="query")
@blueprint.doc(summary="Download a record's evidence", tags=["Everybody"], responses=[401, 404, 409, 422])
def get_evidence(record_id: str, query: EvidenceQuery) -> ResponseReturnValue:
    """The bundle: record, inclusion proof, anchor and a signed snapshot, in a file that is verified elsewhere."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        on_file = visible_record(ctx, work, person(), record_id)
    if on_file.erased_at is not None:
        raise Conflict("this record was erased: there is no evidence left", erased_at=on_file.erased_at)
    shown = None if query.fields is None else [name for name in query.fields.split(",") if name]
    return bundle_file(bundle_of(ctx, on_file, shown), record_id)


@blueprint.get("/declarations/<declaration_id>/evidence")
@blueprint.auth_required(auth)
@blueprint.doc(summary="Download a consignment's evidence", tags=["Customs", "Merchants"], responses=[401, 404, 409])
def get_consignment_evidence(declaration_id: str) -> ResponseReturnValue:
    """One bundle with the declaration and every paper that it relies on."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        consignment = work.consignments.visible_to(person(), declaration_id, ctx.now())
        return bundle_file(bundle_of_consignment(ctx, work, consignment), declaration_id)


@blueprint.post("/verify")
@blueprint.input(MomentQuery, location="query", arg_name="query")
@blueprint.output(VerdictShape)
@blueprint.doc(summary="Verify a bundle", tags=["Everybody"], responses=[400, 422, 429])
def post_verify(query: MomentQuery) -> dict[str, Any]:
    """A bundle in, a verdict out: now, or ``at`` a past moment. Needs no token, which allows ten times as many."""
    bundle = request.get_json()
    if not isinstance(bundle, dict):
        raise Invalid("the body must be a JSON object", [("", "must be a JSON object")])
    return verdict_json(verdict_on_bundle(current_context(), bundle, query.at), language(), with_issuer_named)


@blueprint.get("/records/<record_id>/presentation")
@blueprint.auth_required(auth)
@blueprint.input(PresentationQuery, location="query", arg_name="query")
@blueprint.doc(summary="Show a record in part", tags=["Everybody"], responses=[401, 404, 409, 422])
def get_presentation(record_id: str, query: PresentationQuery) -> ResponseReturnValue:
    """The evidence bundle with only those fields in the open that the ``audience`` needs, or that ``fields`` names."""
    if (query.audience is None) == (query.fields is None):
        raise Invalid("say what to show", [("audience", "is missing: give it, or fields, and not both")])
    audience = Audience(query.audience) if query.audience is not None else None
    names = [name.strip() for name in (query.fields or "").split(",") if name.strip()]
    ctx = current_context()
    choice = bundles.choose(ctx, person(), record_id, audience, names)
    return bundle_file(bundles.present(ctx, choice), record_id)


@blueprint.post("/records/<record_id>/erasure")
@blueprint.auth_required(auth)
@blueprint.input(ErasureInput, location="json", arg_name="body")
@blueprint.output(ErasureShape, status_code=201)
@blueprint.doc(summary="Erase a record", tags=["Merchants", "Issuers"], responses=[401, 403, 404, 409, 422])
def post_erasure(record_id: str, body: ErasureInput) -> dict[str, Any]:
    """What it said, its salts and its files go for good; its place on the ledger stays. For its holder only.

    While a declaration that was lodged keeps it, 409 ``retained`` tells until when, and whose consent it needs.
    """
    gone = erasure.erase(current_context(), person(), record_id)
    first, *others = gone.records
    return {
        "id": first.id,
        "erasedAt": first.erased_at,
        "alsoErased": [other.id for other in others],
        "files": gone.files,
    }


@blueprint.post("/records/<record_id>/erasure-request")
@blueprint.auth_required(auth)
@blueprint.input(ReasonInput, location="json", arg_name="body")
@blueprint.output(ErasureConsentShape, status_code=201)
@blueprint.doc(
    summary="Ask customs to let a record be erased",
    tags=["Merchants", "Issuers"],
    responses=[401, 403, 404, 409, 412, 422, 428],
)
def post_erasure_request(record_id: str, body: ReasonInput) -> dict[str, Any]:
    """Before the time is over for which it is kept. Every customs office that keeps it is asked; the reason stays."""
    return _consent(erasure.request_consent(current_context(), person(), record_id, body.reason, views.version_read()))


@blueprint.post("/records/<record_id>/erasure-consent")
@blueprint.auth_required(auth)
@blueprint.input(ReasonInput, location="json", arg_name="body")
@blueprint.output(ErasureConsentShape, status_code=201)
@blueprint.doc(
    summary="Agree to the erasure of a record", tags=["Customs"], responses=[401, 403, 404, 409, 412, 422, 428]
)
def post_erasure_consent(record_id: str, body: ReasonInput) -> dict[str, Any]:
    """For what was lodged with your office, or one that lets it act, once the holder has asked. The reason stays."""
    return _consent(erasure.agree(current_context(), person(), record_id, body.reason, views.version_read()))


def _consent(on_file: RecordOnFile) -> dict[str, Any]:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        kept = _retention(ctx, work, on_file)
    views.tagged(on_file.version)
    return {"id": on_file.id, "version": on_file.version, "retention": kept}
