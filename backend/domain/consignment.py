"""A consignment under its declaration: what customs may decide on it, the events it left, and how long goods took.

Clocks follow the WCO Guide to Measure the Time Required for the Release of Goods: arrival to release, and lodgement
to release.
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


class Decision(StrEnum):
    """What an officer may decide."""

    DOCUMENTS_REQUIRED = "documents-required"
    EXAMINE = "examine"
    DETAIN = "detain"
    RELEASE = "release"
    REJECT = "reject"
    RETURN = "return"
    SEIZE = "seize"

    @property
    def leads_to(self) -> DeclarationStatus:
        """The status that the decision gives."""
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
"""Ends after which the goods did not enter, so that certificates get back what was drawn for them.

Seized goods stay drawn: they came in and were used up, if not by the merchant.
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

    @classmethod
    def of(cls, status: DeclarationStatus) -> "Step":
        """The step that ends in this status."""
        return cls(status.name.lower().replace("_", "-"))


class DecisionState(StrEnum):
    """How far a decision has come. It holds for everybody once the ledger has it, and can be undone before."""

    ACCEPTED = "accepted"
    ON_LEDGER = "on-ledger"
    FINAL = "final"
    UNDONE = "undone"


_DECISION_STATES = {
    "anchored": DecisionState.ON_LEDGER,
    "final": DecisionState.FINAL,
    "refused": DecisionState.UNDONE,
}
"""By how far its change of status has come; before that it is accepted here, and no more."""


def decide(status: DeclarationStatus, decision: Decision) -> DeclarationStatus:
    """The status after an officer's decision; raises Conflict where the ledger would refuse it too."""
    return _take(status, decision.leads_to, (status, decision.leads_to) in OFFICE_EDGES)


def withdraw(status: DeclarationStatus) -> DeclarationStatus:
    """The status after the merchant withdraws; raises Conflict once customs have begun to act on the goods."""
    return _take(status, DeclarationStatus.WITHDRAWN, (status, DeclarationStatus.WITHDRAWN) in WITHDRAWAL_EDGES)


def _take(status: DeclarationStatus, new: DeclarationStatus, allowed: bool) -> DeclarationStatus:
    if not allowed:
        raise Conflict("a declaration that is {status} cannot become {wanted}", status=status.name, wanted=new.name)
    return new


@dataclass(frozen=True)
class ClearanceEvent:
    """One step of one declaration, as a time release study needs it: no names, no goods, no papers."""

    declaration: str
    step: Step
    occurred_at: datetime
    recorded_at: datetime
    customs_office: str
    party: str | None
    """The role of who took the step."""


@dataclass(frozen=True)
class Clearance:
    """One consignment's times, all aware UTC."""

    lodged_at: datetime
    released_at: datetime
    arrived_at: datetime | None = None

    @property
    def from_arrival(self) -> timedelta | None:
        """Arrival to release; zero where the goods were released before they came; None where arrival is unknown."""
        return None if self.arrived_at is None else max(self.released_at - self.arrived_at, timedelta(0))

    @property
    def from_lodgement(self) -> timedelta:
        """Lodgement to release."""
        return self.released_at - self.lodged_at


@dataclass(frozen=True)
class ReleaseTimes:
    """A clock's summary over released consignments, in hours; None where nothing was measured."""

    count: int
    mean_hours: float | None = None
    median_hours: float | None = None
    p90_hours: float | None = None


def release_times(durations: Iterable[timedelta]) -> ReleaseTimes:
    """Count, mean, median and 90th percentile (linear interpolation, Hyndman and Fan 1996, type 7)."""
    hours = sorted(duration.total_seconds() / 3600 for duration in durations)
    if not hours:
        return ReleaseTimes(0)
    return ReleaseTimes(len(hours), statistics.fmean(hours), statistics.median(hours), _p90(hours))


def _p90(hours: Sequence[float]) -> float:
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
    """Why the ledger did not take it; None while it stands."""
    version: int | None = None
    """The version that the consignment has since."""
    change: StatusChange | None = None
    """The change of status that it queued for the ledger."""

    @property
    def state(self) -> DecisionState:
        """How far it has come."""
        if self.undone is not None:
            return DecisionState.UNDONE
        far = self.change.proof_state if self.change else "stored"
        return _DECISION_STATES.get(far, DecisionState.ACCEPTED)


@dataclass(eq=False)
class NamedPaper:
    """A record that the declaration names."""

    record: RecordOnFile


@dataclass(eq=False)
class PlannedDrawdown:
    """Goods that a consignment takes from a certificate's quantity, in thousandths of the unit.

    ``certificate_id`` is the certificate's first version: a statement keeps its drawdowns when it is confirmed.
    ``is_shared``: more than one certificate named covers these goods, so which one gives how much is open.
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
    """A declaration's life: it has its record's id."""

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
        """Take an officer's decision; raises Conflict where the status does not allow it."""
        self.status = decide(self.status, decision.decision)
        decision.version = self.version
        self.alerted_at = None
        self.decisions.append(decision)
        self._leave(event)

    @property
    def decision_state(self) -> DecisionState | None:
        """How far the latest decision has come; None where nobody has decided yet."""
        return self.decisions[-1].state if self.decisions else None

    def revert_release(self, why: str, undone: Event, event: Event) -> None:
        """Hold goods back whose release the ledger did not take: an officer has to decide anew."""
        for taken in self.decisions:
            if taken.decision is Decision.RELEASE and taken.undone is None:
                taken.undone = why
        self.status, self.released_at = DeclarationStatus.DETAINED, None
        self._alert(undone)
        self._note(event)

    def follow_ledger(self, status: DeclarationStatus, why: str, undone: Event, event: Event) -> None:
        """Take over how the ledger says that it ended: somebody decided there before what was decided here came."""
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
        """Let the merchant take the declaration back; raises Conflict where it is too late."""
        self.status = withdraw(self.status)
        self._leave(event)

    def arrive(self, event: Event) -> None:
        """Note when the goods came under customs' control."""
        self.arrived_at = event.occurred_at
        self._note(event)

    def changes_since(self, version: int) -> list[LaterChange]:
        """What happened after this version, in order, for whoever read that one: who, what, when and why."""
        later = [event for event in self.events if event.version is not None and event.version > version]
        return [self._told(event) for event in sorted(later, key=lambda event: event.version or 0)]

    def _told(self, event: Event) -> LaterChange:
        taken = next((taken for taken in self.decisions if taken.version == event.version), None)
        return LaterChange(
            event.step.value,
            event.recorded_at,
            event.organisation.name if event.organisation else None,
            taken.officer_id if taken else None,
            _reason(event, taken),
        )

    def _alert(self, event: Event) -> None:
        self.alerted_at = event.recorded_at
        self._note(event)

    def _note(self, event: Event) -> None:
        event.version = self.version
        self.events.append(event)

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
