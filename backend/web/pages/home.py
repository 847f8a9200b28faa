"""The start page: an introduction for visitors, and open tasks for those who are signed in."""

from typing import Any

from flask import Response, render_template
from flask_babel import gettext as _
from flask_login import current_user

from backend.domain.kinds import HELD, ISSUERS, Kind, certified_by
from backend.domain.ledger import Accreditation, DeclarationStatus
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
from backend.web.presentation.field_names import in_words
from backend.web.public.downloads import events_file

_OPEN = [status for status in DeclarationStatus if status.is_open]
_HALTED = (DeclarationStatus.DOCUMENTS_REQUIRED, DeclarationStatus.DETAINED)
"""Customs hold the goods until the merchant does something."""
_REFUSED = (DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.SEIZED)
SHOWN = 5


@blueprint.get("/")
def home() -> str:
    """Show the start page of the reader's role."""
    if not current_user.is_authenticated:
        return render_template("pages/landing.html")
    actor = person()
    unaccredited = _unaccredited(actor)
    with current_context().work(reading=True) as work:
        proofs = {"oldest_without_proof": work.batches.oldest_unanchored(), "unaccredited": unaccredited}
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


def _unaccredited(actor: Person) -> str | None:
    """Tell a merchant or an issuer that what it signs counts for nothing at present, or return None."""
    if actor.role is not Role.MERCHANT and actor.role not in ISSUERS:
        return None
    ctx, own = current_context(), actor.organisation
    held = accreditation.signer_terms(ctx, own).held
    if held is None or (isinstance(held, Accreditation) and held.kinds == 0):
        return str(
            _("Your organisation is not accredited yet. Customs accept what it signs once the authority has done so.")
        )
    kinds = [Kind.DECLARATION] if actor.role is Role.MERCHANT else sorted(certified_by(actor.role))
    fault = accreditation.why_not_covered(ctx, own, kinds[0], {})
    return in_words(fault[1]) if fault is not None else None


def _for_merchant(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    return {
        "sent_back": work.requests.search(own, RequestState.SENT_BACK, SHOWN),
        "sent_back_count": work.requests.count(own, RequestState.SENT_BACK),
        "waiting": work.requests.search(own, RequestState.WAITING, SHOWN),
        "waiting_count": work.requests.count(own, RequestState.WAITING),
        "alerted": work.consignments.alerted(SHOWN, own),
        "alerted_count": work.consignments.count_alerted(own),
        "halted": work.consignments.lines(own, _HALTED, SHOWN, oldest_first=True, with_decisions=True),
        "refused": work.consignments.lines(own, _REFUSED, SHOWN, with_decisions=True),
        "counts": work.consignments.counts(_HALTED + _REFUSED, own),
        "consignments": work.consignments.lines(own, limit=SHOWN, with_decisions=True),
        "has_products": work.products.has_any(own),
        "has_papers": work.records.has_any(own),
        "study": study(current_context(), own),
    }


def _for_issuer(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    return {
        "waiting": work.requests.search(own, RequestState.WAITING, SHOWN),
        "count": work.requests.count(own, RequestState.WAITING),
        "signed": evaluated(current_context(), work.records.of(own, HELD, SHOWN)),
    }


def _for_officer(work: UnitOfWork, actor: Person) -> dict[str, Any]:
    ctx = current_context()
    offices = jurisdiction(ctx, work, actor)
    waiting = [DeclarationStatus.LODGED]
    return {
        "counts": work.consignments.counts(_OPEN, offices=offices),
        "alerted": work.consignments.alerted(SHOWN, offices=offices),
        "alerted_count": work.consignments.count_alerted(offices=offices),
        "oldest": work.consignments.lines(statuses=waiting, limit=SHOWN, oldest_first=True, offices=offices),
        "study": study(ctx, offices=offices),
    }


@blueprint.get("/release-times")
@only(Role.ANALYST)
def release_times() -> str:
    """Show both clocks over the latest releases, with a link to the events."""
    return render_template("pages/release_times.html", study=timing.study(current_context()))


@blueprint.get("/release-times/events.csv")
@only(Role.ANALYST)
def release_events() -> Response:
    """Download the steps of all declarations as CSV, without names or goods."""
    return events_file(timing.as_csv(timing.events(current_context())))
