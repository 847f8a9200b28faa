"""The simulator beside its peers: the same networks, each engine in a process of its own, turn by turn.

Rates are declarations per CPU second of the process, the best of the rounds: other work on the machine takes wall time
away, less so CPU time. A peer is handed its random times, where it can be, before its clock starts.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.figure import Figure

ROUNDS = 3
_HERE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class _Engine:
    name: str
    module: str
    network: str
    count: int
    extra: tuple[str, ...] = ()


_NETWORK = (
    _Engine("Provenport", "ours", "six-stations", 1_000_000),
    _Engine("Provenport with trace", "ours", "six-stations", 1_000_000, ("trace",)),
    _Engine("SimPy", "simpy_model", "six-stations", 20_000),
    _Engine("Ciw", "ciw_model", "six-stations", 10_000),
    _Engine("salabim", "salabim_model", "six-stations", 5_000),
)
_MM3 = (
    _Engine("Provenport M/M/3", "ours", "mm3", 5_000_000),
    _Engine("Cimba M/M/3", "cimba_model", "mm3", 5_000_000),
    _Engine("SimPy M/M/3", "simpy_model", "mm3", 50_000),
    _Engine("Ciw M/M/3", "ciw_model", "mm3", 20_000),
    _Engine("salabim M/M/3", "salabim_model", "mm3", 5_000),
)


def measure(scratch: Path) -> list[Figure]:
    """All figures of the simulator."""
    del scratch
    rates = _rates((*_NETWORK, *_MM3))
    return [*_agreement(), *_speed(rates), *_growth(), *_start(), *_workers(), *_common_random_numbers()]


def _rates(engines: tuple[_Engine, ...]) -> dict[str, float]:
    best: dict[str, float] = {}
    for seed in range(1, ROUNDS + 1):
        for engine in engines:
            found = _measured(engine.module, engine.network, engine.count, seed, *engine.extra)
            rate = found["declarations"] / found["seconds"]
            best[engine.name] = max(best.get(engine.name, 0.0), rate)
    return best


def _measured(module: str, network: str, count: int, seed: int, *extra: str) -> dict[str, float]:
    command = [sys.executable, "-m", f"tests.benchmarks.peers.{module}", network, str(count), str(seed), *extra]
    done = subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=True, timeout=900)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _agreement() -> list[Figure]:
    """What happens at closing and in a full waiting room: beside Ciw, and what must come out."""
    ours, theirs = (_measured(module, "closing", 1_000, 1)["mean_h"] for module in ("ours", "ciw_model"))
    closing = Figure("five jobs of 1 h for a shift of 4 h, mean time", ours, "h", "= 15", "Ciw", theirs)
    count = 400_000
    served = [_measured(module, "pre-emptive-room", count, 1)["declarations"] for module in ("ours", "ciw_model")]
    ours, theirs = (1 - number / count for number in served)
    label = "M/M/1/3 where one class interrupts, turned away"
    return [closing, Figure(label, ours, "share", "0.25 ± 0.005", "Ciw", theirs)]


def _speed(rates: dict[str, float]) -> list[Figure]:
    ours, mm3 = rates["Provenport"], rates["Provenport M/M/3"]
    unit = "decl./s"
    figures = [
        Figure("six stations with shifts, one core", ours, unit, ">= 1,500,000"),
        Figure("six stations, every visit written as Parquet", rates["Provenport with trace"], unit, ">= 1,000,000"),
        Figure("M/M/3, one core", mm3, unit, peer="Cimba", peer_value=rates["Cimba M/M/3"]),
    ]
    for peer, target in (("SimPy", 40), ("Ciw", 180), ("salabim", 500)):
        ratio = ours / rates[peer]
        figures.append(Figure(f"six stations, times {peer}", ratio, "x", f">= {target}", peer, rates[peer]))
    for peer, goal in (("Cimba", ">= 1.5"), ("SimPy", None), ("Ciw", None), ("salabim", None)):
        rate = rates[f"{peer} M/M/3"]
        figures.append(Figure(f"M/M/3, times {peer}", mm3 / rate, "x", goal, peer, rate))
    return figures


def _growth() -> list[Figure]:
    figures = []
    for count in (10**3, 10**4, 10**5, 10**6, 5 * 10**6):
        found = _measured("ours", "six-stations", count, 1)
        label = f"six stations, {count:,} declarations: CPU a declaration"
        figures.append(Figure(label, 1e6 * found["seconds"] / count, "µs"))
    figures.append(Figure("peak memory of 5,000,000 declarations", found["peak_mib"], "MiB", "< 400"))
    return figures


def _start() -> list[Figure]:
    """CPU of a fresh process, imports included, that simulates 1,000 declarations; the engine is compiled already."""
    program = "from tests.benchmarks.peers import ours; ours.six_stations(1000, 1)"
    taken = []
    for _ in range(ROUNDS):
        before = os.times()
        subprocess.run([sys.executable, "-c", program], cwd=_HERE, check=True, timeout=300)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return [Figure("first result of a warm start, CPU of the process", min(taken), "s", "<= 1.5")]


def _workers() -> list[Figure]:
    """Wall time of one worker over that of two; on a machine that is busy otherwise this shows the others, too."""
    import clearance_sim
    from clearance_sim.scenario.loader import varied

    file = Path(clearance_sim.__file__).parent / "scenarios" / "six-stations.toml"
    scenario = varied(clearance_sim.load(file), {"run.declarations": 200_000})
    clearance_sim.run(scenario, replications=2, seed=1, workers=2)
    ratios = []
    for seed in range(1, ROUNDS + 1):
        walls = []
        for workers in (1, 2):
            begun = time.perf_counter()
            clearance_sim.run(scenario, replications=24, seed=seed, workers=workers)
            walls.append(time.perf_counter() - begun)
        ratios.append(walls[0] / walls[1])
    load = os.getloadavg()[0]
    return [Figure(f"two workers, times one (load of the machine: {load:.1f})", max(ratios), "x", ">= 1.7")]


def _common_random_numbers() -> list[Figure]:
    """Variance of a difference of means with independent draws, over that with common ones."""
    import clearance_sim
    from clearance_sim.scenario.loader import varied

    file = Path(clearance_sim.__file__).parent / "scenarios" / "six-stations.toml"
    base = varied(clearance_sim.load(file), {"run.declarations": 20_000, "run.warm_up_declarations": 0})
    changes = {"stations.preparation.service.mean_h": 1.0, "stations.review.service.mean_h": 0.6}
    faster = varied(base, changes)

    def means(scenario: "clearance_sim.Scenario", seed: int) -> np.ndarray:
        result = clearance_sim.run(scenario, replications=200, seed=seed)
        return np.array([np.nanmean(row) for row in result.clock_values("total")])

    slow, common, other = means(base, 1), means(faster, 1), means(faster, 2)
    ratio = float(np.var(slow - other, ddof=1) / np.var(slow - common, ddof=1))
    return [Figure("variance of a difference, times that with common draws", ratio, "x", ">= 5")]
