"""What happens at one moment: closing, interruption before any work, a full waiting room; by engine and reference."""

import pytest

from clearance_sim import from_values
from clearance_sim.engine.reference import Reference
from clearance_sim.engine.tables import compiled
from tests.clearance_sim.engine.test_reference import paths_of_the_engine, same

POLICIES = ["drain", "crew", "pre-empt-resume", "finish-before-close"]
SERVED, LOST = 0, 1


def hours_of(value):
    return {"distribution": "deterministic", "value_h": value}


def visits_of(values):
    """Visits by declaration and station: outcome, entered, started, ended; as engine and reference both have them."""
    made = compiled(from_values(values))
    _, paths = paths_of_the_engine(made.tables, 1, 0)
    assert same(paths, Reference(made.tables, 1, 0).run().visits)
    return {(path[0], made.stations[path[2]]): path[4:] for path in paths}


def a_shift(jobs, work_h, policy, to_h=12, later=(), **station):
    """So many jobs at hour 24 for one officer from 8 to `to_h`; `later` are further shifts of the day."""
    shifts = [{"from_h": 8, "to_h": to_h, "servers": 1}, *later]
    desk = {"service": hours_of(work_h), "calendar": "shift", "end_of_shift": policy, "next": "exit", **station}
    return {
        "name": "closing",
        "stations": {"desk": desk},
        "calendars": {"shift": {"cycle_h": 24, "shifts": shifts}},
        "arrivals": {"all": {"gap": hours_of(24), "batch": {"size": jobs}, "to": "desk"}},
        "run": {"horizon_h": 40, "allow_overload": True},
    }


def starts_of(values):
    return [started for _, _, started, _ in visits_of(values).values()]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("jobs", "work_h"), [(5, 1.0), (41, 0.1), (25, 1 / 6), (61, 1 / 15), (13, 1 / 3)])
def test_nobody_begins_at_the_moment_of_closing(policy, jobs, work_h):
    """All but one fill the shift, also where their sum is rounded; the last begins the next day."""
    starts = starts_of(a_shift(jobs, work_h, policy))
    assert starts == pytest.approx([32 + k * work_h for k in range(jobs - 1)] + [56.0], abs=1e-9)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("jobs", "work_h"), [(6, 0.7), (8, 0.5), (36, 0.1), (11, 0.35)])
def test_shift_of_half_hours_is_filled_to_closing(policy, jobs, work_h):
    """3.5 hours hold all but the last, whatever the sum of their times is rounded to."""
    starts = starts_of(a_shift(jobs, work_h, policy, to_h=11.5))
    assert starts == pytest.approx([32 + k * work_h for k in range(jobs - 1)] + [56.0], abs=1e-9)


@pytest.mark.parametrize("policy", POLICIES)
def test_two_officers_leave_the_seventh_job(policy):
    values = a_shift(7, 1.0, policy)
    values["calendars"]["shift"]["shifts"] = [{"from_h": 8, "to_h": 11, "servers": 2}]
    assert starts_of(values) == [32, 32, 33, 33, 34, 34, 56]


@pytest.mark.parametrize("policy", POLICIES)
def test_shift_before_the_last_leaves_room(policy):
    """A job that begins before closing is taken: the rule is about the very moment."""
    work_h = 0.999
    starts = starts_of(a_shift(5, work_h, policy))
    begins_today = policy != "finish-before-close"
    assert (starts[4] < 36) == begins_today


@pytest.mark.parametrize("policy", POLICIES)
def test_next_shift_takes_over_at_handover(policy):
    """Where another shift begins at that moment, the next job begins then."""
    later = [{"from_h": 12, "to_h": 16, "servers": 1}]
    assert starts_of(a_shift(5, 1.0, policy, later=later)) == [32, 33, 34, 35, 36]


@pytest.mark.parametrize("policy", POLICIES)
def test_job_from_elsewhere_waits_at_closing(policy):
    """What another station ends at the moment of closing finds the desk closed, too."""
    values = a_shift(1, 0.5, policy)
    values["stations"]["before"] = {"service": hours_of(12), "servers": 1, "next": "desk"}
    values["arrivals"]["all"]["to"] = "before"
    assert visits_of(values)[0, "desk"] == (SERVED, 36, 56, 56.5)


def test_long_job_does_not_begin_at_closing():
    """Work longer than any shift may overrun, but does not begin when the shift is over."""
    values = a_shift(5, 1.0, "finish-before-close")
    values["classes"] = {"short": {}, "long": {}}
    values["stations"]["desk"]["service_by_class"] = {"long": hours_of(6)}
    values["arrivals"]["all"] |= {"batch": {"size": 4}, "classes": {"short": 1}}
    values["arrivals"]["late"] = {"gap": hours_of(25), "classes": {"long": 1}, "to": "desk"}
    assert visits_of(values)[4, "desk"] == (SERVED, 25, 56, 62)


