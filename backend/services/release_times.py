"""The time release study: both clocks, from the events that the system's own steps left, and those events for others.

``clearance-sim trs`` computes the whole study, by channel and stage and with intervals, from the exported events.
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
"""Releases that a study on a page looks back on: how long it takes now, at a cost that does not grow with the years."""


@dataclass(frozen=True)
class Study:
    """Both clocks over the latest releases; the arrival clock counts those whose arrival is known."""

    arrival_to_release: ReleaseTimes
    lodgement_to_release: ReleaseTimes


def study(ctx: AppContext, merchant: Organisation | None = None, offices: Collection[str] | None = None) -> Study:
    """Measure the consignments released last, at most ``LATEST`` of them: all, a merchant's, or some offices'."""
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
    """Every step that declarations took, in the order of recording, or those recorded since then.

    ``offices`` are the codes whose declarations are asked for; None for all of them.
    """
    with ctx.work(reading=True) as work:
        yield from work.consignments.events(since, offices)


def as_csv(found: Iterable[ClearanceEvent], rows_a_piece: int = 500) -> Iterator[str]:
    """The events as CSV (RFC 4180) with a heading, in pieces; times are UTC with their zone written out."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(EVENT_COLUMNS)
    for number, event in enumerate(found, 1):
        writer.writerow(event_row(event))
        if number % rows_a_piece == 0:
            yield _emptied(text)
    yield _emptied(text)


def event_row(event: ClearanceEvent) -> tuple[str, ...]:
    """An event's columns as text."""
    times = (event.occurred_at.isoformat(), event.recorded_at.isoformat())
    return (event.declaration, event.step.value, *times, _no_formula(event.customs_office), event.party or "")


def _no_formula(text: str) -> str:
    """Merchants type this, officers open it in a spreadsheet: it must not begin like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _emptied(text: StringIO) -> str:
    written = text.getvalue()
    text.seek(0)
    text.truncate()
    return written
