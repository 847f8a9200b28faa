"""Showing a record in part, and erasing it."""

from typing import Any

from backend.domain.errors import Invalid
from backend.domain.presentations import Audience
from backend.services import erasure, selective_disclosure
from backend.web.api.access import auth
from backend.web.api.interface import blueprint
from backend.web.api.shapes import ErasureInput, ErasureShape, PresentationQuery
from backend.web.auth import person
from backend.web.context import current_context


@blueprint.get("/records/<record_id>/presentation")
@blueprint.auth_required(auth)
@blueprint.input(PresentationQuery, location="query", arg_name="query")
@blueprint.doc(summary="Show a record in part", tags=["Everybody"], responses=[401, 404, 409, 422])
def get_presentation(record_id: str, query: PresentationQuery) -> dict[str, Any]:
    """The evidence bundle with only those fields in the open that the ``audience`` needs, or that ``fields`` names."""
    if (query.audience is None) == (query.fields is None):
        raise Invalid("say what to show", [("audience", "is missing: give it, or fields, and not both")])
    audience = Audience(query.audience) if query.audience is not None else None
    names = [name.strip() for name in (query.fields or "").split(",") if name.strip()]
    ctx = current_context()
    return selective_disclosure.presentation(
        ctx, selective_disclosure.choose(ctx, person(), record_id, audience, names)
    )


@blueprint.post("/records/<record_id>/erasure")
@blueprint.auth_required(auth)
@blueprint.input(ErasureInput, location="json", arg_name="body")
@blueprint.output(ErasureShape, status_code=201)
@blueprint.doc(summary="Erase a record", tags=["Merchants", "Issuers"], responses=[401, 403, 404, 409, 422])
def post_erasure(record_id: str, body: ErasureInput) -> dict[str, Any]:
    """What it said, its salts and its files go for good; its place on the ledger stays. For its holder only."""
    gone = erasure.erase(current_context(), person(), record_id)
    first, *others = gone.records
    return {
        "id": first.id,
        "erasedAt": first.erased_at,
        "alsoErased": [other.id for other in others],
        "files": gone.files,
    }
