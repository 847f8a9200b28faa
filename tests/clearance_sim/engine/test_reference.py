import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearance_sim import ScenarioError, from_values
from clearance_sim.engine.reference import Reference
from clearance_sim.engine.replication import replicate
from clearance_sim.engine.tables import compiled, is_plain
from tests.clearance_sim.engine.networks import networks


def paths_of_the_engine(tables, seed, replication):
    rows, times = [], []
    done = replicate(tables, seed, replication, sink=lambda r, f: (rows.append(r.copy()), times.append(f.copy())))
    if not rows:
        return done, []
    r, f = np.concatenate(rows), np.concatenate(times)
    return done, [(*map(int, r[k]), *map(float, f[k, :3])) for k in range(len(r))]


def same(one, other):
    return len(one) == len(other) and all(
        a[:5] == b[:5] and np.array_equal(a[5:], b[5:], equal_nan=True) for a, b in zip(one, other, strict=True)
    )


def scenario_of(values):
    try:
        return from_values(values)
    except ScenarioError as error:
        # A random network may be overloaded or have a station out of reach; it is not run then.
        reasons = ("load", "ever comes here", "ever leaves")
        if not all(any(reason in str(fault.what) for reason in reasons) for fault in error.faults):
            raise
        return None


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks(), st.integers(0, 2**63 - 1))
def test_random_network_matches_reference_to_the_bit(values, seed):
    """Any network takes the paths of the plain python reference to the bit."""
    scenario = scenario_of(values)
    if scenario is None:
        return
    tables = compiled(scenario).tables
    done, paths = paths_of_the_engine(tables, seed, 3)
    slow = Reference(tables, seed, 3).run()
    assert same(paths, slow.visits)
    clocks = np.full((len(tables.clock_to), done.arrived), np.nan)
    for number, readings in slow.clocks.items():
        clocks[:, number] = readings
    assert np.array_equal(done.out, clocks, equal_nan=True)


def test_comparison_notices_a_single_bit():
    path = [(0, 0, 0, 0, 0, 1.0, 1.0, 2.0)]
    assert same(path, list(path))
    assert not same(path, [(0, 0, 0, 0, 0, 1.0, 1.0, np.nextafter(2.0, 3.0))])


def plain_parts(servers, to):
    return {"service": {"distribution": "log-normal", "mean_h": 0.3, "cv": 1.5}, "servers": servers, "next": to}


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(0, 2**63 - 1))
def test_plain_network_matches_reference_to_the_bit(data, seed):
    """The loop for plain scenarios takes the paths of the reference too."""
    of = st.sampled_from
    to = data.draw(of(["two", {"two": 0.4, "exit": 0.6}]))
    stations = {
        "one": plain_parts(data.draw(of([1, 2, "unlimited"])), to),
        "two": plain_parts(data.draw(of([1, 3])), "three"),
        "three": plain_parts(2, "exit"),
    }
    if data.draw(st.booleans()):
        stations["two"] |= {"waiting_room": data.draw(of([0, 2])), "overflow_to": data.draw(of(["three", "exit"]))}
        if data.draw(st.booleans()):
            stations["two"].pop("overflow_to")
    if data.draw(st.booleans()):
        del stations["three"]["servers"]
        stations["three"]["calendar"] = "round"
    if data.draw(st.booleans()):
        stations["one"]["next_by_class"] = {"b": "three"}
    gap = data.draw(of([{"rate_per_h": 2.0}, {"gap": {"distribution": "deterministic", "value_h": 0.5}},
                        {"rate_per_h": 2.0, "sinusoid": {"amplitude": 0.8, "period_h": 24}}]))  # fmt: skip
    classes = data.draw(of([{"a": 1.0}, {"a": 0.6, "b": 0.4}]))
    more = {"rate_per_h": 0.3, "classes": {"b": 1}, "to": {"one": 0.5, "two": 0.5}}
    shifts = [{"from_h": 1, "to_h": 6, "servers": 3}, {"from_h": 6, "to_h": 11, "servers": 1}]
    until = {"horizon_h": 100, "cut_at_horizon": True, "allow_overload": True}
    values = {
        "name": "plain",
        "classes": {"a": {}, "b": {}},
        "stations": stations,
        "arrivals": {"all": {**gap, "classes": classes, "to": "one"}, "more": more},
        "calendars": {"round": {"cycle_h": 12, "shifts": shifts}},
        "run": data.draw(of([{"declarations": 300}, until])),
    }
    if data.draw(st.booleans()):
        values["observe"] = {"at_h": [1, 30]}
    scenario = scenario_of(values)
    if scenario is None:
        return
    tables = compiled(scenario).tables
    assert is_plain(tables)
    done, paths = paths_of_the_engine(tables, seed, 3)
    slow = Reference(tables, seed, 3).run()
    assert paths
    assert same(paths, slow.visits)
    assert all(done.out[0, number] == readings[0] for number, readings in slow.clocks.items())


def test_scenario_with_extras_is_not_plain():
    """A scenario is plain only without what the plain loop leaves out."""
    plain = {
        "name": "plain",
        "classes": {"a": {}, "b": {}},
        "stations": {"desk": {"service": {"distribution": "exponential", "mean_h": 0.1}, "servers": 1, "next": "exit"}},
        "arrivals": {"all": {"rate_per_h": 1, "classes": {"a": 0.5, "b": 0.5}, "to": "desk"}},
        "run": {"declarations": 100},
    }

    def plain_with(**changes):
        return is_plain(compiled(from_values({**plain, **changes})).tables)

    def desk(**changes):
        return {"stations": {"desk": {**plain["stations"]["desk"], **changes}}}

    assert plain_with()
    assert not plain_with(classes={"a": {"priority": 0}, "b": {"priority": 1}})
    assert not plain_with(**desk(pre_emptive=True))
    assert not plain_with(**desk(patience={"distribution": "exponential", "mean_h": 1}))
    assert not plain_with(**desk(next={"desk": 0.2, "exit": 0.8}))
    assert not plain_with(**desk(frailty=0.5), frailty={"of": "declaration"})
    assert not plain_with(arrivals={"all": {**plain["arrivals"]["all"], "batch": {"size": 3}}})
    assert not plain_with(clocks={"waited": {"from": ["enter:desk"], "to": "start:desk"}})
    shifts = {"round": {"cycle_h": 12, "shifts": [{"from_h": 1, "to_h": 11, "servers": 1}]}}
    on_shift = {k: v for k, v in plain["stations"]["desk"].items() if k != "servers"} | {"calendar": "round"}
    for policy in ("crew", "pre-empt-resume", "finish-before-close"):
        assert not plain_with(calendars=shifts, stations={"desk": {**on_shift, "end_of_shift": policy}})
