"""Hands out the events of clearance, so that others can time it."""

from typing import Any

from flask import Response, stream_with_context
from pydantic import AwareDatetime, Field

from backend.domain.errors import NotAllowed
from backend.services import release_times
from backend.web.api.access import auth
from backend.web.api.interface import blueprint
from backend.web.api.shapes import Shape
from backend.web.auth import person
from backend.web.context import current_context

_READERS = ("officer", "analyst")
_CSV: dict[int | str, Any] = {
    200: {"description": "One row an event", "content": {"text/csv": {"schema": {"type": "string"}}}},
    401: {"description": "Unauthorized"},
    403: {"description": "Forbidden"},
    422: {"description": "Unprocessable Entity"},
}


class EventsQuery(Shape):
    """Which events to hand out."""

    since: AwareDatetime | None = Field(None, description="Only what was recorded at or after this time (RFC 3339)")


@blueprint.get("/clearance-events")
@blueprint.auth_required(auth)
@blueprint.input(EventsQuery, location="query", arg_name="query")
@blueprint.doc(summary="Export the events of clearance", tags=["Customs"], responses=_CSV)
def get_clearance_events(query: EventsQuery) -> Response:
    """Every step of every declaration as CSV, for ``clearance-sim trs``; for customs and analysts. No names, no goods.

    Columns: declaration, step, occurred_at, recorded_at, customs_office, party (the role of who took the step).
    """
    if person().role.value not in _READERS:
        raise NotAllowed("only customs and analysts read the events of all declarations")
    lines = release_times.as_csv(release_times.events(current_context(), query.since))
    response = Response(stream_with_context(lines), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=clearance-events.csv"
    return response
