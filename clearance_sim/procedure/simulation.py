"""Runs of the procedure. Each cell keeps one figure for each replication, for intervals and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clearance_sim.analysis.summary import TIME_FIGURES, VISIT_FIGURES
from clearance_sim.analysis.summary import Summary as ReplicationSummary
from clearance_sim.engine.replication import Replication, replicate
from clearance_sim.engine.tables import Compiled, compiled
from clearance_sim.execution.runner import chunk
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Levers
from clearance_sim.procedure.measured import ASSUMED, MachinePart
from clearance_sim.procedure.network import ARRIVAL, CLOCKS, network, stations_of
from clearance_sim.scenario.loader import from_values

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
STATISTICS = ("mean", "median", "p90")

Cell = tuple[Context, Levers]


@dataclass(frozen=True)
class Summary:
    """Statistics of one cell, by clock and statistic, with one number for each replication."""

    figures: Mapping[tuple[str, str], Array]

    def __call__(self, clock: str, statistic: str) -> Array:
        return self.figures[clock, statistic]


class Times(Protocol):
    """A run that kept its consignments' times, either the engine's result or a cell of a study."""

    def clock_values(self, clock: str = "total") -> Array: ...

    @property
    def final_class(self) -> NDArray[np.int64]: ...

    @property
    def class_names(self) -> list[str]: ...

    @property
    def in_warm_up(self) -> Mask: ...


@dataclass(frozen=True)
class Runs:
    """The replications of one cell, without estimates for stations and classes that are not asked for."""

    made: Compiled
    summaries: Sequence[ReplicationSummary]

    def __contains__(self, clock: str) -> bool:
        return clock in self.made.clocks

    def clock_values(self, clock: str = "total") -> Array:
        """Return the times in hours, one row for each replication, in the order of arrival.

        NaN where a consignment never reached the clock's end.
        """
        place = self.made.clocks.index(clock)
        return _padded([summary.values[place] for summary in self.summaries if summary.values is not None])

    @property
    def final_class(self) -> NDArray[np.int64]:
        """The class number of each consignment at its end, in the shape of `clock_values`. -1 if it has none."""
        rows = [summary.classes.astype(float) for summary in self.summaries if summary.classes is not None]
        return np.nan_to_num(_padded(rows), nan=-1).astype(np.int64)

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, by number."""
        return self.made.classes

    @property
    def in_warm_up(self) -> Mask:
        """A mask of consignments that arrived during the warm-up, in the shape of `clock_values`."""
        left_out = np.array([summary.run[0] - summary.run[1] for summary in self.summaries])
        longest = int(max(summary.run[0] for summary in self.summaries))
        return np.asarray(np.arange(longest)[None, :] < left_out[:, None])

    @property
    def stations(self) -> list[str]:
        """The names of the stations, in the engine's order."""
        return self.made.stations

    def utilisation(self, station: str) -> Array:
        """Return the utilisation of those on duty, one figure for each replication."""
        place, figure = self.stations.index(station), TIME_FIGURES.index("utilisation")
        return np.array([summary.times[place, figure] for summary in self.summaries])

    def wait(self, station: str) -> Array:
        """Return the mean wait for a free officer in hours, one figure for each replication."""
        place, figure = self.stations.index(station), VISIT_FIGURES.index("wait_mean")
        return np.array([summary.visits[place, 0, figure] for summary in self.summaries])

    def week(self, station: str) -> tuple[Array, Array]:
        """Return the mean numbers waiting and on duty at each hour of the week."""
        place = self.stations.index(station)
        seen = np.mean([summary.observed[:, place] for summary in self.summaries], axis=0)
        return seen[:, 0], seen[:, 2]


def _padded(rows: Sequence[Array]) -> Array:
    found = np.full((len(rows), max(map(len, rows))), np.nan)
    for into, row in zip(found, rows, strict=True):
        into[: len(row)] = row
    return found


@dataclass(frozen=True)
class Laboratory:
    """How cells are run: replications, weeks, seed and threads."""

    replications: int = 20
    weeks: int = 6
    warm_up_weeks: int = 2
    seed: int = 1
    workers: int = field(default_factory=lambda: cpu_count() or 1)
    machine: MachinePart = ASSUMED

    def runs(self, context: Context, levers: Levers, stages: bool = False) -> Runs:
        """Run one cell and keep every consignment's times.

        With `stages` the time at each station and the week of the desks are kept too.
        """
        table = network(context, levers, self.machine, self.weeks, self.warm_up_weeks)
        if stages:
            table["clocks"] |= {f"in {name}": stay(name) for name in stations_of(table)}
            table["observe"] = {"at_h": [float(hour) for hour in range(168)], "every_h": 168.0}
        made = compiled(from_values(table))
        none: list[tuple[float, ...]] = [() for _ in made.clocks]
        return Runs(made, chunk(made.tables, self.seed, 0, self.replications, none, keep=True))

    def summary(self, context: Context, levers: Levers) -> Summary:
        """Run one cell and keep its statistics only.

        This calls the engine directly, since a study of thousands of cells needs no figures of stations and classes.
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
        """Run many cells in parallel threads. Results do not depend on the order or number of threads."""
        found: list[Summary] = []
        with ThreadPoolExecutor(self.workers) as threads:
            for summary in threads.map(lambda cell: self.summary(*cell), cells):
                found.append(summary)
                if progress is not None:
                    progress(len(found), len(cells))
        return found


def _three(done: Replication, clock: int) -> tuple[float, float, float]:
    """Return mean, median and 90th percentile of one clock in one replication, without the warm-up."""
    hours = done.out[clock, done.arrived - done.counted :]
    hours = hours[~np.isnan(hours)]
    if hours.size == 0:
        return (float("nan"),) * 3
    median, p90 = np.quantile(hours, (0.5, 0.9))
    return float(hours.mean()), float(median), float(p90)


def stay(station: str) -> dict[str, str]:
    """Return a clock from the first arrival at a station to the last departure."""
    return {"from": f"enter:{station}", "to": f"leave:{station}"}


def counted(runs: Times) -> Mask:
    """Return a mask of consignments that arrived after the warm-up."""
    return ~runs.in_warm_up & (runs.final_class >= 0)


def time_in(runs: Runs, stations: Collection[str]) -> tuple[Array, Mask]:
    """Return the hours that each consignment spends at stations, and a mask of those that reach the first of them.

    A query lies within the stay at the document check. It is subtracted unless it is asked for.
    """
    total = np.zeros_like(runs.clock_values(ARRIVAL))
    for name in stations:
        if f"in {name}" in runs and not (name == "query" and "document check" in stations):
            total += np.nan_to_num(runs.clock_values(f"in {name}"))
    if "document check" in stations and "query" not in stations and "in query" in runs:
        total -= np.nan_to_num(runs.clock_values("in query"))
    first = f"in {next(iter(stations))}"
    came = np.isfinite(runs.clock_values(first)) if first in runs else np.zeros(total.shape, bool)
    return total, came & counted(runs)


def of_channel(runs: Times, channel: str) -> Mask:
    """Return a mask of consignments that ended in a channel, verified or not."""
    places = [place for place, name in enumerate(runs.class_names) if name.split(" ")[0] == channel]
    return np.isin(runs.final_class, places)


def by_replication(runs: Times, clock: str, channel: str = "") -> list[Array]:
    """Return a clock's hours in each replication, without the warm-up and consignments that never reached its end."""
    hours = runs.clock_values(clock)
    kept = np.isfinite(hours) & counted(runs)
    if channel:
        kept &= of_channel(runs, channel)
    return [row[keep] for row, keep in zip(hours, kept, strict=True)]
