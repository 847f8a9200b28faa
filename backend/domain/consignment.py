"""A consignment with its declaration: the decisions that customs may take, its events, and its release times.

The measures follow the WCO Guide to Measure the Time Required for the Release of Goods: from arrival to release and
from lodgement to release.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backend.domain.errors import Conflict, LaterChange
from backend.domain.ledger import OFFICE_EDGES, WITHDRAWAL_EDGES, DeclarationStatus
from backend.domain.parties import Organisation
from backend.domain.records import RecordOnFile, StatusChange
from backend.domain.retention import kept_until


class Decision(StrEnum):
    """The decisions that a customs officer may take."""

    DOCUMENTS_REQUIRED = "documents-required"
    EXAMINE = "examine"
    DETAIN = "detain"
    RELEASE = "release"
    REJECT = "reject"
    RETURN = "return"
    SEIZE = "seize"

    @property
    def leads_to(self) -> DeclarationStatus:
        """The status after the decision."""
        return {
            Decision.DOCUMENTS_REQUIRED: DeclarationStatus.DOCUMENTS_REQUIRED,
            Decision.EXAMINE: DeclarationStatus.EXAMINATION,
            Decision.DETAIN: DeclarationStatus.DETAINED,
            Decision.RELEASE: DeclarationStatus.RELEASED,
            Decision.REJECT: DeclarationStatus.REJECTED,
            Decision.RETURN: DeclarationStatus.RETURNED,
            Decision.SEIZE: DeclarationStatus.SEIZED,
        }[self]


REFUNDED = frozenset({DeclarationStatus.REJECTED, DeclarationStatus.RETURNED, DeclarationStatus.WITHDRAWN})
"""Final statuses in which the goods did not enter, so that what was drawn from certificates is refunded.

Drawdowns for seized goods stay: those goods entered and are used up, although not by the merchant.
"""


class Step(StrEnum):
    """Steps of a consignment that leave an event with its time."""

    ARRIVED = "arrived"
    LODGED = "lodged"
    ANCHORED = "anchored"
    DOCUMENTS_REQUIRED = "documents-required"
    EXAMINATION = "examination"
    DETAINED = "detained"
    RELEASED = "released"
    REJECTED = "rejected"
    RETURNED = "returned"
    SEIZED = "seized"
    WITHDRAWN = "withdrawn"
    DECISION_UNDONE = "decision-undone"
    PAPER_REVOKED = "paper-revoked"
    PAPER_SUSPENDED = "paper-suspended"
    PAPER_REINSTATED = "paper-reinstated"
    ERASURE_REQUESTED = "erasure-requested"
    """The holder of a paper asks for the office's consent to its erasure."""
    ERASURE_AGREED = "erasure-agreed"

    @classmethod
    def of(cls, status: DeclarationStatus) -> "Step":
        """Return the step that ends in this status."""
        return cls(status.name.lower().replace("_", "-"))


class DecisionState(StrEnum):
    """The progress of a decision, which is binding for everybody once it is on the ledger and may be undone before."""

    ACCEPTED = "accepted"
    ON_LEDGER = "on-ledger"
    FINAL = "final"
    UNDONE = "undone"


_DECISION_STATES = {
    "anchored": DecisionState.ON_LEDGER,
    "final": DecisionState.FINAL,
    "refused": DecisionState.UNDONE,
}
"""By the progress of its status change; before these states a decision is only accepted here."""


def decide(status: DeclarationStatus, decision: Decision) -> DeclarationStatus:
    """Return the status after an officer's decision.

    Raises:
        Conflict: if the ledger does not allow this change of status either.
    """
    return _take(status, decision.leads_to, (status, decision.leads_to) in OFFICE_EDGES)


def withdraw(status: DeclarationStatus) -> DeclarationStatus:
    """Return the status after the merchant's withdrawal.

    Raises:
        Conflict: if customs have begun to act on the goods.
    """
    return _take(status, DeclarationStatus.WITHDRAWN, (status, DeclarationStatus.WITHDRAWN) in WITHDRAWAL_EDGES)


def _take(status: DeclarationStatus, new: DeclarationStatus, allowed: bool) -> DeclarationStatus:
    if not allowed:
        raise Conflict("a declaration that is {status} cannot become {wanted}", status=status.name, wanted=new.name)
    return new


