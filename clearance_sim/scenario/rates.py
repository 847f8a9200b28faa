"""Arrival rates as flat tables: steps over time that end in a cycle, or a sinusoid."""

from dataclasses import dataclass
from datetime import datetime

from clearance_sim.messages import _
from clearance_sim.scenario.model import Arrivals
from clearance_sim.scenario.timetable import WEEK_H, CalendarFault, clock_time, days_of


@dataclass(frozen=True)
class Rates:
    """The speed of a source's own clock, as steps. Those from `cycle_from` on repeat every `period_h` hours.

    If gaps follow a distribution, the clock counts hours at factor 1. For a Poisson source it counts expected arrivals.
    """

    starts: tuple[float, ...]
    rates: tuple[float, ...]
    cycle_from: int
    period_h: float

    def mean(self) -> float:
        """Return the mean rate over one cycle."""
        starts = [*self.starts[self.cycle_from :], self.starts[self.cycle_from] + self.period_h]
        held = (r * (b - a) for r, a, b in zip(self.rates[self.cycle_from :], starts, starts[1:], strict=False))
        return sum(held) / self.period_h


def rates_of(source: Arrivals, start: datetime) -> Rates:
    """Return the steps of a source's rate.

    Raises:
        CalendarFault: A window or peak is malformed, or no declaration ever arrives.
    """
    base = 1.0 if source.gap is not None else float(source.rate_per_h or 0.0)
    week = _week(source, base, start)
    for position, peak in enumerate(source.peaks):
        if float(peak.from_h) >= float(peak.to_h):
            raise CalendarFault(("peaks", position), _("the peak ends before it begins"), _("give from_h < to_h"))
    made = _with_peaks(source, week) if source.peaks else week
    if made.mean() <= 0:
        raise CalendarFault((), _("nobody ever arrives"), _("give a rate above zero somewhere in the week"))
    return made


def mean_rate_per_h(source: Arrivals, start: datetime) -> float:
    """Return the mean number of declarations per hour in the long run.

    Raises:
        CalendarFault: A window or peak is malformed, or no declaration ever arrives.
    """
    size = source.batch.mean if source.batch else 1.0
    per_clock_hour = 1.0 / source.gap.mean if source.gap is not None else 1.0
    return rates_of(source, start).mean() * per_clock_hour * size


def _week(source: Arrivals, base: float, start: datetime) -> Rates:
    if not source.profile:
        return Rates((0.0,), (base,), 0, WEEK_H)
    begun = start.weekday() * 24.0 + start.hour + start.minute / 60.0 + start.second / 3600.0
    pieces: list[tuple[float, float, float]] = []
    for position, window in enumerate(source.profile):
        path = ("profile", position)
        begin, end = clock_time(window.from_, (*path, "from")), clock_time(window.to, (*path, "to"))
        rate = float(window.rate_per_h) if window.rate_per_h is not None else base * float(window.factor or 0.0)
        for day in days_of(window.days, (*path, "days")):
            at = (day * 24.0 + begin - begun) % WEEK_H
            length = end - begin if end > begin else end + 24.0 - begin
            pieces.append((at, min(at + length, WEEK_H), rate))
            if at + length > WEEK_H:
                pieces.append((0.0, at + length - WEEK_H, rate))
    starts = sorted({0.0} | {t for begin, end, _ in pieces for t in (begin, end) if t < WEEK_H})

    def rate_at(t: float) -> float:
        """Return the rate of the last window given that holds here; outside all windows the base rate."""
        return next((rate for begin, end, rate in reversed(pieces) if begin <= t < end), base)

    return Rates(tuple(starts), tuple(rate_at(t) for t in starts), 0, WEEK_H)


def _with_peaks(source: Arrivals, week: Rates) -> Rates:
    last = max(float(peak.to_h) for peak in source.peaks)
    cycles = int(last // WEEK_H) + 1
    weekly = [n * WEEK_H + t for n in range(cycles + 1) for t in week.starts]
    edges = {float(t) for peak in source.peaks for t in (peak.from_h, peak.to_h)}
    starts = sorted(set(weekly) | edges)

    def rate_at(t: float) -> float:
        within = t - WEEK_H * int(t // WEEK_H)
        rate = next(r for s, r in zip(reversed(week.starts), reversed(week.rates), strict=True) if s <= within)
        for peak in source.peaks:
            if float(peak.from_h) <= t < float(peak.to_h):
                rate *= float(peak.factor)
        return rate

    return Rates(tuple(starts), tuple(rate_at(t) for t in starts), starts.index(cycles * WEEK_H), WEEK_H)
