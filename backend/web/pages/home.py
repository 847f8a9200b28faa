"""The start page: for strangers what this is, for others what needs their attention."""

from typing import Any

from flask import Response, render_template
from flask_login import current_user

from backend.domain.kinds import ISSUERS, PAPERS
from backend.domain.ledger import DeclarationStatus
from backend.domain.parties import Person, Role
from backend.domain.records import RequestState
from backend.services import accreditation
from backend.services import release_times as timing
from backend.services.declarations import jurisdiction
from backend.services.release_times import study
from backend.services.verification import evaluated
from backend.store.unit_of_work import UnitOfWork
from backend.web.context import current_context, only, person
from backend.web.pages import blueprint

_OPEN = [status for status in DeclarationStatus if status.is_open]
_HALTED = (DeclarationStatus.DOCUMENTS_REQUIRED, DeclarationStatus.DETAINED)
"""Customs hold the goods until the merchant does something."""
_REFUSED = (DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.SEIZED)
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
    sent_back = work.requests.search(merchant=own, state=RequestState.SENT_BACK, limit=SHOWN, oldest_first=True)
    return {
        "sent_back": sent_back,
        "sent_back_count": work.requests.count(RequestState.SENT_BACK, merchant=own),
        "waiting": work.requests.search(merchant=own, state=RequestState.WAITING, limit=SHOWN, oldest_first=True),
        "alerted": work.consignments.alerted(SHOWN, own),
        "halted": work.consignments.lines(own, _HALTED, SHOWN, oldest_first=True, with_decisions=True),
        "halted_counts": work.consignments.counts(_HALTED, own),
        "refused": work.consignments.lines(own, _REFUSED, SHOWN, with_decisions=True),
        "consignments": work.consignments.lines(own, limit=SHOWN, with_decisions=True),
        "has_products": work.products.has_any(own),
        "has_papers": work.records.has_any(own),
        "study": study(current_context(), own),
    }


def _for_issuer(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    return {
        "waiting": work.requests.search(issuer=own, state=RequestState.WAITING, limit=SHOWN, oldest_first=True),
        "count": work.requests.count(RequestState.WAITING, issuer=own),
        "signed": evaluated(current_context(), work.records.of(own, PAPERS, SHOWN)),
    }


def _for_officer(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    ctx = current_context()
    offices = jurisdiction(ctx, work, actor)
    waiting = [DeclarationStatus.LODGED]
    return {
        "counts": work.consignments.counts(_OPEN, offices=offices),
        "alerted": work.consignments.alerted(SHOWN, offices=offices),
        "oldest": work.consignments.lines(statuses=waiting, limit=SHOWN, oldest_first=True, offices=offices),
        "study": study(ctx, offices=offices),
    }


@blueprint.get("/release-times")
@only(Role.ANALYST)
def release_times() -> str:
    """Both clocks over the latest releases, and the events of all of them."""
    return render_template("pages/release_times.html", study=timing.study(current_context()))


@blueprint.get("/release-times/events.csv")
@only(Role.ANALYST)
def release_events() -> Response:
    """Every step of every declaration; no names, no goods."""
    lines = timing.as_csv(timing.events(current_context()))
    answer = Response("".join(lines), mimetype="text/csv")
    answer.headers["Content-Disposition"] = "attachment; filename=clearance-events.csv"
    return answer
