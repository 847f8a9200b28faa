import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearance_sim import ScenarioError, from_values
from clearance_sim.engine.reference import Reference
from clearance_sim.engine.replication import replicate
from clearance_sim.engine.tables import compiled
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
        if not all(any(reason in fault.what for reason in reasons) for fault in error.faults):
            raise
        return None


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks(), st.integers(0, 2**63 - 1))
def test_any_network_takes_the_paths_of_the_plain_python_reference_to_the_bit(values, seed):
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


def test_the_comparison_notices_a_single_bit():
    path = [(0, 0, 0, 0, 0, 1.0, 1.0, 2.0)]
    assert same(path, list(path))
    assert not same(path, [(0, 0, 0, 0, 0, 1.0, 1.0, np.nextafter(2.0, 3.0))])
