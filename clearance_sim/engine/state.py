"""What the event loop writes: slots for those inside, queues, the heap of planned events, and the sums it keeps.

All of it lives in arrays, so the loop may stop at any moment (an array is full, progress is due) and be called again.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearance_sim.engine import tables as t
from clearance_sim.engine.compilation import inlined
from clearance_sim.messages import _


@inlined
def push(at, what, n, time, event):  # type: ignore[no-untyped-def]
    """Add an event to a heap of n."""
    # A heap of our own over arrays: numba's heapq wants lists, whose references would be counted (see compilation).
    i = n
    while i > 0:
        parent = (i - 1) >> 1
        above = at[parent]
        # At equal times by the event's number, whose upper bits say which was planned first: as the reference's heap
        # does.
        if above < time or (above == time and what[parent] < event):
            break
        at[i] = above
        what[i] = what[parent]
        i = parent
    at[i] = time
    what[i] = event


@inlined
def drop_first(at, what, n):  # type: ignore[no-untyped-def]
    """Remove the earliest event of a heap of n."""
    n -= 1
    time = at[n]
    event = what[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        right = child + 1
        if right < n and (at[right] < at[child] or (at[right] == at[child] and what[right] < what[child])):
            child = right
        if at[child] > time or (at[child] == time and what[child] > event):
            break
        at[i] = at[child]
        what[i] = what[child]
        i = child
    at[i] = time
    what[i] = event


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Slots, whole numbers.
ID, CLASS, STATION, ENDS_SEQ, GIVES_UP_SEQ, NEXT, PREVIOUS, RANK, CREW_OF, COUNTED, VISIT, QUEUED = range(12)
# Slots, numbers.
ARRIVED, ENTERED, STARTED, WORK, WAY_U, ENDS, FRAILTY_Z, DUE = range(8)
# Stations, whole numbers.
CAPACITY, OVERTIME, USED, BUSY, CREW_NOW, STEP_NOW, WAITING, FIRST_SERVED, LAST_SERVED, OVER, AFTER = range(11)
# Stations, numbers: sums over time since LAST.
LAST, QUEUE_AREA, BUSY_AREA, OVER_AREA, DUTY_AREA, OVERTIME_AREA, CHANGE_AT, CLOSE_AT, WINDOW_H = range(9)
# Sums over visits of a class to a station.
SERVED, WAIT, WAIT2, SOJOURN, SOJOURN2, DELAYED, LOST_N, ABANDONED_N, ENTERED_N = range(9)
# Whole numbers of the run.
HEAP_N, SEQ, FREE, INSIDE, ARRIVED_N, TRACE_N, EVENTS, OBSERVE_NEXT, CLOSED, COUNTED_N, LEFT_N = range(11)
# Numbers of the run.
NOW, CHANGE_NEXT, ARRIVAL_NEXT, OBSERVE_T, WINDOW_FROM, WINDOW_TO = range(6)
# Sources, whole numbers: which firing comes next, how many of its batch are still to come, member, step of the rate.
FIRING, PENDING, MEMBER_NO, RATE_STEP = range(4)
# Why the loop stopped.
DONE, MORE_HEAP, MORE_SLOTS, MORE_OUT, TRACE_FULL, PAUSE = range(6)

# An event is one number: when it was planned, counted in 39 bits, above the slot that it is about.
SLOT_BITS = 24
# From 2^-22 h, less than a millisecond, to 2^22 h, some 480 years.
OCTAVES, OCTAVE_BITS = 44, 8
PER_OCTAVE = 1 << OCTAVE_BITS
"""Bins to an octave of durations: none is wider than 1/256 of what it holds, nor does a quantile err by more."""
LEAST_OCTAVE = -22
BINS = OCTAVES * PER_OCTAVE + 1


class State(NamedTuple):
    """What the loop writes."""

    i: Ints
    f: Floats
    slot: Ints
    slot_f: Floats
    visits: NDArray[np.int32]
    points: Floats
    station: Ints
    station_f: Floats
    frozen: Floats
    head: Ints
    tail: Ints
    heap_at: Floats
    heap: Ints
    source: Ints
    source_f: Floats  # next firing, three uniform numbers for it, four for gaps
    sums: Floats
    histogram: NDArray[np.uint32]
    out: Floats  # [clock, declaration]
    out_class: NDArray[np.int16]
    trace: Ints
    trace_f: Floats
    observed: Floats  # [moment, station or all, queue | busy | on duty | empty | squares]
    observed_n: Ints


def new_state(tables: t.Tables, trace_rows: int, slots: int = 256) -> State:
    """Return a state before anything has happened."""
    stations, classes = tables.station.shape[0], tables.rank.shape[0]
    ranks, points = int(tables.options[t.RANKS]), int(tables.options[t.POINTS])
    # What tables._options writes where the run has no number of declarations.
    limited = tables.options[t.DECLARATIONS] < 2**40
    length = int(tables.options[t.DECLARATIONS]) if limited else 1 << 12
    state = State(
        i=np.zeros(16, np.int64),
        f=np.zeros(8),
        slot=np.zeros((slots, 12), np.int64),
        slot_f=np.zeros((slots, 8)),
        visits=np.zeros((slots, stations), np.int32),
        points=np.zeros((slots, 2 * points)),
        station=np.zeros((stations, 12), np.int64),
        station_f=np.zeros((stations, 10)),
        frozen=np.zeros((stations, 10)),
        head=np.full((stations, ranks), -1, np.int64),
        tail=np.full((stations, ranks), -1, np.int64),
        heap_at=np.zeros(4 * slots),
        heap=np.zeros(4 * slots, np.int64),
        source=np.zeros((tables.source.shape[0], 4), np.int64),
        source_f=np.zeros((tables.source.shape[0], 8)),
        sums=np.zeros((stations * classes, 10)),
        histogram=np.zeros((stations * classes, 2, BINS), np.uint32),
        out=np.full((tables.clock_to.shape[0], length), np.nan),
        out_class=np.zeros(length, np.int16),
        trace=np.zeros((trace_rows, 5), np.int64),
        trace_f=np.zeros((trace_rows, 4)),
        observed=np.zeros((tables.observe_at.shape[0], stations + 1, 5)),
        observed_n=np.zeros(tables.observe_at.shape[0], np.int64),
    )
    state.slot[:, NEXT] = np.arange(1, slots + 1)
    state.slot[-1, NEXT] = -1
    return state


def with_more_heap(state: State) -> State:
    """Return the state with a larger heap."""
    extra = len(state.heap)
    return state._replace(
        heap_at=np.concatenate([state.heap_at, np.zeros(extra)]),
        heap=np.concatenate([state.heap, np.zeros(extra, np.int64)]),
    )


def with_more_slots(state: State) -> State:
    """Return the state with twice as many slots.

    Raises:
        MemoryError: if more would be inside than an event can tell apart (``SLOT_BITS``), so that the queues only grow.
    """
    have = len(state.slot)
    if 2 * have > 1 << SLOT_BITS:
        raise MemoryError(_("more than {have:,} declarations are inside at once: the network cannot cope", have=have))

    def doubled(array: Any) -> Any:
        return np.concatenate([array, np.zeros_like(array)])

    slot = doubled(state.slot)
    slot[have:, NEXT] = np.arange(have + 1, 2 * have + 1)
    slot[-1, NEXT] = state.i[FREE]
    state.i[FREE] = have
    return state._replace(
        slot=slot, slot_f=doubled(state.slot_f), visits=doubled(state.visits), points=doubled(state.points)
    )


def with_more_out(state: State) -> State:
    """Return the state with room for twice as many declarations."""
    return state._replace(
        out=np.concatenate([state.out, np.full_like(state.out, np.nan)], axis=1),
        out_class=np.concatenate([state.out_class, np.zeros_like(state.out_class)]),
    )
