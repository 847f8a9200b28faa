"""Records, their evidence, and the verdict on evidence that somebody brings."""

from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from backend.domain import evidence
from backend.domain.errors import Conflict, Invalid
from backend.domain.records import RecordOnFile
from backend.services import declarations
from backend.services.access_policy import visible_record
from backend.services.bundles import bundle_of, bundle_of_consignment
from backend.services.ports import AppContext
from backend.services.verification import (
    evidence_of,
    snapshot,
    verdict_on,
    verdict_on_bundle,
)
from backend.web.api import views
from backend.web.api.access import auth
from backend.web.api.interface import blueprint
from backend.web.api.shapes import EvidenceQuery, MomentQuery, PersonShape, RecordShape, VerdictShape
from backend.web.auth import person
from backend.web.context import current_context
from backend.web.presentation.bundle_files import bundle_file
from backend.web.presentation.languages import language
from backend.web.presentation.verdict_json import verdict_json


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
        on_file = visible_record(work, person(), record_id)
    return views.record(on_file, verdict_on(ctx, on_file, query.at))


@blueprint.get("/records/<record_id>/evidence")
@blueprint.auth_required(auth)
@blueprint.input(EvidenceQuery, location="query", arg_name="query")
@blueprint.doc(summary="Download a record's evidence", tags=["Everybody"], responses=[401, 404, 409, 422])
def get_evidence(record_id: str, query: EvidenceQuery) -> ResponseReturnValue:
    """The bundle: record, inclusion proof, anchor and a signed snapshot, in a file that is verified elsewhere."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        on_file = visible_record(work, person(), record_id)
    if on_file.erased_at is not None:
        raise Conflict("this record was erased: there is no evidence left", erased_at=on_file.erased_at)
    if query.version == evidence.VERSION:
        return jsonify(_version_1(ctx, on_file))
    shown = None if query.fields is None else [name for name in query.fields.split(",") if name]
    return bundle_file(bundle_of(ctx, on_file, shown), record_id)


def _version_1(ctx: AppContext, on_file: RecordOnFile) -> dict[str, Any]:
    try:
        return evidence.write(evidence_of(on_file), snapshot(verdict_on(ctx, on_file, for_everybody=True)))
    except Invalid as error:
        raise Conflict("what is kept of this record was tampered with", record=on_file.id) from error


@blueprint.get("/declarations/<declaration_id>/evidence")
@blueprint.auth_required(auth)
@blueprint.doc(summary="Download a consignment's evidence", tags=["Customs", "Merchants"], responses=[401, 404, 409])
def get_consignment_evidence(declaration_id: str) -> ResponseReturnValue:
    """One bundle with the declaration and every paper that it relies on."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        consignment = declarations.visible(work, person(), declaration_id)
        return bundle_file(bundle_of_consignment(ctx, work, consignment), declaration_id)


@blueprint.post("/verify")
@blueprint.input(MomentQuery, location="query", arg_name="query")
@blueprint.output(VerdictShape)
@blueprint.doc(summary="Verify a bundle", tags=["Everybody"], responses=[400, 422])
def post_verify(query: MomentQuery) -> dict[str, Any]:
    """A bundle in, a verdict out: now, or ``at`` a past moment. Needs no token."""
    bundle = request.get_json(force=True)
    return verdict_json(verdict_on_bundle(current_context(), bundle, query.at), language())
