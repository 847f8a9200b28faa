"""The authority's acts: who takes part, and who is accredited."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backend.domain.errors import NotAllowed
from backend.domain.ledger import Accreditation
from backend.domain.outbox import AccreditationChange
from backend.domain.parties import Role
from backend.domain.verdict import Unknown
from backend.services import accreditation
from backend.services.accreditation import Standing
from backend.services.organisations import OrganisationProfile, register_by_authority
from backend.web.api import views
from backend.web.api.shapes import (
    AccreditationInput,
    ActShape,
    OrganisationInput,
    OrganisationJoined,
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
