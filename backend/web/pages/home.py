"""The start page: for strangers what this is, for others what needs their attention."""

from typing import Any

from flask import Response, render_template
from flask_login import current_user

from backend.domain.kinds import ISSUERS
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Person, Role
from backend.domain.records import Assurance, RequestState
from backend.services import accreditation
from backend.services import release_times as timing
from backend.services.declarations import jurisdiction
from backend.services.release_times import study
from backend.store.unit_of_work import UnitOfWork
from backend.web.context import current_context, only, person
from backend.web.pages import blueprint

_OPEN = [status for status in DeclarationStatus if status.is_open]
_NEEDS_MERCHANT = (
    DeclarationStatus.DOCUMENTS_REQUIRED,
    DeclarationStatus.DETAINED,
    DeclarationStatus.REJECTED,
    DeclarationStatus.RETURNED,
    DeclarationStatus.SEIZED,
)
SHOWN = 5


@blueprint.get("/")
def home() -> str:
    """The start page."""
    if not current_user.is_authenticated:
        return render_template("pages/landing.html")
    actor = person()
    with current_context().work(reading=True) as work:
        proofs = {"oldest_without_proof": work.batches.oldest_unanchored()}
        if actor.role is Role.MERCHANT:
            return render_template("pages/home_merchant.html", **proofs, **_for_merchant(work, actor))
        if actor.role in ISSUERS:
            return render_template("pages/home_issuer.html", **proofs, **_for_issuer(work, actor))
        if actor.role is Role.OFFICER:
            return render_template("pages/home_officer.html", **proofs, **_for_officer(work, actor))
        if actor.role is Role.ANALYST:
            latest = work.simulations.of(actor.organisation)[:SHOWN]
            return render_template(
                "pages/home_analyst.html", **proofs, simulations=latest, study=study(current_context())
            )
    return render_template("pages/home_authority.html", **proofs, standings=accreditation.standings(current_context()))


def _for_merchant(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    consignments = work.consignments.search(own, limit=50)
    requests = work.requests.search(merchant=own)
    return {
        "sent_back": [r for r in requests if r.state is RequestState.SENT_BACK and not r.statement.superseded_by_id],
        "waiting": [r for r in requests if r.state is RequestState.WAITING][:SHOWN],
        "alerted": work.consignments.alerted(SHOWN, own),
        "halted": [c for c in consignments if c.status in _NEEDS_MERCHANT],
        "consignments": consignments[:SHOWN],
        "has_products": bool(work.products.of(own)),
        "has_papers": bool(work.records.of(own)),
        "study": study(current_context(), own),
    }


def _for_issuer(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    signed = [r for r in work.records.of(own) if r.issuer.id == own.id and r.assurance is Assurance.ISSUED]
    waiting = work.requests.search(issuer=own, state=RequestState.WAITING)
    return {"waiting": waiting[:SHOWN], "count": len(waiting), "signed": signed[:SHOWN]}


def _for_officer(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    ctx = current_context()
    offices = jurisdiction(ctx, work, actor)
    counts = {status: len(work.consignments.search(status=status, limit=100, offices=offices)) for status in _OPEN}
    waiting = work.consignments.search(status=DeclarationStatus.LODGED, limit=100, offices=offices)
    return {
        "counts": counts,
        "alerted": work.consignments.alerted(SHOWN, offices=offices),
        "oldest": waiting[-SHOWN:][::-1],
        "study": study(ctx, offices=offices),
    }


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
