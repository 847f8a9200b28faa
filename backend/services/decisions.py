"""Decisions of customs officers on declarations. A release that the verdict does not support is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from backend.domain.consignment import REFUNDED, Consignment, Decision, DecisionTaken, Event, Step
from backend.domain.drawdowns import Shares
from backend.domain.errors import Conflict, Invalid, NotAllowed
from backend.domain.outbox import OFFICE
from backend.domain.parties import Organisation, Person, Role
from backend.domain.verdict import Conclusion, Outcome, Verdict
from backend.services.drawdowns import (
    Elsewhere,
    drawn_elsewhere,
    refund,
    request_drawdowns,
    shares,
)
from backend.services.ports import AppContext, rerunnable
from backend.services.records import change_status
from backend.services.verification import snapshot, verdict_on_consignment
from backend.store.unit_of_work import UnitOfWork

# The verdict is made outside of the writing unit of work, so the papers may change before the decision is stored.
LOOKS = 3
"""How often the verdict is made while the papers keep changing, before the decision is refused."""


class NotReleasable(Conflict):
    """The verdict does not allow a release. ``verdict`` holds its checks."""

    code = "not-releasable"

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"the verdict is {verdict.conclusion}", verdict=verdict.conclusion.value)
        self.verdict = verdict


@dataclass(frozen=True)
class _Seen:
    """What a decision rests on, read before the unit of work that decides.

    The ledger is slow, and must not be waited for while the database is locked for writing.
    """

    verdict: Verdict
    elsewhere: Mapping[str, Elsewhere]
    papers: tuple[tuple[str, int], ...]


@rerunnable
def decide(
    ctx: AppContext,
    actor: Person,
    declaration_id: str,
    decision: Decision,
    reason: str,
    accept_indeterminate: bool = False,
    read: int | None = None,
) -> DecisionTaken:
    """Record an officer's decision and queue it for the ledger. A release also requests its drawdowns.

    A release needs the verdict VALID. An INDETERMINATE verdict can be released with ``accept_indeterminate``, which is
    kept with the decision. An INVALID one cannot be released. ``read`` is the version of the consignment that the
    officer read, or None to decide on the present one.

    Raises:
        NotAllowed: The actor is not a customs officer.
        NotFound: There is no such declaration, or the officer may not act for the office that it was declared to.
        StaleVersion: Somebody else has changed the consignment since ``read``.
        Invalid: The reason is empty or longer than 2,000 characters.
        NotReleasable: The verdict does not allow a release, or too little is left of a certificate.
        Conflict: The declaration's status does not allow the decision, or its papers changed ``LOOKS`` times meanwhile.
    """
    if actor.role is not Role.OFFICER:
        raise NotAllowed("only customs officers decide")
    reason = reason.strip()
    if not reason or len(reason) > 2000:
        raise Invalid("a reason is needed", [("reason", "is missing or longer than 2,000 characters")])
    for _ in range(LOOKS):
        seen = _look(ctx, actor, declaration_id)
        with ctx.work() as work:
            consignment = work.consignments.visible_to(actor, declaration_id, ctx.now())
            work.consignments.next_version(consignment, read)
            # A paper was revoked or replaced since the verdict was made: make it again rather than release on an old
            # one.
            if _papers(work, consignment) != seen.papers:
                continue
            if decision is Decision.RELEASE and consignment.status.is_open:
                request_drawdowns(
                    ctx, work, consignment, _releasable(ctx, work, consignment, seen, accept_indeterminate)
                )
            office = work.organisations.get(actor.organisation.id)
            taken = _take(ctx, actor, office, consignment, decision, reason, seen.verdict)
            signer = consignment.customs_office if consignment.customs_office in ctx.ledger.offices else OFFICE
            taken.change = change_status(ctx, work, consignment.record, consignment.status, reason, signer)
            if decision.leads_to in REFUNDED:
                refund(ctx, work, consignment.id)
            work.commit()
        ctx.wake_anchoring()
        return taken
    raise Conflict("the papers were changed while this was decided: read them again")


def _look(ctx: AppContext, actor: Person, declaration_id: str) -> _Seen:
    with ctx.work(reading=True) as work:
        consignment = work.consignments.visible_to(actor, declaration_id, ctx.now())
        return _Seen(
            verdict_on_consignment(ctx, work, consignment).verdict,
            drawn_elsewhere(ctx, work, consignment.planned_drawdowns),
            _papers(work, consignment),
        )


def _papers(work: UnitOfWork, consignment: Consignment) -> tuple[tuple[str, int], ...]:
    """List the ids and stored statuses of the records that the verdict is about, to notice changes."""
    newest = [work.records.latest_of(paper.record) for paper in consignment.papers]
    return tuple((record.id, record.status) for record in (consignment.record, *newest))


def _releasable(
    ctx: AppContext, work: UnitOfWork, consignment: Consignment, seen: _Seen, accept_indeterminate: bool
) -> Shares:
    """Work out what the release draws down, from the counts in this unit of work.

    Raises:
        NotReleasable: The verdict or the remaining quantities do not allow the release.
    """
    # Counted again under the write lock, or two releases at once could draw the same goods.
    ours = work.drawdowns.drawn_by_others([consignment.id]).get(consignment.id, {})
    given = shares(ctx, work, consignment.planned_drawdowns, ours, seen.elsewhere)
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
