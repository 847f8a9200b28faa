"""The JSON Schemas of the records, at addresses that never move."""

from flask import Blueprint, Response, abort, jsonify, make_response, url_for
from flask.typing import ResponseReturnValue

from backend.domain import schemas
from backend.domain.documents import CREDENTIAL_TYPES, KINDS, SLUGS
from backend.domain.kinds import Kind
from backend.web.context import current_context

blueprint = Blueprint("schemas", __name__, url_prefix="/schemas")


@blueprint.get("")
def index() -> Response:
    """Every kind of record with the schema that it names."""
    return jsonify({"schemas": [_entry(kind) for kind in Kind]})


def _entry(kind: Kind) -> dict[str, object]:
    return {
        "kind": SLUGS[kind],
        "type": CREDENTIAL_TYPES[kind],
        "version": schemas.VERSION,
        "id": schemas.address(kind, current_context().public_url),
        "url": url_for("schemas.schema", slug=SLUGS[kind], version=schemas.VERSION),
    }


@blueprint.get("/<slug>/v<int:version>.json")
def schema(slug: str, version: int) -> ResponseReturnValue:
    """One schema. Nothing that was published here changes, so whoever has it may keep it."""
    if slug not in KINDS or version != schemas.VERSION:
        abort(404)
    kind = KINDS[slug]
    answer = make_response(
        jsonify(schemas.credential_schema(kind, schemas.address(kind, current_context().public_url)))
    )
    answer.mimetype = "application/schema+json"
    answer.headers["Cache-Control"] = "public, max-age=86400"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer
