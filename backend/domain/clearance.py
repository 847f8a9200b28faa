"""What customs may decide on a declaration, and how long goods took: the rules and the stopwatch.

Clocks follow the WCO Guide to Measure the Time Required for the Release of Goods: arrival to release, and lodgement
to release.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from backend.domain.errors import Conflict
from backend.domain.statuses import OFFICE_EDGES, WITHDRAWAL_EDGES, DeclarationStatus


class Decision(StrEnum):
    """What an officer may decide."""

    DOCUMENTS_REQUIRED = "documents-required"
    EXAMINE = "examine"
    DETAIN = "detain"
    RELEASE = "release"
    REJECT = "reject"

    @property
    def leads_to(self) -> DeclarationStatus:
        """The status that the decision gives."""
        return {
            Decision.DOCUMENTS_REQUIRED: DeclarationStatus.DOCUMENTS_REQUIRED,
            Decision.EXAMINE: DeclarationStatus.EXAMINATION,
            Decision.DETAIN: DeclarationStatus.DETAINED,
            Decision.RELEASE: DeclarationStatus.RELEASED,
            Decision.REJECT: DeclarationStatus.REJECTED,
        }[self]


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

    @classmethod
    def of(cls, status: DeclarationStatus) -> "Step":
        """The step that ends in this status."""
        return cls(status.name.lower().replace("_", "-"))


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
