"""How much simulation a study spends, and how long each part took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from clearance_sim.procedure.simulation import Laboratory


@dataclass(frozen=True)
class Effort:
    """Replications and sizes of every part of the study."""

    factorial: Laboratory
    small: Laboratory
    """For parts with very many cells: Sobol, frontier."""
    studies: Laboratory
    congested: Laboratory
    """From an empty office, so that a queue without end shows as what it becomes in so many weeks."""
    sobol_base: int
    frontier_points: int
    adoption_points: int
    quick: bool


def effort(quick: bool, seed: int, workers: int, laboratory: Laboratory) -> Effort:
    """The full study, or one that shows everything within seconds and with wide intervals."""
    base = replace(laboratory, seed=seed, workers=workers)
    if quick:
        return Effort(
            factorial=replace(base, replications=5, weeks=2, warm_up_weeks=2),
            small=replace(base, replications=2, weeks=1, warm_up_weeks=1),
            studies=replace(base, replications=3, weeks=2, warm_up_weeks=2),
            congested=replace(base, replications=3, weeks=4, warm_up_weeks=0),
            sobol_base=4,
            frontier_points=3,
            adoption_points=5,
            quick=True,
        )
    return Effort(
        factorial=replace(base, replications=20, weeks=6, warm_up_weeks=2),
        small=replace(base, replications=3, weeks=3, warm_up_weeks=2),
        studies=replace(base, replications=10, weeks=6, warm_up_weeks=2),
        congested=replace(base, replications=10, weeks=8, warm_up_weeks=0),
        sobol_base=64,
        frontier_points=9,
        adoption_points=11,
        quick=False,
    )


@dataclass
class Stopwatch:
    """Wall seconds by part."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    cpu_started: float = field(default_factory=time.process_time)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times one part; parts of the same name add up."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def to_json(self) -> dict[str, float]:
        rounded = {name: round(seconds, 2) for name, seconds in self.seconds.items()}
        return rounded | {"total": round(time.perf_counter() - self.started, 2)}

    def cpu_seconds(self) -> float:
        """Processor seconds since the start: what the study costs on a machine that does nothing else."""
        return round(time.process_time() - self.cpu_started, 2)
