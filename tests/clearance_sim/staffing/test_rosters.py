import pytest

from clearance_sim.scenario.loader import loads
from clearance_sim.staffing.rosters import (
    RosterError,
    by_cost,
    capacity,
    cost,
    no_stronger,
    own_offers,
    read_offer,
    staffed,
)

DESK = """
name = "desk"
[calendars.office]
shifts = [{ days = "mon-fri", from = "08:00", to = "16:00", servers = 3 }]
[stations.check]
calendar = "office"
service = { distribution = "exponential", mean_h = 0.5 }
next = "exit"
[arrivals.all]
rate_per_h = 0.4
to = "check"
[run]
horizon_h = 672
"""


def test_shift_is_offered_in_words():
    offer = read_offer("check: mon-fri 22:00-06:00 x0-4 @1.5", loads(DESK))
    assert (offer.hours_a_week, offer.cost_a_week) == (40, 60)


@pytest.mark.parametrize(
    "words", ["check mon-fri 08:00-16:00 x0-4", "desk: daily 08:00-16:00 x0-4", "check: daily 08:00-16:00 x5-4"]
)
def test_shift_that_cannot_be_offered_is_refused(words):
    with pytest.raises(RosterError):
        read_offer(words, loads(DESK))


def test_own_shifts_offer_up_to_twice_staff():
    """A scenarios own shifts are offered up to twice their people."""
    (offer,) = own_offers(loads(DESK))
    assert (offer.station, offer.least, offer.most) == ("check", 0, 6)


def test_rosters_come_cheapest_first_and_each_once():
    scenario = loads(DESK)
    offers = [
        read_offer("check: mon-fri 08:00-16:00 x1-3", scenario),
        read_offer("check: sat 08:00-12:00 x0-2", scenario),
    ]
    rosters = list(by_cost(offers))
    costs = [cost(offers, roster) for roster in rosters]
    assert costs == sorted(costs)
    assert len(set(rosters)) == len(rosters) == 9
    assert capacity(offers, (2, 1), "check") == 84


def test_roster_replaces_the_stations_calendar():
    scenario = loads(DESK)
    offers = [read_offer("check: daily 06:00-18:00 x0-9", scenario)]
    changed = staffed(scenario, offers, (5,))
    calendar = changed.calendars[changed.stations["check"].calendar]
    assert [(shift.days, float(shift.servers)) for shift in calendar.shifts] == [("daily", 5)]
    assert changed.run.allow_overload


def test_roster_no_stronger_than_one_with_more():
    """A roster is no stronger than one with as many everywhere."""
    assert no_stronger((1, 2), than=(1, 3))
    assert not no_stronger((2, 0), than=(1, 3))