@dataclass(frozen=True)
class ClearanceEvent:
    """One event of one declaration as a time release study needs it: without names, goods and papers."""

    declaration: str
    step: Step
    occurred_at: datetime
    recorded_at: datetime
    customs_office: str
    party: str | None
    """The role of the organisation that caused the event."""


@dataclass(frozen=True)
class Clearance:
    """The times of one consignment, all aware UTC."""

    lodged_at: datetime
    released_at: datetime
    arrived_at: datetime | None = None

    @property
    def from_arrival(self) -> timedelta | None:
        """Arrival to release.

        It is zero where the goods were released before they arrived, None where arrival is unknown.
        """
        return None if self.arrived_at is None else max(self.released_at - self.arrived_at, timedelta(0))

    @property
    def from_lodgement(self) -> timedelta:
        """Lodgement to release."""
        return self.released_at - self.lodged_at


@dataclass(frozen=True)
class ReleaseTimes:
    """Summary statistics over released consignments, in hours; None where nothing was measured."""

    count: int
    mean_hours: float | None = None
    median_hours: float | None = None
    p90_hours: float | None = None


def release_times(durations: Iterable[timedelta]) -> ReleaseTimes:
    """Return count, mean, median and 90th percentile.

    The percentile uses linear interpolation (Hyndman and Fan 1996, type 7).
    """
    hours = sorted(duration.total_seconds() / 3600 for duration in durations)
    if not hours:
        return ReleaseTimes(0)
    return ReleaseTimes(len(hours), statistics.fmean(hours), statistics.median(hours), _p90(hours))


def _p90(hours: Sequence[float]) -> float:
    # statistics.quantiles refuses a single value before Python 3.13.
    if len(hours) == 1:
        return hours[0]
    return statistics.quantiles(hours, n=10, method="inclusive")[8]


@dataclass(eq=False)
class Event:
    """One step, when it happened, and who took it."""

    id: str
    step: Step
    occurred_at: datetime
    recorded_at: datetime
    organisation: Organisation | None = None
    note: str | None = None
    version: int | None = None
    """The version that the consignment has since; None for what changed nothing that a decision rests on."""
    record: RecordOnFile | None = None
    """The paper that something happened to."""
    person_id: str | None = None
    """Who asked for the erasure of a paper or agreed to it."""


@dataclass(eq=False)
class DecisionTaken:
    """An officer's decision, with the verdict that it rested on."""

    id: str
    decision: Decision
    reason: str
    officer_id: str
    office: Organisation
    decided_at: datetime
    verdict: dict[str, Any]
    undone: str | None = None
    """Why the ledger did not accept it, or None."""
    version: int | None = None
    """The version that the consignment has since."""
    change: StatusChange | None = None
    """The status change that it queued for the ledger."""

    @property
    def state(self) -> DecisionState:
        """The progress of the decision."""
        if self.undone is not None:
            return DecisionState.UNDONE
        far = self.change.proof_state if self.change else "stored"
        return _DECISION_STATES.get(far, DecisionState.ACCEPTED)


@dataclass(eq=False)
class NamedPaper:
    """A record that the declaration names, and until when it must be kept for the declaration (aware UTC)."""

    record: RecordOnFile
    kept_until: datetime


@dataclass(eq=False)
class PlannedDrawdown:
    """Goods that a consignment takes from a certificate's quantity, in thousandths of the unit.

    ``certificate_id`` is the certificate's first version, because a statement keeps its drawdowns when it is confirmed.
    ``is_shared`` tells that several named certificates cover these goods, so that the share of each is open.
    """

    certificate_id: str
    heading: str
    unit_code: str
    quantity: int
    is_shared: bool


def _reason(event: Event, taken: DecisionTaken | None) -> str | None:
    if taken is not None:
        return taken.reason
    return event.record.status_reason if event.record is not None and event.step is Step.PAPER_REVOKED else event.note


