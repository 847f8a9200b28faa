"""The programming interface, version 1: JSON in, JSON out, bearer tokens, OpenAPI 3.1."""

from apiflask import APIBlueprint
from flask import g
from flask.typing import ResponseReturnValue

from backend.services.organisations import bearer
from backend.web.api.access import auth
from backend.web.surroundings import surroundings

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="Provenport")


@auth.verify_token  # type: ignore[untyped-decorator]
def _who(token: str) -> object:
    g.bearer = bearer(surroundings(), token) if token else None
    return g.bearer


@auth.error_processor
def _unknown(error: object) -> ResponseReturnValue:
    from backend.web.problems import problem

    return problem(401, "not-signed-in")


from backend.web.api import certifying, customs, evidence, issuers  # noqa: E402, F401
