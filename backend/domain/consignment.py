"""A consignment under its declaration: the records it relies on, what customs decided, and the events it left."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backend.domain import clearance
from backend.domain.clearance import Clearance, Decision, Step
from backend.domain.parties import Organisation
from backend.domain.records import RecordOnFile
from backend.domain.statuses import DeclarationStatus


@dataclass(eq=False)
class Event:
    """One step, when it happened, and who took it."""

    id: str
    step: Step
    occurred_at: datetime
    recorded_at: datetime
    organisation: Organisation | None = None
    note: str | None = None


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


@dataclass(eq=False)
class NamedPaper:
    """A record that the declaration names."""

    record: RecordOnFile


@dataclass(eq=False)
class PlannedDrawdown:
    """Goods that a consignment takes from a certificate's quantity, in thousandths of the unit.

    ``certificate_id`` is the first record of the certificate's line: a statement keeps its draws when it is confirmed.
    ``is_shared``: more than one certificate named covers these goods, so which one gives how much is open.
    """

    certificate_id: str
    heading: str
    unit_code: str
    quantity: int
    is_shared: bool


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
    papers: list[NamedPaper] = field(default_factory=list)
    planned_drawdowns: list[PlannedDrawdown] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[DecisionTaken] = field(default_factory=list)

    def decide(self, decision: DecisionTaken, event: Event) -> None:
        """Take an officer's decision; raises Conflict where the status does not allow it."""
        self.status = clearance.decide(self.status, decision.decision)
        self.decisions.append(decision)
        self._leave(event)

    def revert_release(self, why: str, event: Event) -> None:
        """Hold goods back whose release the ledger did not take: an officer has to decide anew."""
        for taken in self.decisions:
            if taken.decision is Decision.RELEASE and taken.undone is None:
                taken.undone = why
        self.status, self.released_at = DeclarationStatus.DETAINED, None
        self.events.append(event)

    def follow_ledger(self, status: DeclarationStatus, why: str, event: Event) -> None:
        """Take over how the ledger says that it ended: somebody decided there before what was decided here came."""
        if self.decisions and self.decisions[-1].decision.leads_to is not status:
            self.decisions[-1].undone = why
        self.status = status
        self.released_at = event.occurred_at if status is DeclarationStatus.RELEASED else None
        self.events.append(event)

    def withdraw(self, event: Event) -> None:
        """Let the merchant take the declaration back; raises Conflict where it is too late."""
        self.status = clearance.withdraw(self.status)
        self._leave(event)

    def arrive(self, event: Event) -> None:
        """Note when the goods came under customs' control."""
        self.arrived_at = event.occurred_at
        self.events.append(event)

    def _leave(self, event: Event) -> None:
        self.events.append(event)
        if event.step is Step.RELEASED:
            self.released_at = event.occurred_at

    @property
    def clearance(self) -> Clearance | None:
        """The times of a released consignment."""
        if self.released_at is None:
            return None
        return Clearance(self.lodged_at, self.released_at, self.arrived_at)
