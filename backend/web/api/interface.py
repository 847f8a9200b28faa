"""The interface's blueprint, and how a token tells who asks."""

from apiflask import APIBlueprint
from flask import Response, g

from backend.domain.parties import Person
from backend.services.organisations import bearer
from backend.web.api.access import auth
from backend.web.problems import problem
from backend.web.surroundings import surroundings

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="Provenport")


@auth.verify_token  # type: ignore[untyped-decorator]
def who(token: str) -> Person | None:
    """The person whose token was sent."""
    found = bearer(surroundings(), token) if token else None
    g.bearer = found
    return found


@auth.error_processor
def unknown(error: object) -> Response:
    """There was no token, or nobody's."""
    return problem(401, "not-signed-in")
