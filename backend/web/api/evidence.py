"""Records, their evidence, and the verdict on evidence that somebody brings."""

from typing import Any

from flask import request

from backend.domain import evidence as bundles
from backend.domain.errors import Conflict, Invalid
from backend.services.verifying import evidence_of, snapshot, verdict_on, verdict_on_bundle
from backend.services.viewing import visible_record
from backend.web.api import views
from backend.web.api.access import auth
from backend.web.api.interface import blueprint
from backend.web.api.shapes import MomentQuery, PersonShape, RecordShape, VerdictShape
from backend.web.languages import language
from backend.web.people import person
from backend.web.surroundings import surroundings
from backend.web.verdict_json import verdict_json


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
    at = surroundings()
    with at.work(reading=True) as work:
        on_file = visible_record(work.store, person(), record_id)
    return views.record(on_file, verdict_on(at, on_file, query.at))


@blueprint.get("/records/<record_id>/evidence")
@blueprint.auth_required(auth)
@blueprint.doc(summary="Download a record's evidence", tags=["Everybody"], responses=[401, 404, 409])
def get_evidence(record_id: str) -> dict[str, Any]:
    """The bundle: record, inclusion proof and anchor in one JSON file that can be verified elsewhere."""
    at = surroundings()
    with at.work(reading=True) as work:
        on_file = visible_record(work.store, person(), record_id)
    if on_file.erased_at is not None:
        raise Conflict("this record was erased: there is no evidence left", erased_at=on_file.erased_at)
    try:
        found = evidence_of(on_file)
    except Invalid as error:
        raise Conflict("what is kept of this record was tampered with", record=record_id) from error
    return bundles.write(found, snapshot(verdict_on(at, on_file, for_everybody=True)))


@blueprint.post("/verify")
@blueprint.input(MomentQuery, location="query", arg_name="query")
@blueprint.output(VerdictShape)
@blueprint.doc(summary="Verify a bundle", tags=["Everybody"], responses=[400, 422])
def post_verify(query: MomentQuery) -> dict[str, Any]:
    """A bundle in, a verdict out: now, or ``at`` a past moment. Needs no token."""
    bundle = request.get_json(force=True)
    return verdict_json(verdict_on_bundle(surroundings(), bundle, query.at), language())
