"""The JSON Schemas of the records, at addresses that never move."""

from flask import Blueprint, Response, abort, jsonify, make_response, url_for
from flask.typing import ResponseReturnValue

from backend.domain import schemas
from backend.domain.kinds import BY_SLUG, KINDS, Kind
from backend.web.context import current_context

blueprint = Blueprint("schemas", __name__, url_prefix="/schemas")


@blueprint.get("")
def index() -> Response:
    """Every version of every kind's schema."""
    return jsonify({"schemas": [_entry(BY_SLUG[slug], version) for slug, version in schemas.published()]})


def _entry(kind: Kind, version: int) -> dict[str, object]:
    return {
        "kind": kind.slug,
        "type": KINDS[kind].credential_type,
        "version": version,
        "id": schemas.address(kind, current_context().public_url, version),
        "url": url_for("schemas.schema", slug=kind.slug, version=version),
    }


@blueprint.get("/<slug>/v<int:version>.json")
def schema(slug: str, version: int) -> ResponseReturnValue:
    """One schema. Nothing that was published here changes, so whoever has it may keep it."""
    if (slug, version) not in schemas.published():
        abort(404)
    kind = BY_SLUG[slug]
    named = schemas.address(kind, current_context().public_url, version)
    answer = make_response(jsonify(schemas.credential_schema(kind, named, version)))
    answer.mimetype = "application/schema+json"
    answer.headers["Cache-Control"] = "public, max-age=86400"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer
