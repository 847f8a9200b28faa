"""Calendars and arrival rates as flat tables: how many are on duty over time, and how many come."""

import functools
import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import chinese_calendar
import holidays as public_holidays

from clearance_sim.messages import Message, _
from clearance_sim.scenario.model import Arrivals, Calendar, Holidays, Scenario, Shift, Station

DAY_OFF, WORKDAY = -1, 0


class UnknownCountry(ValueError):
    """No holidays are known for a country code."""

    def __init__(self, what: Message) -> None:
        super().__init__(what)
        self.what = what


def holidays_and_make_up_days(wanted: Holidays, first: date, count: int) -> dict[date, int]:
    """Return the days of a period that differ from their weekday: off (-1), or worked as a Monday (0).

    The period has `count` days from `first` on. For China the yearly notice of the State Council decides, with its
    make-up days, as far as it is published.

    Raises:
        UnknownCountry: No holidays are known for the country or subdivision.
    """
    days = [first + timedelta(days=n) for n in range(count)]
    if wanted.country == "CN" and wanted.make_up_days:
        return {day: kind for day in days if (kind := _china(day)) is not None}
    try:
        found = public_holidays.country_holidays(
            wanted.country, subdiv=wanted.subdivision, years=range(days[0].year, days[-1].year + 1)
        )
    except NotImplementedError:
        where = wanted.country + (f"-{wanted.subdivision}" if wanted.subdivision else "")
        raise UnknownCountry(_("no holidays are known for {where}", where=where)) from None
    return {day: DAY_OFF for day in days if day in found}


def _china(day: date) -> int | None:
    # Without a published notice (the next year's comes late in the year) the holidays stand, without make-up days.
    try:
        workday = chinese_calendar.is_workday(day)
    except NotImplementedError:
        return DAY_OFF if day in _china_without_notice(day.year) else None
    weekend = day.weekday() >= 5
    if workday:
        return WORKDAY if weekend else None
    return None if weekend else DAY_OFF


@functools.lru_cache(maxsize=16)
def _china_without_notice(year: int) -> public_holidays.HolidayBase:
    return public_holidays.country_holidays("CN", years=year)


UNLIMITED = 1 << 40
WEEK_H = 168.0
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Holidays are laid out day by day this far; after it the plain week repeats.
_HOLIDAY_DAYS = 366 * 2


class CalendarFault(ValueError):
    """A fault of a calendar, with its path, what is wrong and how to fix it."""

    def __init__(self, path: tuple[str | int, ...], what: Message, fix: Message) -> None:
        super().__init__(what)
        self.path, self.what, self.fix = path, what, fix


@dataclass(frozen=True)
class Timetable:
    """Servers on duty over time, as steps.

    Step i lasts from starts[i] to starts[i + 1] with capacity[i] servers on duty, overtime[i] of them working overtime.
    Steps from `cycle_from` on repeat every `period_h` hours. `handover[i]` tells whether a shift ends at starts[i].
    """

    starts: tuple[float, ...]
    capacity: tuple[int, ...]
    overtime: tuple[int, ...]
    handover: tuple[bool, ...]
    cycle_from: int
    period_h: float

    def mean_capacity(self) -> float:
        """Return the mean number of servers on duty over one cycle."""
        starts = [*self.starts[self.cycle_from :], self.starts[self.cycle_from] + self.period_h]
        held = (c * (b - a) for c, a, b in zip(self.capacity[self.cycle_from :], starts, starts[1:], strict=False))
        return sum(held) / self.period_h


@dataclass(frozen=True)
class _Duty:
    """One stretch of duty, in hours since the start."""

    begin: float
    end: float
    servers: int
    overtime: bool


def always(servers: int) -> Timetable:
    """Return a timetable with the same number on duty at all hours."""
    return Timetable((0.0,), (servers,), (0,), (False,), 0, WEEK_H)


def of_station(scenario: Scenario, station: Station) -> Timetable:
    """Return the timetable of a station.

    Raises:
        CalendarFault: Its calendar is malformed.
    """
    own = UNLIMITED if station.servers == "unlimited" else 0 if station.servers is None else int(float(station.servers))
    if station.calendar is None:
        return always(own)
    return timetable(scenario.calendars[station.calendar], own, scenario.start)


