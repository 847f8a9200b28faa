"""Runs the procedure and keeps, of each cell, one figure a replication: enough for intervals and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count

import numpy as np
from numpy.typing import NDArray

from clearance_sim import Result, run
from clearance_sim.engine.replication import Replication, replicate
from clearance_sim.engine.tables import compiled
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Levers
from clearance_sim.procedure.measured import ASSUMED, MachinePart
from clearance_sim.procedure.network import ARRIVAL, CLOCKS, network, stations_of
from clearance_sim.scenario.reading import from_values

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
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

    def result(self, context: Context, levers: Levers, stages: bool = False) -> Result:
        """One cell, with everything the engine reports; with `stages`, a clock for the time at each station too."""
        table = network(context, levers, self.machine, self.weeks, self.warm_up_weeks)
        if stages:
            table["clocks"] |= {f"in {name}": stay(name) for name in stations_of(table)}
            table["observe"] = {"at_h": [float(hour) for hour in range(168)], "every_h": 168.0}
        return run(from_values(table), self.replications, self.seed, workers=1, keep_values=True)

    def summary(self, context: Context, levers: Levers) -> Summary:
        """One cell, reduced to its statistics.

        Straight from the engine: a study of thousands of cells has no use for the figures of every station and class.
        """
        table = network(context, levers, self.machine, self.weeks, self.warm_up_weeks)
        made = compiled(from_values(table))
        runs = [replicate(made.tables, self.seed, number) for number in range(self.replications)]
        return Summary(
            {
                (clock, name): figures
                for clock in CLOCKS
                for name, figures in zip(
                    STATISTICS, np.array([_three(done, made.clocks.index(clock)) for done in runs]).T, strict=True
                )
            }
        )

    def summaries(self, cells: Sequence[Cell], progress: Callable[[int, int], None] | None = None) -> list[Summary]:
        """Many cells, a thread each; the order and the number of threads change nothing in the results."""
        found: list[Summary] = []
        with ThreadPoolExecutor(self.workers) as threads:
            for summary in threads.map(lambda cell: self.summary(*cell), cells):
                found.append(summary)
                if progress is not None:
                    progress(len(found), len(cells))
        return found


def _three(done: Replication, clock: int) -> tuple[float, float, float]:
    """Mean, median and ninth decile of one clock in one replication, without its warm-up."""
    hours = done.out[clock, done.arrived - done.counted :]
    hours = hours[~np.isnan(hours)]
    if hours.size == 0:
        return (float("nan"),) * 3
    median, p90 = np.quantile(hours, (0.5, 0.9))
    return float(hours.mean()), float(median), float(p90)


def summarised(result: Result, clocks: Sequence[str] = CLOCKS) -> Summary:
    """Mean, median and ninth decile of each clock in each replication."""
    return Summary({(clock, name): result.per_replication(clock, name) for clock in clocks for name in STATISTICS})


def stay(station: str) -> dict[str, str]:
    """A clock from the first entry of a station to the last leaving."""
    return {"from": f"enter:{station}", "to": f"leave:{station}"}


def counted(result: Result) -> Mask:
    """Which of the clocks' values belong to consignments that came after the warm-up."""
    return ~result.in_warm_up & (result.final_class >= 0)


def time_in(result: Result, stations: Collection[str]) -> tuple[Array, Mask]:
    """Hours that each consignment spends at stations, and which consignments come to the first of them.

    A query lies within the stay at the document check; it is taken out unless it is asked for.
    """
    total = np.zeros_like(result.clock_values(ARRIVAL))
    for name in stations:
        if f"in {name}" in result.clocks and not (name == "query" and "document check" in stations):
            total += np.nan_to_num(result.clock_values(f"in {name}"))
    if "document check" in stations and "query" not in stations and "in query" in result.clocks:
        total -= np.nan_to_num(result.clock_values("in query"))
    first = f"in {next(iter(stations))}"
    came = np.isfinite(result.clock_values(first)) if first in result.clocks else np.zeros(total.shape, bool)
    return total, came & counted(result)


def of_channel(result: Result, channel: str) -> Mask:
    """Which consignments ended in a channel, verified or not."""
    places = [place for place, name in enumerate(result.class_names) if name.split(" ")[0] == channel]
    return np.isin(result.final_class, places)


def by_replication(result: Result, clock: str, channel: str = "") -> list[Array]:
    """A clock's hours in each replication, without the warm-up and without consignments that never reached its end."""
    hours = result.clock_values(clock)
    kept = np.isfinite(hours) & counted(result)
    if channel:
        kept &= of_channel(result, channel)
    return [row[keep] for row, keep in zip(hours, kept, strict=True)]
