"""Runs one replication: calls the compiled loop, gives it room when it needs some, and hands back flat results."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearance_sim.engine import state as st
from clearance_sim.engine import tables as t
from clearance_sim.engine.compilation import kept_on_disk, sources
from clearance_sim.engine.distributions import draw
from clearance_sim.engine.loop import begin_run, go_on
from clearance_sim.engine.philox import uniforms

# Some 9 MB at a time: a row has five whole numbers and four others.
TRACE_ROWS = 1 << 17
TraceSink = Callable[[NDArray[np.int64], NDArray[np.float64]], None]


@dataclass
class Replication:
    """What one replication leaves behind; see engine.state for the columns."""

    number: int
    sums: NDArray[np.float64]  # [station, class, column]
    histogram: NDArray[np.uint32]  # [station, class, wait | sojourn, bin]
    areas: NDArray[np.float64]  # [station, column] of the window
    window_from: float
    window_to: float
    ended_at: float
    out: NDArray[np.float64]  # [clock, declaration]
    out_class: NDArray[np.int16]
    observed: NDArray[np.float64]
    observed_n: NDArray[np.int64]
    counted: int
    arrived: int
    inside: int
    events: int


def replicate(
    tables: t.Tables, seed: int, number: int, sink: TraceSink | None = None, pace: Callable[[int], None] | None = None
) -> Replication:
    """Run replication `number` to its end.

    `sink` receives the visits as they fill the trace; `pace` is told now and then how many declarations have left.
    """
    # A copy: the tables are shared with the other replications.
    options = tables.options.copy()
    options[t.TRACE] = sink is not None
    tables = tables._replace(options=options)
    set_up, advance = entry_points(int(options[t.PLAIN]))
    state = st.new_state(tables, TRACE_ROWS if sink is not None else 0)
    set_up(tables, state, seed, number)
    pause_every = 200_000 if pace is not None else 1 << 60
    left = pause_every
    while True:
        why = advance(tables, state, seed, number, left)
        if why in (st.TRACE_FULL, st.DONE) and sink is not None and state.i[st.TRACE_N]:
            rows = int(state.i[st.TRACE_N])
            sink(state.trace[:rows], state.trace_f[:rows])
            state.i[st.TRACE_N] = 0
        if why == st.DONE:
            return _result(tables, state, number)
        if why == st.MORE_HEAP:
            state = st.with_more_heap(state)
        elif why == st.MORE_SLOTS:
            state = st.with_more_slots(state)
        elif why == st.MORE_OUT:
            state = st.with_more_out(state)
        elif why == st.PAUSE and pace is not None:
            pace(left)
            left += pause_every


def _result(tables: t.Tables, state: st.State, number: int) -> Replication:
    stations, classes = tables.station.shape[0], tables.rank.shape[0]
    arrived = int(state.i[st.ARRIVED_N])
    return Replication(
        number=number,
        sums=state.sums.reshape(stations, classes, -1),
        histogram=state.histogram.reshape(stations, classes, 2, -1),
        areas=state.frozen,
        window_from=float(state.f[st.WINDOW_FROM]),
        window_to=float(state.f[st.WINDOW_TO]),
        ended_at=float(state.f[st.NOW]),
        out=state.out[:, :arrived],
        out_class=state.out_class[:arrived],
        observed=state.observed,
        observed_n=state.observed_n,
        counted=int(state.i[st.COUNTED_N]),
        arrived=arrived,
        inside=int(state.i[st.INSIDE]),
        events=int(state.i[st.EVENTS]),
    )


# The compiled functions that Python calls; see engine.compilation for why they carry a digest


@functools.cache
def entry_points(plain: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `set_up` and `advance` of the loop, compiled or loaded from the cache.

    `advance` is compiled twice: for plain scenarios (1), and for all (0).
    """
    version = sources()

    @kept_on_disk
    def set_up(tables, state, seed, replication):  # type: ignore[no-untyped-def]
        # Used, so that it is a variable of the closure: only these are part of the key under which numba keeps the
        # code.
        _ = version
        begin_run(tables, state, seed, replication)

    @kept_on_disk
    def advance(tables, state, seed, replication, until_left):  # type: ignore[no-untyped-def]
        _ = version
        return go_on(tables, state, seed, replication, until_left, plain)

    return set_up, advance


@functools.cache
def drawing() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `draw` and `uniforms`, for single numbers."""
    version = sources()

    @kept_on_disk
    def one(row, table, u):  # type: ignore[no-untyped-def]
        _ = version
        return draw(row, table, u)

    @kept_on_disk
    def four(seed, replication, declaration, stream, visit, purpose):  # type: ignore[no-untyped-def]
        _ = version
        return uniforms(seed, replication, declaration, stream, visit, purpose)

    return one, four
