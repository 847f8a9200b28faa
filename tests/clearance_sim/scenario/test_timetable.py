from datetime import date, datetime

import pytest

from clearance_sim.scenario.model import Calendar
from clearance_sim.scenario.timetable import timetable

MONDAY = datetime(2026, 1, 5)


def on_duty(calendar, at_h, start=MONDAY, servers=2):
    made = timetable(Calendar.model_validate(calendar), servers, start)
    if at_h >= made.starts[made.cycle_from]:
        at_h = made.starts[made.cycle_from] + (at_h - made.starts[made.cycle_from]) % made.period_h
    return next(c for t, c in zip(reversed(made.starts), reversed(made.capacity), strict=True) if t <= at_h)


OFFICE = {"shifts": [{"days": "mon-fri", "from": "08:30", "to": "17:00"}]}


@pytest.mark.parametrize(
    ("hour", "servers"), [(8.4, 0), (8.5, 2), (16.9, 2), (17, 0), (5 * 24 + 10, 0), (7 * 24 + 10, 2)]
)
def test_weekly_shift_is_on_duty_in_hours(hour, servers):
    """A weekly shift is on duty in its hours."""
    assert on_duty(OFFICE, hour) == servers


def test_shift_over_midnight_reaches_next_day():
    """A shift over midnight reaches into the next day and week."""
    night = {"shifts": [{"days": "sun", "from": "22:00", "to": "06:00", "servers": 3}]}
    assert on_duty(night, 3) == 3  # the night from the Sunday before
    assert on_duty(night, 6 * 24 + 23) == 3
    assert on_duty(night, 7 * 24 + 5.9) == 3
    assert on_duty(night, 7 * 24 + 6) == 0


def test_closed_and_opened_days_override_the_week():
    """Closed and opened days are kept and the plain week goes on after them."""
    calendar = {**OFFICE, "closed": [date(2026, 1, 6)], "open": [date(2026, 1, 10)]}
    assert on_duty(calendar, 24 + 10) == 0
    assert on_duty(calendar, 5 * 24 + 10) == 2
    assert on_duty(calendar, 8 * 24 + 10) == 2
    assert on_duty(calendar, 12 * 24 + 10) == 0


def test_chinese_holidays_and_make_up_days_count():
    """Chinese holidays close the desk and make up days open it."""
    calendar = {**OFFICE, "holidays": {"country": "CN"}}
    start = datetime(2025, 1, 20)
    hour = lambda day: (datetime(*day, 10) - start).total_seconds() / 3600  # noqa: E731
    assert on_duty(calendar, hour((2025, 1, 29)), start) == 0  # a Wednesday: Spring Festival
    assert on_duty(calendar, hour((2025, 1, 26)), start) == 2  # a Sunday that is worked instead
    assert on_duty({**OFFICE, "holidays": {"country": "CN", "make_up_days": False}}, hour((2025, 1, 26)), start) == 0
    assert on_duty({**OFFICE, "holidays": {"country": "SG"}}, hour((2025, 5, 1)), start) == 0


def test_overlapping_shifts_add_up_overtime_apart():
    """Overlapping shifts add up and overtime is counted apart."""
    shifts = [{"from_h": 0, "to_h": 8, "servers": 3}, {"from_h": 6, "to_h": 10, "servers": 2, "overtime": True}]
    made = timetable(Calendar.model_validate({"cycle_h": 12, "shifts": shifts}), 0, MONDAY)
    assert made.starts == (0, 6, 8, 10)
    assert made.capacity == (3, 5, 2, 0)
    assert made.overtime == (0, 2, 2, 0)
    assert made.mean_capacity() == pytest.approx((3 * 8 + 2 * 4) / 12)
