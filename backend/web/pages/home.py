"""The start page: for strangers what this is, for others what needs their attention."""

from typing import Any

from flask import render_template
from flask_login import current_user

from backend.domain.kinds import ISSUERS
from backend.domain.parties import Person, Role
from backend.domain.records import Assurance, RequestState
from backend.domain.statuses import DeclarationStatus
from backend.services import accreditation
from backend.services.ports import Store
from backend.services.release_times import study
from backend.web.auth import person
from backend.web.context import surroundings
from backend.web.pages import blueprint

_OPEN = [status for status in DeclarationStatus if status.is_open]
_NEEDS_MERCHANT = (DeclarationStatus.DOCUMENTS_REQUIRED, DeclarationStatus.DETAINED, DeclarationStatus.REJECTED)
SHOWN = 5


@blueprint.get("/")
def home() -> str:
    """The start page."""
    if not current_user.is_authenticated:
        return render_template("pages/landing.html")
    actor = person()
    with surroundings().work(reading=True) as work:
        proofs = {"oldest_without_proof": work.store.oldest_unanchored()}
        if actor.role is Role.MERCHANT:
            return render_template("pages/home_merchant.html", **proofs, **_for_merchant(work.store, actor))
        if actor.role in ISSUERS:
            return render_template("pages/home_issuer.html", **proofs, **_for_issuer(work.store, actor))
        if actor.role is Role.OFFICER:
            return render_template("pages/home_officer.html", **proofs, **_for_officer(work.store))
        if actor.role is Role.ANALYST:
            latest = work.store.simulations(actor.organisation)[:SHOWN]
            return render_template("pages/home_analyst.html", **proofs, simulations=latest, study=study(surroundings()))
    return render_template("pages/home_authority.html", **proofs, standings=accreditation.standings(surroundings()))


def _for_merchant(store: Store, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    consignments = store.consignments(own, limit=50)
    requests = store.requests(merchant=own)
    return {
        "sent_back": [r for r in requests if r.state is RequestState.SENT_BACK and not r.statement.superseded_by_id],
        "waiting": [r for r in requests if r.state is RequestState.WAITING][:SHOWN],
        "halted": [c for c in consignments if c.status in _NEEDS_MERCHANT],
        "consignments": consignments[:SHOWN],
        "has_products": bool(store.products(own)),
        "has_papers": bool(store.records_of(own)),
        "study": study(surroundings(), own),
    }


def _for_issuer(store: Store, actor: Person) -> dict[str, Any]:
    own = actor.organisation
    signed = [r for r in store.records_of(own) if r.issuer.id == own.id and r.assurance is Assurance.ISSUED]
    waiting = store.requests(issuer=own, state=RequestState.WAITING)
    return {"waiting": waiting[:SHOWN], "count": len(waiting), "signed": signed[:SHOWN]}


def _for_officer(store: Store) -> dict[str, Any]:
    counts = {status: len(store.consignments(status=status, limit=100)) for status in _OPEN}
    return {
        "counts": counts,
        "oldest": store.consignments(status=DeclarationStatus.LODGED, limit=100)[-SHOWN:][::-1],
        "study": study(surroundings()),
    }
