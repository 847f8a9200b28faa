"""An officer decides on a declaration; what the papers do not bear is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from backend.domain.consignment import REFUNDED, Consignment, Decision, DecisionTaken, Event, Step
from backend.domain.drawdowns import Shares
from backend.domain.errors import Conflict, Invalid, NotAllowed
from backend.domain.parties import Organisation, Person, Role
from backend.domain.verdict import Conclusion, Outcome, Verdict
from backend.services.declarations import visible
from backend.services.drawdowns import (
    Elsewhere,
    drawn_elsewhere,
    refund,
    request_drawdowns,
    shares,
)
from backend.services.idempotency import IdempotencyKey, earlier_result, keep_result
from backend.services.ports import AppContext
from backend.services.records import change_status
from backend.services.verification import snapshot, verdict_on_consignment
from backend.store.unit_of_work import UnitOfWork

LOOKS = 3
"""How often the papers are judged anew where they change while an officer decides."""


class NotReleasable(Conflict):
    """The verdict does not bear a release."""

    code = "not-releasable"

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"the verdict is {verdict.conclusion}", verdict=verdict.conclusion.value)
        self.verdict = verdict


@dataclass(frozen=True)
class _Seen:
    """What a decision rests on. The ledger is asked for it outside of the unit of work that decides."""

    verdict: Verdict
    elsewhere: Mapping[str, Elsewhere]
    papers: tuple[tuple[str, int], ...]


def decide(
    ctx: AppContext,
    actor: Person,
    declaration_id: str,
    decision: Decision,
    reason: str,
    accept_indeterminate: bool = False,
    key: IdempotencyKey | None = None,
    read: int | None = None,
) -> DecisionTaken:
    """Record an officer's decision and queue it for the ledger; a release draws down its certificates.

    Release needs the verdict VALID. Where it is INDETERMINATE the officer may release on ``accept_indeterminate``,
    which stays on record; INVALID cannot be released at all. ``read`` is the version of the consignment that the
    officer read; None where the caller decides on what stands now.

    Raises:
        StaleVersion: Somebody else has changed the consignment since ``read``.
        NotFound: It was declared to an office for which the officer may not act.
        NotReleasable: The papers do not bear the release.
        Conflict: The status does not allow the decision.
    """
    if actor.role is not Role.OFFICER:
        raise NotAllowed("only customs officers decide")
    reason = reason.strip()
    if not reason or len(reason) > 2000:
        raise Invalid("a reason is needed", [("reason", "is missing or longer than 2,000 characters")])
    for _ in range(LOOKS):
        seen = _look(ctx, actor, declaration_id)
        with ctx.work() as work:
            consignment = visible(ctx, work, actor, declaration_id)
            if earlier := earlier_result(work, key):
                return next(taken for taken in consignment.decisions if taken.id == earlier)
            work.consignments.advance(consignment, read)
            if _papers(work, consignment) != seen.papers:
                continue
            if decision is Decision.RELEASE and consignment.status.is_open:
                request_drawdowns(
                    ctx, work, consignment, _releasable(ctx, work, consignment, seen, accept_indeterminate)
                )
            office = work.organisations.get(actor.organisation.id)
            taken = _take(ctx, actor, office, consignment, decision, reason, seen.verdict)
            taken.change = change_status(ctx, work, consignment.record, consignment.status, reason, signer="office")
            if decision.leads_to in REFUNDED:
                refund(ctx, work, consignment.id)
            keep_result(ctx, work, key, taken.id)
            work.commit()
        ctx.wake_anchoring()
        return taken
    raise Conflict("the papers were changed while this was decided: read them again")


def _look(ctx: AppContext, actor: Person, declaration_id: str) -> _Seen:
    with ctx.work(reading=True) as work:
        consignment = visible(ctx, work, actor, declaration_id)
        return _Seen(
            verdict_on_consignment(ctx, work, consignment).verdict,
            drawn_elsewhere(ctx, work, consignment),
            _papers(work, consignment),
        )


def _papers(work: UnitOfWork, consignment: Consignment) -> tuple[tuple[str, int], ...]:
    """The records that the verdict is about, with their statuses here."""
    newest = [work.records.latest_of(paper.record) for paper in consignment.papers]
    return tuple((record.id, record.status) for record in (consignment.record, *newest))


def _releasable(
    ctx: AppContext, work: UnitOfWork, consignment: Consignment, seen: _Seen, accept_indeterminate: bool
) -> Shares:
    """What the release draws down, counted now; raises NotReleasable where verdict or count do not bear it."""
    given = shares(ctx, work, consignment, seen.elsewhere)
    verdict = seen.verdict
    if any(check.outcome is Outcome.FAIL for check in given.checks):
        others = [check for check in verdict.checks if check.code != "QUANTITY_AVAILABLE"]
        verdict = Verdict.of([*others, *given.checks], verdict.as_of)
    if verdict.conclusion is Conclusion.INVALID or (
        verdict.conclusion is Conclusion.INDETERMINATE and not accept_indeterminate
    ):
        raise NotReleasable(verdict)
    return given


def _take(
    ctx: AppContext,
    actor: Person,
    office: Organisation,
    consignment: Consignment,
    decision: Decision,
    reason: str,
    verdict: Verdict,
) -> DecisionTaken:
    now = ctx.now()
    taken = DecisionTaken(str(uuid4()), decision, reason, actor.id, office, now, snapshot(verdict))
    consignment.decide(taken, Event(str(uuid4()), Step.of(decision.leads_to), now, now, office))
    return taken
