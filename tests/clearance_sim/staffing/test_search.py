from itertools import product

import pytest

from clearance_sim.scenario.loader import loads
from clearance_sim.staffing.rosters import cost, read_offer
from clearance_sim.staffing.search import Bench, Fate, read_target, search

OFFICE = """
name = "office"
[stations.check]
servers = 2
service = { distribution = "exponential", mean_h = 0.5 }
next = "exit"
[arrivals.all]
rate_per_h = 2.0
to = "check"
[clocks."lodgement → release"]
from = "arrive"
to = "exit"
[run]
horizon_h = 504
warm_up_h = 168
"""


@pytest.fixture(scope="module")
def office():
    return loads(OFFICE)


def the_offers(office):
    return [
        read_offer("check: daily 00:00-12:00 x0-4", office),
        read_offer("check: daily 12:00-24:00 x0-4 @1.5", office),
    ]


def test_cheapest_roster_matches_exhaustive_search(office):
    """The cheapest roster is the one that trying all of them finds."""
    offers = the_offers(office)
    target = read_target("P90(lodgement → release) <= 3h", list(office.clocks))
    found = search(office, offers, [target], first=8, most=32, workers=1)
    bench = Bench(office, offers, [target], workers=1)
    good = [r for r in product(range(1, 5), range(1, 5)) if bench.shortfalls(r, 32).mean() <= 0]
    assert found.best is not None
    assert found.best.cost == pytest.approx(min(cost(offers, roster) for roster in good))


def test_rosters_without_enough_hours_are_skipped_unseen(office):
    target = read_target("P90(lodgement → release) <= 3h", list(office.clocks))
    found = search(office, the_offers(office), [target], first=8, most=16, workers=1)
    assert found.skipped_by_load > 0
    assert all(sum(tried.roster) >= 3 for tried in found.tried)


def test_rosters_weaker_than_failed_are_skipped(office):
    """What fails with all others at their most is not tried with fewer."""
    offers = [
        read_offer("check: daily 00:00-12:00 x0-6", office),
        read_offer("check: daily 12:00-24:00 x0-6 @3", office),
    ]
    target = read_target("P95(lodgement → release) <= 4h", list(office.clocks))
    found = search(office, offers, [target], first=8, most=16, workers=1)
    assert found.skipped_as_weaker > 0
    bench = Bench(office, offers, [target], workers=1)
    assert found.best is not None
    good = [r for r in product(range(1, 7), range(1, 7)) if bench.shortfalls(r, 16).mean() <= 0]
    assert found.best.cost >= min(cost(offers, roster) for roster in good)


def test_impossible_target_finds_no_roster(office):
    """An impossible target is said to be out of reach."""
    target = read_target("mean(lodgement → release) <= 0.1h", list(office.clocks))
    found = search(office, the_offers(office), [target], first=8, most=16, workers=1)
    assert found.best is None
    assert {tried.fate for tried in found.tried} == {Fate.FAILS}


def test_equally_cheap_rosters_are_ranked(office):
    offers = [
        read_offer("check: daily 00:00-12:00 x0-4", office),
        read_offer("check: daily 12:00-24:00 x0-4", office),
    ]
    target = read_target("mean(lodgement → release) <= 2h", list(office.clocks))
    found = search(office, offers, [target], first=8, most=32, workers=1)
    assert found.best is not None
    assert found.choice is not None
    assert len(found.choice.replications) >= 1
    assert found.best.fate == Fate.REACHES
