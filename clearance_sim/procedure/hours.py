"""Opening hours in words, and how the lever O extends them towards round the clock."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clearance_sim.messages import _

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ALWAYS = "24x7"
_SPAN = re.compile(r"^(?:(\w{3})(?:-(\w{3}))?\s+)?(\d\d):(\d\d)-(\d\d):(\d\d)$")


class HoursError(ValueError):
    """Opening hours that cannot be parsed."""


@dataclass(frozen=True)
class Opening:
    """One opening on one weekday (0 is Monday), in minutes of the day."""

    day: int
    start: int
    end: int


def read_hours(words: str) -> tuple[Opening, ...]:
    """Parse `24x7`, or spans such as `Mon-Fri 09:00-12:00, Mon-Fri 14:30-18:00, Sat 09:00-12:00`.

    Raises:
        HoursError: A span is malformed, or ends before it begins.
    """
    if words.strip().lower() == ALWAYS:
        return tuple(Opening(day, 0, 1440) for day in range(7))
    return tuple(opening for span in words.split(",") for opening in _span(span.strip()))


def _span(span: str) -> list[Opening]:
    found = _SPAN.match(span)
    if found is None:
        raise HoursError(_("opening hours {span!r} are not like 'Mon-Fri 08:30-17:00' or '24x7'", span=span))
    first, last, *clock = found.groups()
    start, end = int(clock[0]) * 60 + int(clock[1]), int(clock[2]) * 60 + int(clock[3])
    if not start < end <= 1440:
        raise HoursError(_("opening hours {span!r} end before they begin: split a night at 24:00", span=span))
    days = range(7) if first is None else range(_day(first), _day(last or first) + 1)
    return [Opening(day, start, end) for day in days]


def _day(name: str) -> int:
    if name.title() not in DAYS:
        raise HoursError(_("{name!r} is not a weekday: {names}", name=name, names=", ".join(DAYS)))
    return DAYS.index(name.title())


def stretched(openings: tuple[Opening, ...], strength: float) -> tuple[Opening, ...]:
    """Return longer openings: unchanged at strength 0, round the clock on every day at 1.

    Each day's last opening grows at its end first, then its first at its start. A closed day opens for that share of
    it.
    """
    if strength <= 0:
        return openings
    return tuple(opening for day in range(7) for opening in _stretched_day(openings, day, min(strength, 1.0)))


def _stretched_day(openings: tuple[Opening, ...], day: int, strength: float) -> list[Opening]:
    today = sorted((o for o in openings if o.day == day), key=lambda o: o.start)
    if not today or strength == 1:
        return [Opening(day, 0, max(30, round(1440 * strength)))]
    extra = round((1440 - (today[-1].end - today[0].start)) * strength)
    after = min(extra, 1440 - today[-1].end)
    start = today[0].start - (extra - after)
    if len(today) == 1:
        return [Opening(day, start, today[0].end + after)]
    first = Opening(day, start, today[0].end)
    return [first, *today[1:-1], Opening(day, today[-1].start, today[-1].end + after)]


def hours_a_week(openings: tuple[Opening, ...]) -> float:
    """Return how many hours the desk is open in a week."""
    return sum(o.end - o.start for o in openings) / 60


def as_shifts(openings: tuple[Opening, ...], servers: int | None = None) -> list[dict[str, object]]:
    """Return the openings as shifts of a scenario file. Days with equal hours share one shift."""
    spans: dict[tuple[int, int], list[str]] = {}
    for opening in openings:
        spans.setdefault((opening.start, opening.end), []).append(DAYS[opening.day])
    shifts: list[dict[str, object]] = []
    for (start, end), days in spans.items():
        shift: dict[str, object] = {
            "days": _days_in_words(days),
            "from": _clock(start),
            "to": _clock(end),
        }
        shifts.append(shift if servers is None else shift | {"servers": servers})
    return shifts


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _days_in_words(days: list[str]) -> str:
    """Return days as `daily`, `mon-fri`, or a list."""
    if len(days) == 7:
        return "daily"
    positions = [DAYS.index(day) for day in days]
    if len(days) > 2 and positions == list(range(positions[0], positions[-1] + 1)):
        return f"{days[0]}-{days[-1]}".lower()
    return ",".join(days).lower()