@dataclass(eq=False)
class Consignment:
    """A consignment; it has the id of its declaration's record."""

    id: str
    record: RecordOnFile
    merchant: Organisation
    reference: str
    customs_office: str
    lodged_at: datetime
    status: DeclarationStatus = DeclarationStatus.LODGED
    arrived_at: datetime | None = None
    released_at: datetime | None = None
    alerted_at: datetime | None = None
    """When something happened after a decision that merchant and office must know: it was undone, or a paper behind
    released goods was revoked or suspended. None again where nothing of that stands any more."""
    version: int = 1
    """Counts what was done to it. The repository moves it on, before a change and in the same unit of work."""
    papers: list[NamedPaper] = field(default_factory=list)
    planned_drawdowns: list[PlannedDrawdown] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[DecisionTaken] = field(default_factory=list)

    def decide(self, decision: DecisionTaken, event: Event) -> None:
        """Apply an officer's decision.

        Raises:
            Conflict: if the present status does not allow it.
        """
        self.status = decide(self.status, decision.decision)
        decision.version = self.version
        # What alerted was an undone decision, which this one replaces: a release that stands takes no further one.
        self.alerted_at = None
        self.decisions.append(decision)
        self._leave(event)

    @property
    def erasure_requests(self) -> list[Event]:
        """The requests to erase a paper to which the office has not agreed."""
        answered = {e.record.id for e in self.events if e.step is Step.ERASURE_AGREED and e.record is not None}
        asked = [e for e in self.events if e.step is Step.ERASURE_REQUESTED and e.record is not None]
        return [event for event in asked if event.record is not None and event.record.id not in answered]

    @property
    def decision_state(self) -> DecisionState | None:
        """The progress of the latest decision, or None where there is none."""
        return self.decisions[-1].state if self.decisions else None

    def revert_release(self, why: str, undone: Event, event: Event) -> None:
        """Detain goods whose release the ledger refused, so that an officer must decide again."""
        # The ledger takes one release at most, so every release that was not undone before is the refused one.
        for taken in self.decisions:
            if taken.decision is Decision.RELEASE and taken.undone is None:
                taken.undone = why
        self.status, self.released_at = DeclarationStatus.DETAINED, None
        self._alert(undone)
        self._note(event)

    def follow_ledger(self, status: DeclarationStatus, why: str, undone: Event, event: Event) -> None:
        """Adopt the final status on the ledger, where another server's decision arrived before ours."""
        lost = [taken for taken in self.decisions if taken.undone is None and taken.state is DecisionState.UNDONE]
        if self.decisions and self.decisions[-1].decision.leads_to is not status:
            lost.append(self.decisions[-1])
        for taken in lost:
            taken.undone = why
        if lost:
            self._alert(undone)
        self.status = status
        self.released_at = event.occurred_at if status is DeclarationStatus.RELEASED else None
        self._note(event)

    def withdraw(self, event: Event) -> None:
        """Withdraw the declaration for the merchant.

        Raises:
            Conflict: if customs have begun to act on the goods.
        """
        self.status = withdraw(self.status)
        self._leave(event)

    def arrive(self, event: Event) -> None:
        """Record when the goods came under customs control."""
        self.arrived_at = event.occurred_at
        self._note(event)

    def changes_since(self, version: int) -> list[LaterChange]:
        """Return what happened after this version, in order, for a reader of that version: who, what, when and why."""
        later = [event for event in self.events if event.version is not None and event.version > version]
        return [self._told(event) for event in sorted(later, key=lambda event: event.version or 0)]

    def _told(self, event: Event) -> LaterChange:
        taken = next((taken for taken in self.decisions if taken.version == event.version), None)
        return LaterChange(
            event.step.value,
            event.recorded_at,
            event.organisation.name if event.organisation else None,
            taken.officer_id if taken else event.person_id,
            _reason(event, taken),
        )

    def _alert(self, event: Event) -> None:
        self.alerted_at = event.recorded_at
        self._note(event)

    def _note(self, event: Event) -> None:
        event.version = self.version
        self.events.append(event)
        if self.papers and not self.status.is_open:
            self._keep_papers(event.recorded_at)

    def _keep_papers(self, closed_at: datetime) -> None:
        # None where it is altered, which must not shorten the time.
        procedure = self.record.readable_fields.get("previousProcedureTypeCode")
        until = kept_until(self.customs_office, procedure, self.lodged_at, closed_at)
        for paper in self.papers:
            paper.kept_until = max(paper.kept_until, until)

    def _leave(self, event: Event) -> None:
        self._note(event)
        if event.step is Step.RELEASED:
            self.released_at = event.occurred_at

    @property
    def clearance(self) -> Clearance | None:
        """The times of a released consignment."""
        if self.released_at is None:
            return None
        return Clearance(self.lodged_at, self.released_at, self.arrived_at)