def mean_servers(scenario: Scenario, station: Station) -> float:
    """Return the mean number of servers on duty, infinite where they are unlimited.

    Raises:
        CalendarFault: The station's calendar is malformed.
    """
    mean = of_station(scenario, station).mean_capacity()
    return math.inf if station.servers == "unlimited" else mean


@functools.lru_cache(maxsize=256)
def timetable(calendar: Calendar, servers: int, start: datetime) -> Timetable:
    """Return the timetable of a calendar. `servers` is the number for shifts that state none.

    Raises:
        CalendarFault: A shift is malformed, or nobody is ever on duty.
    """
    if not calendar.shifts:
        raise CalendarFault(("shifts",), _("the calendar has no shift"), _("add a shift"))
    if calendar.cycle_h is not None:
        made = _cyclic(calendar, servers, calendar.cycle_h.value)
    else:
        made = _weekly(calendar, servers, start)
    if not any(made.capacity[made.cycle_from :]):
        raise CalendarFault(("shifts",), _("nobody is ever on duty"), _("give a shift at least one server"))
    return made


def _cyclic(calendar: Calendar, servers: int, period: float) -> Timetable:
    if calendar.holidays or calendar.closed or calendar.open:
        raise CalendarFault(
            ("cycle_h",), _("a calendar by cycle has no days to close"), _("use weekly shifts, or drop them")
        )
    duties = []
    for position, shift in enumerate(calendar.shifts):
        if shift.from_h is None or shift.to_h is None or shift.from_ is not None or shift.to is not None:
            raise CalendarFault(("shifts", position), _("a shift of a cycle needs from_h and to_h"), _("give both"))
        begin, end = shift.from_h.value, shift.to_h.value
        if not begin < end <= period:
            what = _(
                "the shift from {begin:g} to {end:g} does not fit a cycle of {period:g} h",
                begin=begin,
                end=end,
                period=period,
            )
            raise CalendarFault(("shifts", position), what, _("give from_h < to_h <= cycle_h"))
        duties.append(_Duty(begin, end, _servers(shift, servers), shift.overtime))
    return _steps(duties, 0.0, period)


