"""Public holidays of a country, and the days China works in their stead."""

import functools
from datetime import date, timedelta

import chinese_calendar
import holidays as public_holidays

from clearance_sim.scenario.model import Holidays

DAY_OFF, WORKDAY = -1, 0


class UnknownCountry(ValueError):
    """No list of holidays is known under this code."""


def holidays_and_make_up_days(wanted: Holidays, first: date, count: int) -> dict[date, int]:
    """Of `count` days those that are off though the week says otherwise (-1), or worked as a Monday (0).

    For China the yearly notice of the State Council decides, with its make-up days, as far as it is published.
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
        raise UnknownCountry(f"no holidays are known for {where}") from None
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
