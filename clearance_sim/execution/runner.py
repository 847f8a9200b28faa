"""Runs a scenario: so many replications, somewhere, summarised, and on request written down visit by visit."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearance_sim.analysis.result import Result, gathered
from clearance_sim.analysis.summary import Summary, mser5, summarised
from clearance_sim.engine import tables as t
from clearance_sim.engine.replication import TraceSink, replicate
from clearance_sim.engine.tables import Compiled, Tables, compiled
from clearance_sim.scenario.checks import class_names
from clearance_sim.scenario.model import Scenario

# Single times are kept up to this many numbers (160 MB), unless the caller decides.
KEEP_UP_TO = 20_000_000
PILOTS = 10
Progress = Callable[[int, int], None]
OUTCOMES = ("served", "lost", "abandoned")
# Times hardly ever repeat: looking for repetition among them would take longer than the simulation.
_FAST: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": ["class", "station", "outcome", "replication"],
    "write_statistics": False,
}


def run(
    scenario: Scenario,
    replications: int | None = None,
    seed: int | None = None,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    trace: str | Path | None = None,
    keep_values: bool | None = None,
    warm_up_declarations: int | None = None,
    level: float = 0.95,
) -> Result:
    """Simulate a scenario.

    The result depends on scenario, replications and seed alone: not on workers, executor or order.

    Args:
        scenario: what to simulate.
        replications: how many independent runs; the scenario's own number unless given.
        seed: the scenario's own unless given.
        workers: threads to use; as many as there are processors unless given.
        executor: where to run instead (processes, a cluster); it stays open.
        progress: told (done, all) replications now and then.
        trace: a Parquet file for every visit.
        keep_values: whether `Result.clock_values` will be asked for; unless said, yes where they are not too many.
        warm_up_declarations: how many of the first to leave out, instead of what the scenario says.
        level: of the confidence intervals.
    """
    made = compiled(scenario)
    count = scenario.run.replications if replications is None else replications
    key = scenario.run.seed if seed is None else seed
    if count < 1:
        raise ValueError("a run needs at least one replication")
    warm_up = warm_up_declarations
    if warm_up is None and scenario.run.warm_up == "mser-5":
        warm_up = _found_warm_up(made, key, min(count, PILOTS))
    tables = made.tables if warm_up is None else _with_warm_up(made.tables, warm_up)
    targets: list[tuple[float, ...]] = [
        scenario.clocks[n].target_h if n in scenario.clocks else () for n in made.clocks
    ]
    keep = _few_enough(tables, count) if keep_values is None else keep_values
    own = executor is None
    where = executor or (
        Threads(min(workers or processors(), count)) if (workers or processors()) > 1 and count > 1 else Serial()
    )
    try:
        if trace is not None:
            summaries = _traced(scenario, tables, key, count, targets, keep, trace, progress)
        else:
            summaries = _spread(where, tables, key, count, targets, keep, progress)
    finally:
        if own:
            where.close()
    return gathered(
        summaries, scenario.name, made.stations, made.classes, made.clocks, targets, made.unlimited,
        list(made.tables.observe_at), key, level, int(tables.options[t.WARM_COUNT]),
    )  # fmt: skip


def chunk(
    tables: Tables, seed: int, first: int, last: int, targets: list[tuple[float, ...]], keep: bool
) -> list[Summary]:
    """Return the summaries of replications first to last - 1: the part of a run that an executor is given."""
    return [_summary(tables, replicate(tables, seed, number), targets, keep) for number in range(first, last)]


def _summary(tables: Tables, done, targets, keep):  # type: ignore[no-untyped-def]
    warm_h = float(tables.options[t.WARM_H])
    return summarised(done, min(int(tables.options[t.WARM_COUNT]), done.arrived), warm_h, targets, keep)


def _spread(
    where: Executor, tables: Tables, seed: int, count: int, targets: list[tuple[float, ...]], keep: bool,
    progress: Progress | None,
) -> list[Summary]:  # fmt: skip
    step = max(1, -(-count // (where.size * (20 if progress else 4))))
    edges = [*range(0, count, step), count]
    parts = [where.submit(chunk, tables, seed, a, b, targets, keep) for a, b in itertools.pairwise(edges)]
    summaries: list[Summary] = []
    for part in where.gather(parts):
        summaries += part
        if progress:
            progress(len(summaries), count)
    return summaries


def _traced(
    scenario: Scenario, tables: Tables, seed: int, count: int, targets: list[tuple[float, ...]], keep: bool,
    path: str | Path, progress: Progress | None,
) -> list[Summary]:  # fmt: skip
    """Run one replication after the other, so that the trace is in order."""
    log, summaries = TraceFile(path, scenario), []
    try:
        for number in range(count):
            summaries.append(_summary(tables, replicate(tables, seed, number, log.sink(number)), targets, keep))
            if progress:
                progress(number + 1, count)
    finally:
        log.close()
    return summaries


def _with_warm_up(tables: Tables, declarations: int) -> Tables:
    options = tables.options.copy()
    options[t.WARM_COUNT], options[t.WARM_H] = declarations, 0.0
    return tables._replace(options=options)


def _found_warm_up(made: Compiled, seed: int, pilots: int) -> int:
    """Return the warm-up by MSER-5 on the mean total time by order of arrival, over some pilot replications."""
    tables = _with_warm_up(made.tables, 0)
    runs = [replicate(tables, seed, number).out[0] for number in range(pilots)]
    length = min(map(len, runs))
    stacked = np.stack([values[:length] for values in runs])
    known = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        means = np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0)
    return mser5(means[~np.isnan(means)])


def _few_enough(tables: Tables, count: int) -> bool:
    declarations = tables.options[t.DECLARATIONS]
    if declarations >= 2**40:
        declarations = 100_000
    return bool(declarations * count * len(tables.clock_to) <= KEEP_UP_TO)


# ---- where it runs


class Executor(Protocol):
    """Executes functions somewhere."""

    @property
    def size(self) -> int:
        """How many parts run at the same time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Start a part; what is returned stands for its result."""

    def gather(self, parts: Iterable[Any]) -> Iterator[Any]:
        """Yield the results, in the order of the parts."""

    def close(self) -> None:
        """Give back what was taken."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Serial:
    """One after the other, when asked for the result."""

    size = 1

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        return lambda: function(*arguments)

    def gather(self, parts: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        return (part() for part in parts)

    def close(self) -> None:
        pass


class _Pooled:
    def __init__(self, size: int, pool: Pool) -> None:
        self.size = size
        self._pool = pool

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._pool.submit(function, *arguments)

    def gather(self, parts: Iterable[Any]) -> Iterator[Any]:
        return (part.result() for part in parts)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Threads(_Pooled):
    """Threads of this process: no start, nothing copied; the compiled loop lets the others run."""

    def __init__(self, size: int) -> None:
        super().__init__(size, ThreadPoolExecutor(size, thread_name_prefix="replications"))


class Processes(_Pooled):
    """Processes of their own."""

    def __init__(self, size: int) -> None:
        super().__init__(size, ProcessPoolExecutor(size, mp_context=multiprocessing.get_context("spawn")))


# ---- what is written of each visit


class TraceFile:
    """A Parquet file that visits are written to as they end."""

    def __init__(self, path: str | Path, scenario: Scenario) -> None:
        import pyarrow as pa  # not needed, and not loaded, without a trace
        import pyarrow.parquet as pq

        self._pa = pa
        words = pa.dictionary(pa.int32(), pa.string())
        fields = [
            ("replication", pa.int32()), ("declaration", pa.int64()), ("class", words), ("station", words),
            ("visit", pa.int32()), ("enter_h", pa.float64()), ("start_h", pa.float64()), ("end_h", pa.float64()),
            ("due_h", pa.float64()),
            ("outcome", words),
        ]  # fmt: skip
        self._words = [pa.array(names) for names in (class_names(scenario), list(scenario.stations), OUTCOMES)]
        self._schema = pa.schema(fields, metadata={"clearance_sim": json.dumps(about(scenario), ensure_ascii=False)})
        self._file = pq.ParquetWriter(path, self._schema, **_FAST)

    def sink(self, replication: int) -> TraceSink:
        """Return what takes the visits of one replication."""

        def take(rows: NDArray[np.int64], times: NDArray[np.float64]) -> None:
            pa = self._pa
            classes, stations, outcomes = self._words

            def worded(codes: NDArray[np.int64], words: Any) -> Any:
                return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)

            columns = [
                pa.array(np.full(len(rows), replication, np.int32)), pa.array(rows[:, 0].copy()),
                worded(rows[:, 1], classes), worded(rows[:, 2], stations), pa.array(rows[:, 3].astype(np.int32)),
                *(pa.array(times[:, k].copy(), from_pandas=k in (1, 3)) for k in range(4)),
                worded(rows[:, 4], outcomes),
            ]  # fmt: skip
            self._file.write_table(pa.table(columns, schema=self._schema))

        return take

    def close(self) -> None:
        self._file.close()


def about(scenario: Scenario) -> dict[str, Any]:
    """Return what a reader of the log needs to know of the scenario."""
    return {
        "scenario": scenario.name,
        "start": scenario.start.isoformat(),
        "zone": scenario.zone,
        "clocks": {"total": [["arrive"], "exit"], **{n: [list(c.from_), c.to] for n, c in scenario.clocks.items()}},
        "parties": {name: s.party for name, s in scenario.stations.items() if s.party},
    }