def two_classes(hi, lo, work_h=4.0, **station):
    """Gaps of those who interrupt and of the others, at one desk."""
    desk = {"servers": 1, "pre_emptive": True, "service": hours_of(work_h), "next": "exit", **station}
    if "calendar" in station:
        del desk["servers"]
    return {
        "name": "two",
        "classes": {"hi": {"priority": 0}, "lo": {"priority": 1}},
        "stations": {"desk": desk},
        "arrivals": {
            "lo": {"gap": hours_of(lo), "classes": {"lo": 1}, "to": "desk"},
            "hi": {"gap": hours_of(hi), "classes": {"hi": 1}, "to": "desk"},
        },
        "run": {"horizon_h": 15, "allow_overload": True},
    }


def test_interrupted_work_needs_a_place_to_wait():
    """Without a place for the interrupted, who would interrupt is turned away; with one, both are served."""
    assert visits_of(two_classes(11, 10, waiting_room=0)) == {
        (0, "desk"): (SERVED, 10, 10, 14),
        (1, "desk"): pytest.approx((LOST, 11, float("nan"), 11), nan_ok=True),
    }
    assert visits_of(two_classes(11, 10, waiting_room=1)) == {
        (0, "desk"): (SERVED, 10, 10, 18),
        (1, "desk"): (SERVED, 11, 11, 15),
    }


def test_start_of_interrupted_job_is_when_work_begins():
    """Who is interrupted at the moment of beginning has not begun."""
    visits = visits_of(two_classes(10, 10))
    assert visits == {(0, "desk"): (SERVED, 10, 14, 18), (1, "desk"): (SERVED, 10, 10, 14)}


def test_job_put_off_by_three_starts_after_them():
    values = two_classes(10, 10)
    values["arrivals"]["hi"]["batch"] = {"size": 3}
    assert visits_of(values)[0, "desk"] == (SERVED, 10, 22, 26)


def test_two_put_off_at_once_start_together():
    values = two_classes(10, 10, servers=2)
    for arrivals in values["arrivals"].values():
        arrivals["batch"] = {"size": 2}
    visits = visits_of(values)
    assert [visits[number, "desk"][2] for number in range(4)] == [14, 14, 10, 10]


def test_start_after_real_work_stays():
    assert visits_of(two_classes(11, 10))[0, "desk"] == (SERVED, 10, 10, 18)


def test_clock_from_start_reads_when_work_begins():
    values = two_classes(10, 10) | {"clocks": {"work": {"from": ["start:desk"], "to": "exit"}}}
    made = compiled(from_values(values))
    done, _ = paths_of_the_engine(made.tables, 1, 0)
    assert done.out[made.clocks.index("work")].tolist() == [4.0, 4.0]


def test_job_that_ends_now_is_not_interrupted():
    """Who comes from elsewhere at the moment at which a job ends begins after it, without sending it back."""
    values = two_classes(9, 10)
    values["stations"]["before"] = {"service": hours_of(5), "servers": 1, "next": "desk"}
    values["arrivals"]["hi"]["to"] = "before"  # from 9 to 14, the moment at which the other is done
    visits = visits_of(values)
    assert visits[1, "desk"] == (SERVED, 10, 10, 14)
    assert visits[0, "desk"] == (SERVED, 14, 14, 18)


def test_no_more_interrupt_than_are_on_duty():
    """At a station that drains, officers off duty finish what they began, and take nothing else by interruption."""
    values = two_classes(13, 10, work_h=6.0, calendar="shift", end_of_shift="drain")
    values["calendars"] = {
        "shift": {
            "cycle_h": 24,
            "shifts": [{"from_h": 0, "to_h": 12, "servers": 2}, {"from_h": 12, "to_h": 24, "servers": 1}],
        }
    }
    values["arrivals"]["lo"]["batch"] = {"size": 2}  # two begin at 10, one officer is on duty from 12
    values["arrivals"]["hi"]["batch"] = {"size": 2}  # two come at 13: the one on duty takes one of them
    starts = {number: started for (number, _), (_, _, started, _) in visits_of(values).items()}
    assert [starts[number] for number in range(4)] == [10, 10, 13, 19]


def test_stopped_work_keeps_its_place_at_closing():
    """At the end of a shift nobody is turned away; who comes then finds the waiting room full."""
    values = a_shift(1, 3.0, "pre-empt-resume", waiting_room=0)
    values["arrivals"]["all"] |= {"gap": hours_of(34), "batch": {"size": 1}}
    values["arrivals"]["late"] = {"gap": hours_of(37), "to": "desk"}
    assert visits_of(values) == {
        (0, "desk"): (SERVED, 34, 34, 57),
        (1, "desk"): pytest.approx((LOST, 37, float("nan"), 37), nan_ok=True),
    }
