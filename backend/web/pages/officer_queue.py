"""The customs officer's pages: the queue of declarations, the dossier of each, and the decision."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.consignment import Consignment, Decision
from backend.domain.errors import Conflict, Invalid, StaleVersion
from backend.domain.ledger import OFFICE_EDGES, DeclarationStatus
from backend.domain.parties import Role
from backend.domain.verdict import Check, Conclusion, Outcome, Verdict
from backend.services import decisions, declarations
from backend.services.release_times import study
from backend.services.verification import (
    DossierVerdict,
    RecordVerdict,
    verdict_on_consignment,
    verdicts_on_consignments,
)
from backend.web.context import current_context, only, person
from backend.web.pages import blueprint, version_read
from backend.web.pages.declarations import status_asked
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import later_changes
from backend.web.presentation.match_table import match_table

PAGE = 50
_ORDER = (
    Decision.RELEASE,
    Decision.DOCUMENTS_REQUIRED,
    Decision.EXAMINE,
    Decision.DETAIN,
    Decision.REJECT,
    Decision.RETURN,
    Decision.SEIZE,
)
_CONFIRMED = (Decision.RETURN, Decision.SEIZE)
"""Irreversible decisions about the goods, which need a confirmation against slips."""


@dataclass(frozen=True)
class DocumentVerdict:
    """A paper of the dossier with all checks about it, its own and those across papers."""

    evaluated: RecordVerdict
    verdict: Verdict


@blueprint.get("/desk")
@only(Role.OFFICER)
def desk() -> str:
    """List declarations with their verdicts, by default those that wait for a first decision."""
    everything, is_alerted = request.args.get("status") == "all", "alerted" in request.args
    status = None if everything or is_alerted else status_asked() or DeclarationStatus.LODGED
    ctx, alerted, lines = current_context(), None, []
    with ctx.work(reading=True) as work:
        offices = declarations.jurisdiction(ctx, work, person())
        waiting, after = status is not None and status.is_open, request.args.get("after")
        if is_alerted:
            alerted = work.consignments.alerted(PAGE, offices=offices, after=after)
        else:
            found = work.consignments.search(None, status, PAGE, after, oldest_first=waiting, offices=offices)
            evaluated = zip(found, verdicts_on_consignments(ctx, work, found, in_brief=True), strict=True)
            lines = [(one, result.verdict) for one, result in evaluated]
    return render_template(
        "pages/officer_queue.html",
        alerted=alerted,
        lines=lines,
        status=status,
        statuses=list(DeclarationStatus),
        study=study(ctx, offices=offices),
        page=PAGE,
    )


@blueprint.get("/desk/<declaration_id>")
@only(Role.OFFICER)
def dossier(declaration_id: str) -> str:
    """Show everything about one declaration."""
    return _dossier(declaration_id)


@blueprint.post("/desk/<declaration_id>/decide")
@only(Role.OFFICER)
def decide(declaration_id: str) -> ResponseReturnValue:
    """Record a decision. If it is refused, show why and keep what was typed."""
    chosen, reason = request.form.get("decision", ""), request.form.get("reason", "")
    if chosen not in set(Decision):
        return _dossier(declaration_id, {"decision": _("Choose a decision.")}), 422
    if chosen in _CONFIRMED and request.form.get("confirm_final") != "yes":
        return _dossier(declaration_id, {"confirm_final": _("Tick this first.")}), 422
    read = version_read()
    accepts = request.form.get("accept_indeterminate") == "yes"
    try:
        decisions.decide(current_context(), person(), declaration_id, Decision(chosen), reason, accepts, read=read)
    except StaleVersion as error:
        return _dossier(declaration_id, stale=error), 412
    except Invalid as error:
        return _dossier(declaration_id, {where: in_words(message) for where, message in error.problems}), 422
    except decisions.NotReleasable as error:
        return _dossier(declaration_id, {"decision": _not_releasable(error.verdict)}), 409
    except Conflict:
        return _dossier(declaration_id, {"decision": _("Its present status does not allow this decision.")}), 409
    flash(_("Accepted. The merchant sees it now; it counts for good once the ledger has it."))
    return redirect(url_for("pages.desk"))


def _not_releasable(verdict: Verdict) -> str:
    if verdict.conclusion is Conclusion.INDETERMINATE:
        return str(_("Some checks could not be made. Tick that you release nevertheless, or decide otherwise."))
    return str(_("The papers do not bear a release: a check failed. Read it above, then decide otherwise."))


def _dossier(declaration_id: str, faults: dict[str, str] | None = None, stale: StaleVersion | None = None) -> str:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.consignments.visible_to(person(), declaration_id, ctx.now())
        evaluated = verdict_on_consignment(ctx, work, found)
    return render_template(
        "pages/dossier.html",
        consignment=found,
        record=found.record,
        # What was altered in the database is not shown as if it had been declared.
        fields=found.record.fields if evaluated.declaration.verdict.checks[0].outcome is Outcome.PASS else {},
        verdict=evaluated.verdict,
        papers=papers_of(evaluated),
        table=match_table(evaluated),
        decisions=_possible(found),
        confirmed=_CONFIRMED,
        faults=faults or {},
        # A decision that rested on an older version is made anew; the reason that was typed stays.
        typed=request.form if stale is None else {"reason": request.form.get("reason", "")},
        now=ctx.now(),
        changes=stale and later_changes(stale.changes),
    )


def papers_of(evaluated: DossierVerdict) -> list[DocumentVerdict]:
    """Return each paper with the checks about it, the declaration first."""
    return [
        DocumentVerdict(one, Verdict.of(_about(evaluated.verdict.checks, one.record.id), evaluated.verdict.as_of))
        for one in (evaluated.declaration, *evaluated.papers)
    ]


def _about(checks: Sequence[Check], record_id: str) -> list[Check]:
    return [check for check in checks if check.record == record_id]


def _possible(consignment: Consignment) -> list[Decision]:
    return [decision for decision in _ORDER if (consignment.status, decision.leads_to) in OFFICE_EDGES]
