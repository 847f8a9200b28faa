"""Declarations, officers' decisions, and how long clearance takes."""

from dataclasses import asdict
from typing import Any

from flask import Response
from pydantic import Field

from backend.domain.errors import Invalid, Message, NotAllowed
from backend.domain.fields import Instant
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile, fields_of
from backend.services import decisions, declarations, release_times
from backend.services.verification import verdict_on_consignment
from backend.web.api import views
from backend.web.api.shapes import (
    ArrivalInput,
    DecisionInput,
    DecisionShape,
    DeclarationInput,
    DeclarationList,
    DeclarationQuery,
    DeclarationShape,
    DeclarationSummary,
    PreCheckShape,
    RecordReceipt,
    ReleaseTimesShape,
    Shape,
)
from backend.web.api.views import auth, blueprint
from backend.web.context import current_context, person, signed_in_company
from backend.web.public.downloads import events_file


@blueprint.post("/declarations")
@blueprint.auth_required(auth)
@blueprint.input(DeclarationInput, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Lodge a declaration", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_declaration(document: DeclarationInput) -> dict[str, Any]:
    """Sign and lodge a declaration for a consignment. Needs a merchant's token; ``records`` are ids of its records."""
    fields = fields_of(document)

    def lodged() -> RecordOnFile:
        return declarations.lodge(current_context(), person(), fields).record

    return views.receipt(signed_in_company(Kind.DECLARATION, fields, lodged))


@blueprint.post("/declarations/pre-check")
@blueprint.auth_required(auth)
@blueprint.input(DeclarationInput, location="json", arg_name="document")
@blueprint.output(PreCheckShape)
@blueprint.doc(summary="Pre-check a declaration", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_pre_check(document: DeclarationInput) -> dict[str, Any]:
    """Tell what customs would find if this declaration were lodged now, by the same rules. Nothing is stored.

    Takes what ``POST /declarations`` takes, and refuses what it refuses. Needs a merchant's token.
    """
    return views.pre_check(declarations.pre_check(current_context(), person(), fields_of(document)))


@blueprint.get("/declarations")
@blueprint.auth_required(auth)
@blueprint.input(DeclarationQuery, location="query", arg_name="query")
@blueprint.output(DeclarationList)
@blueprint.doc(summary="List declarations", tags=["Customs", "Merchants"], responses=[401, 403, 422])
def list_declarations(query: DeclarationQuery) -> dict[str, Any]:
    """Newest first. Officers see what was declared to the offices that they act for; a merchant sees its own."""
    ctx, actor = current_context(), person()
    status = _status(query.status)
    merchant = None if actor.role is Role.OFFICER else actor.organisation
    with ctx.work(reading=True) as work:
        offices = declarations.jurisdiction(ctx, work, actor)
        if query.alerted:
            found = work.consignments.alerted(query.limit, merchant, offices, query.after)
        else:
            found = work.consignments.lines(
                merchant,
                [status] if status is not None else [],
                query.limit,
                query.after,
                with_decisions=True,
                offices=offices,
            )
    return {
        "declarations": [views.summary(consignment) for consignment in found],
        "next": found[-1].id if len(found) == query.limit else None,
    }


def _status(name: str | None) -> DeclarationStatus | None:
    if name is None:
        return None
    try:
        return DeclarationStatus[name]
    except KeyError:
        known = ", ".join(status.name for status in DeclarationStatus)
        raise Invalid("no such status", [("status", Message("must be one of {known}", known=known))]) from None


@blueprint.get("/declarations/<declaration_id>")
@blueprint.auth_required(auth)
@blueprint.output(DeclarationShape)
@blueprint.doc(summary="Read a declaration", tags=["Customs", "Merchants"], responses=[401, 404])
def get_declaration(declaration_id: str) -> dict[str, Any]:
    """A declaration with its papers, the verdict over all of them, its events and decisions."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        consignment = work.consignments.visible_to(person(), declaration_id, ctx.now())
        views.tagged(consignment.version)
        return views.declaration(consignment, verdict_on_consignment(ctx, work, consignment))


@blueprint.post("/declarations/<declaration_id>/decisions")
@blueprint.auth_required(auth)
@blueprint.input(DecisionInput, location="json", arg_name="body")
@blueprint.output(DecisionShape, status_code=201)
@blueprint.doc(summary="Decide on a declaration", tags=["Customs"], responses=[401, 403, 404, 409, 412, 422, 428])
def post_decision(declaration_id: str, body: DecisionInput) -> dict[str, Any]:
    """An officer decides on the version that it read. Release is refused with 409 while the verdict is not VALID.

    Where somebody else has decided, withdrawn or reported since, the answer is 412 and tells who, what, when and why.
    """
    taken = decisions.decide(
        current_context(),
        person(),
        declaration_id,
        body.decision,
        body.reason,
        body.accept_indeterminate,
        views.version_read(),
    )
    views.tagged(taken.version or 1)
    return views.decision(declaration_id, taken)


@blueprint.post("/declarations/<declaration_id>/arrival")
@blueprint.auth_required(auth)
@blueprint.input(ArrivalInput, location="json", arg_name="body")
@blueprint.output(DeclarationSummary, status_code=201)
@blueprint.doc(summary="Report the goods' arrival", tags=["Customs", "Merchants"], responses=[401, 403, 404, 409, 422])
def post_arrival(declaration_id: str, body: ArrivalInput) -> dict[str, Any]:
    """Tell when goods that were declared beforehand came under customs' control."""
    reported = declarations.report_arrival(current_context(), person(), declaration_id, body.arrived_at)
    views.tagged(reported.version)
    return views.summary(reported)


@blueprint.post("/declarations/<declaration_id>/withdrawal")
@blueprint.auth_required(auth)
@blueprint.output(DeclarationSummary, status_code=201)
@blueprint.doc(summary="Withdraw a declaration", tags=["Merchants"], responses=[401, 403, 404, 409, 412, 428])
def post_withdrawal(declaration_id: str) -> dict[str, Any]:
    """Take a declaration back, as long as customs have not begun to act on the goods."""
    withdrawn = declarations.withdraw(current_context(), person(), declaration_id, views.version_read())
    views.tagged(withdrawn.version)
    return views.summary(withdrawn)


@blueprint.get("/release-times")
@blueprint.auth_required(auth)
@blueprint.output(ReleaseTimesShape)
@blueprint.doc(summary="Time release study", tags=["Customs", "Merchants"], responses=[401])
def get_release_times() -> dict[str, Any]:
    """Count, mean, median and 90th percentile of both clocks, in hours, over the latest 1,000 releases.

    Of a merchant's own goods, or of what was declared to an officer's office. ``/clearance-events`` hands out the
    events behind them.
    """
    actor = person()
    merchant = actor.organisation if actor.role is Role.MERCHANT else None
    study = release_times.study(current_context(), merchant, _offices(actor))
    return asdict(study)


def _offices(actor: Person) -> frozenset[str] | None:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        return declarations.jurisdiction(ctx, work, actor)


_READERS = ("officer", "analyst")
_CSV: dict[int | str, Any] = {
    200: {"description": "One row an event", "content": {"text/csv": {"schema": {"type": "string"}}}},
    401: {"description": "Unauthorized"},
    403: {"description": "Forbidden"},
    422: {"description": "Unprocessable Entity"},
}


class EventsQuery(Shape):
    """Which events to hand out."""

    since: Instant | None = Field(None, description="Only what was recorded at or after this time (RFC 3339)")


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
    events = release_times.events(current_context(), query.since, _offices(person()))
    return events_file(release_times.as_csv(events))
