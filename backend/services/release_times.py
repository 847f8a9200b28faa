"""The time release study: both clocks, from the events that the system's own steps left."""

from dataclasses import dataclass

from backend.domain.clearance import ReleaseTimes, release_times
from backend.domain.parties import Organisation
from backend.services.ports import Surroundings


@dataclass(frozen=True)
class Study:
    """Both clocks over every released consignment; the arrival clock counts those whose arrival is known."""

    arrival_to_release: ReleaseTimes
    lodgement_to_release: ReleaseTimes


def study(at: Surroundings, merchant: Organisation | None = None) -> Study:
    """Measure all released consignments, or one merchant's."""
    with at.work(reading=True) as work:
        clearances = [
            consignment.clearance
            for consignment in work.store.released()
            if merchant is None or consignment.merchant.id == merchant.id
        ]
    known = [clearance for clearance in clearances if clearance is not None]
    arrivals = [clearance.from_arrival for clearance in known]
    return Study(
        release_times(duration for duration in arrivals if duration is not None),
        release_times(clearance.from_lodgement for clearance in known),
    )
