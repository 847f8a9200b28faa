"""Our own engine on the same networks, over the public interface; with the argument `trace`, every visit is written."""

import os
import sys
import tempfile
from pathlib import Path

import clearance_sim
from clearance_sim.scenario.loader import varied
from tests.benchmarks.peers import measuring

_SCENARIOS = Path(clearance_sim.__file__).parent / "scenarios"


def mm3(count: int, seed: int) -> tuple[int, float]:
    """M/M/3."""
    return _simulate("theory/mm3.toml", count, seed)


def six_stations(count: int, seed: int) -> tuple[int, float]:
    """The six stations."""
    return _simulate("six-stations.toml", count, seed)


def closing(count: int, seed: int) -> tuple[int, float]:
    """Five jobs of an hour for a shift of four."""
    return _simulate("theory/closing-crew.toml", count, seed)


def pre_emptive_room(count: int, seed: int) -> tuple[int, float]:
    """M/M/1/3 with two priorities, of which one interrupts: how many were served."""
    changes = {"run.declarations": count, "run.warm_up_declarations": 0}
    scenario = varied(clearance_sim.load(_SCENARIOS / "theory/pre-emptive-room.toml"), changes)
    desk = clearance_sim.run(scenario, replications=1, seed=seed, workers=1).stations["desk"]
    return int(desk.served.value), desk.sojourn.mean.value


def _simulate(file: str, count: int, seed: int) -> tuple[int, float]:
    changes = {"run.declarations": count, "run.warm_up_declarations": 0}
    scenario = varied(clearance_sim.load(_SCENARIOS / file), changes)
    if "trace" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace.parquet"
            result = clearance_sim.run(scenario, replications=1, seed=seed, workers=1, trace=trace)
    else:
        result = clearance_sim.run(scenario, replications=1, seed=seed, workers=1)
    return count, result.clocks["total"].mean.value


if __name__ == "__main__":
    networks: dict[str, measuring.Run] = {
        "mm3": mm3,
        "six-stations": six_stations,
        "closing": closing,
        "pre-emptive-room": pre_emptive_room,
    }
    measuring.main(networks, warm="cold" not in sys.argv and os.environ.get("COLD") != "1")
