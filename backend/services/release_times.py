"""The time release study: both clocks, computed from recorded events, and the export of these events.

``clearance-sim trs`` computes the whole study, by channel and stage and with intervals, from the exported events. The
two clocks are those of decision 0004.
"""

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO

from backend.domain.consignment import ClearanceEvent, ReleaseTimes, release_times
from backend.domain.parties import Organisation
from backend.services.ports import AppContext

LATEST = 1_000
"""The number of releases in a study on a page, so that its cost does not grow with the years."""


@dataclass(frozen=True)
class Study:
    """Both clocks over the latest releases. The arrival clock counts only those whose arrival is known."""

    arrival_to_release: ReleaseTimes
    lodgement_to_release: ReleaseTimes


def study(ctx: AppContext, merchant: Organisation | None = None, offices: Collection[str] | None = None) -> Study:
    """Measure the latest releases, at most ``LATEST``: all, those of one merchant, or those of some offices."""
    with ctx.work(reading=True) as work:
        known = work.consignments.clearances(LATEST, merchant, offices)
    arrivals = [clearance.from_arrival for clearance in known]
    return Study(
        release_times(duration for duration in arrivals if duration is not None),
        release_times(clearance.from_lodgement for clearance in known),
    )


EVENT_COLUMNS = ("declaration", "step", "occurred_at", "recorded_at", "customs_office", "party")


def events(
    ctx: AppContext, since: datetime | None = None, offices: Collection[str] | None = None
) -> Iterator[ClearanceEvent]:
    """Iterate over every step of declarations, in the order of recording, or over those recorded since then.

    ``offices`` are the codes of the offices whose declarations are included. None includes all.
    """
    with ctx.work(reading=True) as work:
        yield from work.consignments.events(since, offices)


def as_csv(found: Iterable[ClearanceEvent], rows_a_piece: int = 500) -> Iterator[str]:
    """Write the events as CSV (RFC 4180) with a heading, in pieces of ``rows_a_piece`` rows. Times are in UTC."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(EVENT_COLUMNS)
    for number, event in enumerate(found, 1):
        writer.writerow(event_row(event))
        if number % rows_a_piece == 0:
            yield _emptied(text)
    yield _emptied(text)


def event_row(event: ClearanceEvent) -> tuple[str, ...]:
    """Return an event's columns as text, in the order of ``EVENT_COLUMNS``."""
    times = (event.occurred_at.isoformat(), event.recorded_at.isoformat())
    return (event.declaration, event.step.value, *times, _no_formula(event.customs_office), event.party or "")


def _no_formula(text: str) -> str:
    """Quote text that a spreadsheet would run as a formula (CSV injection): merchants type it, officers open it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _emptied(text: StringIO) -> str:
    written = text.getvalue()
    text.seek(0)
    text.truncate()
    return written
