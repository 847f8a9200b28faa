"""Runs the procedure and keeps, of each cell, one figure a replication: enough for intervals and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count

import numpy as np
from numpy.typing import NDArray

from clearance_sim import Result, run
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Levers
from clearance_sim.procedure.measured import ASSUMED, MachinePart
from clearance_sim.procedure.network import CLOCKS, network
from clearance_sim.scenario.reading import from_values

Array = NDArray[np.float64]
STATISTICS = ("mean", "median", "p90")

Cell = tuple[Context, Levers]


@dataclass(frozen=True)
class Summary:
    """Statistics of one cell: one number a replication, by clock and statistic."""

    figures: Mapping[tuple[str, str], Array]

    def __call__(self, clock: str, statistic: str) -> Array:
        return self.figures[clock, statistic]


@dataclass(frozen=True)
class Laboratory:
    """How cells are run: how many replications of how many weeks, from which seed, on how many threads."""

    replications: int = 20
    weeks: int = 6
    warm_up_weeks: int = 2
    seed: int = 1
    workers: int = field(default_factory=lambda: cpu_count() or 1)
    machine: MachinePart = ASSUMED

    def result(self, context: Context, levers: Levers) -> Result:
        """One cell, with everything the engine reports."""
        table = network(context, levers, self.machine, self.weeks, self.warm_up_weeks)
        return run(from_values(table), replications=self.replications, seed=self.seed, workers=1)

    def summary(self, context: Context, levers: Levers) -> Summary:
        """One cell, reduced to its statistics."""
        return summarised(self.result(context, levers))

    def summaries(self, cells: Sequence[Cell], progress: Callable[[int, int], None] | None = None) -> list[Summary]:
        """Many cells, a thread each; the order and the number of threads change nothing in the results."""
        found: list[Summary] = []
        with ThreadPoolExecutor(self.workers) as threads:
            for summary in threads.map(lambda cell: self.summary(*cell), cells):
                found.append(summary)
                if progress is not None:
                    progress(len(found), len(cells))
        return found


def summarised(result: Result, clocks: Sequence[str] = CLOCKS) -> Summary:
    """Mean, median and ninth decile of each clock in each replication."""
    figures = {}
    for clock in clocks:
        rows = np.array([_three(values) for values in by_replication(result, clock)])
        figures.update({(clock, name): rows[:, column] for column, name in enumerate(STATISTICS)})
    return Summary(figures)


def _three(values: Array) -> tuple[float, float, float]:
    if values.size == 0:
        return (float("nan"),) * 3
    median, p90 = np.quantile(values, (0.5, 0.9))
    return float(values.mean()), float(median), float(p90)
