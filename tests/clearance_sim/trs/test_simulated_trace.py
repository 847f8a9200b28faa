"""The study of a simulation's own trace says what the simulation says."""

from importlib.resources import files

import numpy as np
import pytest

from clearance_sim import load, run, varied
from clearance_sim.trs import Question, read_log, study

OFFICE = str(files("clearance_sim") / "scenarios" / "office.toml")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    trace = tmp_path_factory.mktemp("trace") / "trace.parquet"
    small = varied(load(OFFICE), {"run.declarations": 400, "run.warm_up_declarations": 0})
    return run(small, replications=3, seed=5, trace=trace), trace


def test_mean_and_quantiles_agree_with_the_simulation(simulated):
    result, trace = simulated
    hours = result.clock_values("total").ravel()
    figures = study(read_log(trace)).interval("arrival_to_release").figures
    assert figures.count == len(hours) == 1200
    # The log keeps microseconds.
    assert figures.mean.value == pytest.approx(np.mean(hours), abs=1e-8)
    assert figures.p95.value == pytest.approx(np.quantile(hours, 0.95), abs=1e-8)


def test_waiting_at_a_desk_agrees_with_the_simulation(simulated):
    result, trace = simulated
    found = {stage.name: stage for stage in study(read_log(trace)).stages}
    assert found["lodge"].mean_waiting == pytest.approx(result.stations["lodge"].wait.mean.value, rel=1e-6)


def test_trace_splits_by_final_class(simulated):
    """The classes that goods end in are told apart."""
    _, trace = simulated
    found = study(read_log(trace), Question(by=("class",)))
    groups = [interval for interval in found.intervals if interval.group.startswith("class=")]
    assert {interval.group for interval in groups} == {"class=green", "class=yellow", "class=red"}
    assert sum(i.figures.count for i in groups if i.name == "arrival_to_release") == 1200
