"""How long goods took here: the system's own events, timed."""

from flask import Response, render_template

from backend.domain.parties import Role
from backend.services import release_times as timing
from backend.web.auth import only
from backend.web.context import current_context
from backend.web.pages import blueprint


@blueprint.get("/release-times")
@only(Role.ANALYST)
def release_times() -> str:
    """Both clocks over everything released, and the events behind them."""
    return render_template("pages/release_times.html", study=timing.study(current_context()))


@blueprint.get("/release-times/events.csv")
@only(Role.ANALYST)
def release_events() -> Response:
    """Every step of every declaration; no names, no goods."""
    lines = timing.as_csv(timing.events(current_context()))
    answer = Response("".join(lines), mimetype="text/csv")
    answer.headers["Content-Disposition"] = "attachment; filename=clearance-events.csv"
    return answer