def _weekly(calendar: Calendar, servers: int, start: datetime) -> Timetable:
    shifts = [_weekly_shift(position, shift) for position, shift in enumerate(calendar.shifts)]
    counts = [_servers(shift, servers) for shift in calendar.shifts]
    midnight = datetime(start.year, start.month, start.day)
    offset = (start.replace(tzinfo=None) - midnight).total_seconds() / 3600.0
    special = bool(calendar.holidays or calendar.closed or calendar.open)
    last = max((d for d in (*calendar.closed, *calendar.open)), default=midnight.date())
    days = max(_HOLIDAY_DAYS if calendar.holidays else 0, (last - midnight.date()).days + 1) if special else 0
    prefix_days = -(-days // 7) * 7
    day_off = _days_off(calendar, midnight.date(), prefix_days)
    duties = []
    for day in range(-1, prefix_days + 14):  # the day before, for shifts over midnight; two weeks of the plain cycle
        this = midnight.date() + timedelta(days=day)
        weekday = day_off.get(this, this.weekday()) if day < prefix_days else this.weekday()
        for (days_on, begin, end), count, shift in zip(shifts, counts, calendar.shifts, strict=True):
            if weekday in days_on:
                at = 24.0 * day - offset
                duties.append(_Duty(at + begin, at + end, count, shift.overtime))
    # A shift over midnight reaches into the first day of the cycle, so the cycle is read off its second week.
    return _steps(duties, 24.0 * prefix_days + WEEK_H if special else 0.0, WEEK_H)


def _weekly_shift(position: int, shift: Shift) -> tuple[set[int], float, float]:
    if shift.from_ is None or shift.to is None or shift.from_h is not None or shift.to_h is not None:
        fix = _('give from = "08:30", to = "17:00"; from_h and to_h are for calendars with cycle_h')
        raise CalendarFault(("shifts", position), _("a weekly shift needs from and to"), fix)
    begin, end = clock_time(shift.from_, ("shifts", position, "from")), clock_time(shift.to, ("shifts", position, "to"))
    return days_of(shift.days, ("shifts", position, "days")), begin, end if end > begin else end + 24.0


def _servers(shift: Shift, servers: int) -> int:
    return servers if shift.servers is None else int(float(shift.servers))


def clock_time(text: str, path: tuple[str | int, ...]) -> float:
    """Parse "08:30" into hours after midnight. "24:00" is the end of the day.

    Raises:
        CalendarFault: It is no time of day.
    """
    hours, colon, minutes = text.partition(":")
    if colon and hours.isdigit() and minutes.isdigit() and len(minutes) == 2:
        value = int(hours) + int(minutes) / 60.0
        if int(minutes) < 60 and value <= 24:
            return value
    raise CalendarFault(
        path, _("{text} is not a time of day", text=text), _('write hours and minutes: "08:30"; "24:00" ends the day')
    )


def days_of(text: str, path: tuple[str | int, ...]) -> set[int]:
    """Parse "mon-fri", "sat,sun" or "daily" into weekdays, of which 0 is Monday.

    Raises:
        CalendarFault: It names no days.
    """
    if text == "daily":
        return set(range(7))
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _dash, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise CalendarFault(
                path,
                _("{text} names no days", text=text),
                _('write "daily", "mon-fri" or "sat,sun"; of {names}', names=_DAYS),
            )
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {d % 7 for d in range(begin, (end if end >= begin else end + 7) + 1)}
    return found


def _days_off(calendar: Calendar, first: date, count: int) -> dict[date, int]:
    """Return the days that differ from their weekday: off (-1) or worked as a Monday (0)."""
    found: dict[date, int] = {}
    if calendar.holidays and count:
        try:
            found |= holidays_and_make_up_days(calendar.holidays, first, count)
        except UnknownCountry as error:
            raise CalendarFault(("holidays", "country"), error.what, _("give an ISO 3166 code: CN, SG, DE")) from None
    found |= dict.fromkeys(calendar.closed, -1)
    return found | dict.fromkeys(calendar.open, 0)


def _steps(duties: list[_Duty], cycle_start: float, period: float) -> Timetable:
    """Return the steps of overlapping duties.

    Those from `cycle_start` on repeat. A duty that goes beyond the period continues at the start of the cycle.
    """
    end = cycle_start + period
    edges = {0.0, cycle_start} | {t for d in duties for t in (d.begin, d.end) if 0 <= t < end}
    if cycle_start == 0.0:
        duties = _folded(duties, period)
        edges |= {t for d in duties for t in (d.begin, d.end) if 0 <= t < end}
    starts = sorted(edges)
    capacity, overtime = _on_duty(duties, starts)
    ends = {d.end % period if cycle_start == 0.0 else d.end for d in duties}
    if cycle_start > 0:
        ends |= {d.end - period for d in duties}
    return Timetable(
        tuple(starts), capacity, overtime, tuple(t in ends for t in starts), starts.index(cycle_start), period
    )


def _on_duty(duties: list[_Duty], starts: list[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many are on duty in each step, and how many of them work overtime."""
    changes: dict[float, list[int]] = {}
    for duty in duties:
        for at, sign in ((max(duty.begin, 0.0), 1), (duty.end, -1)):
            if duty.end > 0:
                change = changes.setdefault(at, [0, 0])
                change[0] += sign * duty.servers
                change[1] += sign * duty.servers * duty.overtime
    capacity, overtime, now, over = [], [], 0, 0
    for start in starts:
        here = changes.get(start, [0, 0])
        now, over = now + here[0], over + here[1]
        capacity.append(now)
        overtime.append(over)
    return tuple(capacity), tuple(overtime)


def _folded(duties: list[_Duty], period: float) -> list[_Duty]:
    """Return the duties of one cycle. The part of a duty beyond its end is moved to its beginning."""
    kept: list[_Duty] = []
    for duty in duties:
        if not 0 <= duty.begin < period:
            continue
        kept.append(_Duty(duty.begin, min(duty.end, period), duty.servers, duty.overtime))
        if duty.end > period:
            kept.append(_Duty(0.0, duty.end - period, duty.servers, duty.overtime))
    return kept


# ---- arrival rates, as flat tables: steps over time that end in a cycle, or a sinusoid


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
