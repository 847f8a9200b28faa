"""An officer decides on a declaration; what the papers do not bear is refused."""

from uuid import uuid4

from backend.domain.clearance import Decision, Step
from backend.domain.consignment import Consignment, DecisionTaken, Event
from backend.domain.errors import Conflict, Invalid, NotAllowed
from backend.domain.parties import Organisation, Person, Role
from backend.domain.verdict import Ruling, Verdict
from backend.services.answers import AnswerKey, earlier_answer, keep_answer
from backend.services.ports import Surroundings
from backend.services.recording import change_status
from backend.services.verifying import snapshot, verdict_on_consignment


class NotReleasable(Conflict):
    """The verdict does not bear a release."""

    code = "not-releasable"

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"the verdict is {verdict.ruling}", verdict=verdict.ruling.value)
        self.verdict = verdict


def decide(
    at: Surroundings,
    actor: Person,
    declaration_id: str,
    decision: Decision,
    reason: str,
    accept_cannot_tell: bool = False,
    answer: AnswerKey | None = None,
) -> DecisionTaken:
    """Record an officer's decision and queue it for the ledger.

    Release needs the verdict VALID. Where it is CANNOT TELL the officer may release on ``accept_cannot_tell``, which
    stays on record; INVALID cannot be released at all.
    """
    if actor.role is not Role.OFFICER:
        raise NotAllowed("only customs officers decide")
    reason = reason.strip()
    if not reason or len(reason) > 2000:
        raise Invalid("a reason is needed", [("reason", "is missing or longer than 2,000 characters")])
    with at.work() as work:
        store = work.store
        if earlier := earlier_answer(store, answer):
            consignment = store.get_consignment(declaration_id)
            return next(taken for taken in consignment.decisions if taken.id == earlier)
        consignment = store.get_consignment(declaration_id)
        verdict = verdict_on_consignment(at, store, consignment).verdict
        if decision is Decision.RELEASE and consignment.status.is_open:
            _check_releasable(verdict, accept_cannot_tell)
        office = store.get_organisation(actor.organisation.id)
        taken = _take(at, actor, office, consignment, decision, reason, verdict)
        change_status(at, store, consignment.record, consignment.status, reason, signer="office")
        keep_answer(at, store, answer, taken.id)
        work.commit()
    at.wake_anchoring()
    return taken


def _check_releasable(verdict: Verdict, accept_cannot_tell: bool) -> None:
    if verdict.ruling is Ruling.INVALID or (verdict.ruling is Ruling.CANNOT_TELL and not accept_cannot_tell):
        raise NotReleasable(verdict)


def _take(
    at: Surroundings,
    actor: Person,
    office: Organisation,
    consignment: Consignment,
    decision: Decision,
    reason: str,
    verdict: Verdict,
) -> DecisionTaken:
    now = at.now()
    taken = DecisionTaken(str(uuid4()), decision, reason, actor.id, office, now, snapshot(verdict))
    consignment.decide(taken, Event(str(uuid4()), Step.of(decision.leads_to), now, now, office))
    return taken
