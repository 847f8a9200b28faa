import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from clearance_sim import loads, run, varied
from clearance_sim.analysis.summary import mser5
from clearance_sim.commands.files import opened
from clearance_sim.execution.runner import Processes, Serial
from tests.clearance_sim.scenario.builders import SOUND


@pytest.fixture(scope="module")
def office():
    return opened("office", ("run.declarations=2000", "run.warm_up_declarations=100", "run.replications=6"))


def test_executors_give_same_result_to_the_bit(office):
    """One worker threads and processes give the same result to the bit."""
    alone = run(office, workers=1)
    assert run(office, workers=3).to_json() == alone.to_json()
    processes = Processes(2)
    try:
        spread = run(office, executor=processes)
    finally:
        processes.close()
    assert spread.to_json() == alone.to_json()
    assert np.array_equal(spread.clock_values(), alone.clock_values(), equal_nan=True)
    assert run(office, seed=2, executor=Serial()).to_json() != alone.to_json()


def test_littles_law_holds_at_every_station(office, tmp_path):
    """Littles law holds at every station and nobody is lost on the way."""
    result = run(varied(office, {"run.warm_up_declarations": 0}), replications=1, trace=tmp_path / "log.parquet")
    log = pq.read_table(tmp_path / "log.parquet").to_pandas()
    window = result.window_h.value
    first = float(log["enter_h"].min())
    for name, station in result.stations.items():
        mine = log[log["station"] == name]
        end = first + window
        waited = (mine["start_h"].clip(upper=end) - mine["enter_h"].clip(upper=end)).sum()
        worked = (mine["end_h"].clip(upper=end) - mine["start_h"].clip(upper=end)).sum()
        assert station.queue_length.value == pytest.approx(waited / window, rel=1e-9, abs=1e-12)
        assert station.in_service.value == pytest.approx(worked / window, rel=1e-9)
        assert station.served.value == len(mine)
        assert station.wait.mean.value == pytest.approx((mine["start_h"] - mine["enter_h"]).mean())
        assert station.sojourn.p90.value == pytest.approx(np.quantile(mine["end_h"] - mine["enter_h"], 0.9), rel=0.01)
    assert sorted(log[log["station"] == "pay"]["declaration"]) == list(range(2000))


def test_nobody_is_served_off_duty_or_overtaken(office, tmp_path):
    """Nobody is served off duty and within a class who comes first is served first."""
    run(office, replications=1, trace=tmp_path / "log.parquet")
    log = pq.read_table(tmp_path / "log.parquet").to_pandas()
    review = log[log["station"] == "review"].sort_values(["enter_h"])
    assert ((review["start_h"] % 24) >= 8).all()
    assert review["start_h"].is_monotonic_increasing
    inspect = log[log["station"] == "inspect"]["start_h"] % 24
    assert ((inspect >= 8) & (inspect < 20)).all()
    assert (log[log["station"] == "lab"]["start_h"] % 24 < 8).any()  # the laboratory keeps no shifts


def test_log_says_what_it_is_about(office, tmp_path):
    run(office, replications=2, trace=tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    about = json.loads(table.schema.metadata[b"clearance_sim"])
    assert about["start"] == "2026-01-05T00:00:00"
    assert about["parties"]["review"] == "customs"
    assert about["clocks"]["lodgement to release"] == [["enter:lodge"], "exit"]
    assert table.column("replication").unique().to_pylist() == [0, 1]


def test_arms_that_share_station_names_share_draws(office):
    faster = varied(office, {"stations.prepare.service.mean_h": 1})

    def means(scenario, seed):
        return np.nanmean(run(scenario, 40, seed=seed, keep_values=True).clock_values(), axis=1)

    slow, common, other = means(office, 1), means(faster, 1), means(faster, 2)
    assert np.var(slow - other) > 4 * np.var(slow - common)


def test_single_times_not_kept_are_refused(office):
    """Single times that were not kept are not made up."""
    with pytest.raises(ValueError, match="keep_values=True"):
        run(office, 2, keep_values=False).clock_values()


def test_mser5_finds_the_end_of_a_start_up():
    noise = np.random.default_rng(1).normal(size=5000)
    settled = 10 + noise
    settled[:400] += np.linspace(20, 0, 400)
    assert 200 <= mser5(settled) <= 450
    assert mser5(10 + noise) < 250


def test_mser5_is_used_where_scenario_asks():
    """Mser5 is used where the scenario asks for it."""
    text = SOUND.replace("declarations = 1000", 'declarations = 20000\nwarm_up = "mser-5"')
    result = run(loads(text), 4)
    assert result.warm_up % 5 == 0
    assert result.clocks["total"].count.value <= 20_000 - result.warm_up
    assert run(loads(text), 4, warm_up_declarations=777).warm_up == 777
