"""The event loop: it takes the earliest event, lets it happen, and looks who can be served now.

At equal times the order is: changes of shift, ends of service and of patience (in the order in which they were
planned), observations, arrivals. So nobody begins a job at the moment of closing; who ends then is not stopped either.
"""

import math

import numpy as np

from clearance_sim.engine import tables as t
from clearance_sim.engine.arrivals import FIRES_AT, next_firing, picked, step_begins
from clearance_sim.engine.compilation import compiled_part, inlined
from clearance_sim.engine.distributions import draw, normal
from clearance_sim.engine.philox import MEMBER, TRADER, U64, block, uniform
from clearance_sim.engine.service import (
    ABANDONED_OUTCOME,
    LOST_OUTCOME,
    SERVED_OUTCOME,
    begin,
    count_time,
    first_waiting,
    interrupt,
    join_queue,
    last_of_worst_rank,
    leave_queue,
    may_begin,
    not_worse_in_service,
    note,
    plan_visit,
    record_visit,
    release_server,
)  # fmt: skip
from clearance_sim.engine.state import (
    AFTER,
    ARRIVED,
    ARRIVED_N,
    BUSY,
    CAPACITY,
    CHANGE_AT,
    CHANGE_NEXT,
    CLASS,
    CLOSE_AT,
    CLOSED,
    COUNTED,
    COUNTED_N,
    CREW_NOW,
    DONE,
    ENDS_SEQ,
    EVENTS,
    FRAILTY_Z,
    FREE,
    GIVES_UP_SEQ,
    HEAP_N,
    ID,
    INSIDE,
    LAST,
    LEFT_N,
    MEMBER_NO,
    MORE_HEAP,
    MORE_OUT,
    MORE_SLOTS,
    NEXT,
    NOW,
    OBSERVE_NEXT,
    OBSERVE_T,
    OVER,
    OVERTIME,
    PAUSE,
    PENDING,
    RANK,
    SEQ,
    SLOT_BITS,
    STARTED,
    STATION,
    STEP_NOW,
    TRACE_FULL,
    TRACE_N,
    USED,
    WAITING,
    WAY_U,
    WINDOW_FROM,
    WINDOW_H,
    WINDOW_TO,
    drop_first,
    push,
)  # fmt: skip


@compiled_part
def begin_run(T, X, seed, replication):  # type: ignore[no-untyped-def]
    """Bring a new state to hour 0."""
    X.f[WINDOW_FROM], X.f[WINDOW_TO] = np.nan, np.nan
    for s in range(T.station.shape[0]):
        X.station[s, STEP_NOW] = -1
        _change_shift(T, X, s, 0.0)
        # The first shift relieves nobody.
        X.station[s, CREW_NOW] = 0
    _next_change(X)
    for a in range(T.source.shape[0]):
        next_firing(T, X, a, seed, replication)
    X.f[OBSERVE_T] = T.observe_at[0] if T.observe_at.shape[0] > 0 else np.inf


@inlined
def go_on(T, X, seed, replication, until_left, plain):  # type: ignore[no-untyped-def]
    """Let events happen until the run is over, an array is full, or so many declarations have left.

    `plain` is a constant: where it is 1, all that a plain scenario does without is compiled away (see tables.is_plain).
    """
    trace, trace_rows = T.options[t.TRACE] > 0.0, X.trace.shape[0]
    heap_rows, patience = X.heap.shape[0], plain == 0 and T.options[t.IMPATIENT] > 0.0
    length, horizon = X.out.shape[1], T.options[t.HORIZON]
    wanted = int(T.options[t.DECLARATIONS])
    source, arrival = _first_source(X)
    while True:
        # The loop can stop only between events, so there must be room for the most that one may do: a visit ends, and
        # the declaration is turned away at one station after another; or everybody inside begins at a change of shift.
        if trace and X.i[TRACE_N] + 2 + T.station.shape[0] > trace_rows:
            return TRACE_FULL
        if X.i[HEAP_N] + X.i[INSIDE] + 4 > heap_rows:
            return MORE_HEAP
        if X.i[CLOSED] == 0 and (X.i[FREE] < 0):
            return MORE_SLOTS
        if X.i[CLOSED] == 0 and X.i[ARRIVED_N] >= length and length < wanted:
            return MORE_OUT
        if X.i[LEFT_N] >= until_left:
            return PAUSE
        if X.i[CLOSED] != 0:
            if X.i[INSIDE] == 0 and not (T.options[t.EVERY_H] == 0.0 and X.f[OBSERVE_T] < np.inf):
                return DONE
            arrival = np.inf
        elif arrival >= horizon:
            arrival = horizon
        planned = X.heap_at[0] if X.i[HEAP_N] > 0 else np.inf
        slot, freed, goal = -1, -1, t.NOWHERE
        change = X.f[CHANGE_NEXT] - t.TIE_H
        if change <= planned and change <= arrival and change <= X.f[OBSERVE_T] and change < np.inf:
            now = X.f[CHANGE_NEXT]
            freed = _station_that_changes(X, now)
            count_time(X, freed, now)
            _change_shift(T, X, freed, now)
            _next_change(X)
            X.i[EVENTS] += 1
        elif planned <= arrival and planned <= X.f[OBSERVE_T] and planned < np.inf:
            now = max(planned, X.f[NOW])  # what comes at the moment of a change of shift waits for it
            event = X.heap[0]
            drop_first(X.heap_at, X.heap, X.i[HEAP_N])
            X.i[HEAP_N] -= 1
            slot, seq = event & ((1 << SLOT_BITS) - 1), event >> SLOT_BITS
            s = X.slot[slot, STATION]
            if seq == X.slot[slot, ENDS_SEQ]:
                count_time(X, s, now)
                release_server(T, X, slot, s, plain)
                record_visit(T, X, slot, s, now, SERVED_OUTCOME)
                if plain == 0:
                    note(X, T.station[s, t.START_AT], slot, X.slot_f[slot, STARTED])
                    note(X, T.station[s, t.LEAVE_AT], slot, now)
                freed, goal = s, _way_out(T, X, slot, s, plain)
                X.i[EVENTS] += 1
            elif patience and seq == X.slot[slot, GIVES_UP_SEQ]:
                count_time(X, s, now)
                leave_queue(X, slot, s, plain)
                X.slot[slot, GIVES_UP_SEQ] = -1
                record_visit(T, X, slot, s, now, ABANDONED_OUTCOME)
                freed, goal = s, T.station[s, t.ABANDON]
                X.i[EVENTS] += 1
            else:
                # An end that an interruption has put off, or the patience of who is served by now: the slot has another
                # number since.
                continue
        elif X.f[OBSERVE_T] <= arrival and X.f[OBSERVE_T] < np.inf:
            now = X.f[OBSERVE_T]
            _observe(T, X, now)
            continue
        elif X.i[CLOSED] == 0 and arrival < horizon:
            now = max(arrival, X.f[NOW])
            slot, goal = _arrive(T, X, source, now, seed, replication, plain)
            source, arrival = _first_source(X)
            if X.i[ARRIVED_N] >= wanted:
                _close(X, now)
        elif X.i[CLOSED] == 0:
            now = horizon
            _close(X, now)
            if T.options[t.CUT] > 0.0:
                X.f[NOW] = now
                return DONE
        else:
            return DONE  # nobody will ever be served again
        X.f[NOW] = now
        if freed >= 0:
            _serve(T, X, freed, now, plain)
        while goal >= 0:
            goal = _enter(T, X, slot, goal, now, seed, replication, plain)
        if goal != t.NOWHERE:
            _leave(T, X, slot, now, goal)


@inlined
def _first_source(X):  # type: ignore[no-untyped-def]
    first, at = 0, X.source_f[0, FIRES_AT]
    for a in range(1, X.source.shape[0]):
        if X.source_f[a, FIRES_AT] < at:
            first, at = a, X.source_f[a, FIRES_AT]
    return first, at


@inlined
def _arrive(T, X, a, now, seed, replication, plain):  # type: ignore[no-untyped-def]
    """Let a declaration arrive: give it a slot, a class, a frailty and a first station."""
    slot = X.i[FREE]
    i, row = X.slot[slot], T.source[a]
    X.i[FREE] = i[NEXT]
    X.i[INSIDE] += 1
    i[ID] = X.i[ARRIVED_N]
    X.i[ARRIVED_N] += 1
    u0, u1, u2 = X.source_f[a, 1], X.source_f[a, 2], X.source_f[a, 3]
    if plain == 0 and row[t.S_BATCH] != t.SINGLE:
        r0, r1, r2, _ = block(
            U64(X.source[a, 0]), U64(row[t.S_STREAM]), U64(X.source[a, MEMBER_NO]), MEMBER, U64(seed), U64(replication)
        )  # fmt: skip
        u0, u1, u2 = uniform(r0), uniform(r1), uniform(r2)
    X.source[a, MEMBER_NO] += 1
    X.source[a, PENDING] -= 1
    if X.source[a, PENDING] == 0:
        next_firing(T, X, a, seed, replication)
    i[CLASS] = int(picked(T, row[t.S_CLASSES], u0)) if row[t.S_CLASS_COUNT] > 1 else int(T.pick[row[t.S_CLASSES], 1])
    X.slot_f[slot, ARRIVED] = now
    if plain == 0 and T.options[t.FRAIL] > 0.0:
        X.slot_f[slot, FRAILTY_Z] = _frailty(T, u1, seed, replication)
    if plain == 0 and T.options[t.LOOPS] > 0.0:
        for s in range(X.visits.shape[1]):
            X.visits[slot, s] = 0
    if plain == 0:
        for k in range(X.points.shape[1]):
            X.points[slot, k] = np.nan
    i[ENDS_SEQ], i[GIVES_UP_SEQ] = -1, -1
    i[COUNTED] = i[ID] >= T.options[t.WARM_COUNT] and now >= T.options[t.WARM_H]
    if i[COUNTED]:
        X.i[COUNTED_N] += 1
        if math.isnan(X.f[WINDOW_FROM]):
            _open_window(X, now)
    first = row[t.S_WAYS]
    goal = first
    if row[t.S_WAYS_COUNT] > 1:
        while u2 > T.way_p[goal, 0]:
            goal += 1
    _become(T, X, slot, T.way_to[goal, 1])
    return slot, T.way_to[goal, 0]


@compiled_part
def _frailty(T, u, seed, replication):  # type: ignore[no-untyped-def]
    traders = T.options[t.TRADERS]
    if traders == 0.0:
        return normal(u)
    trader = int(u * traders)
    r0, _, _, _ = block(U64(trader), U64(t.TRADER_STREAM), U64(0), TRADER, U64(seed), U64(replication))
    return normal(uniform(r0))


@inlined
def _become(T, X, slot, new_class):  # type: ignore[no-untyped-def]
    if new_class >= 0:
        X.slot[slot, CLASS] = new_class
    X.slot[slot, RANK] = T.rank[X.slot[slot, CLASS]]


@inlined
def _way_out(T, X, slot, s, plain):  # type: ignore[no-untyped-def]
    """Return where a declaration goes next, taking on the class of that way."""
    row = T.ways[X.slot[slot, CLASS], s]
    way = row[0]
    if row[1] > 1:
        u = X.slot_f[slot, WAY_U]
        if plain == 0 and row[2] >= 0:
            way += _moved_way(T, row, u, X.slot_f[slot, FRAILTY_Z])
        else:
            while u > T.way_p[way, 0]:
                way += 1
    _become(T, X, slot, T.way_to[way, 1])
    return T.way_to[way, 0]


@compiled_part
def _moved_way(T, row, u, z):  # type: ignore[no-untyped-def]
    """Return the way taken where frailty moves the chance of one of them; the others share the rest in proportion."""
    first, moved = row[0], row[2]
    p = T.way_p[first + moved, 1]
    now_p = 1.0 / (1.0 + math.exp(-(T.way_p[first + moved, 3] + T.way_p[first + moved, 2] * z)))
    total = 0.0
    for way in range(row[1]):
        own = T.way_p[first + way, 1]
        total += now_p if way == moved else own * (1.0 - now_p) / (1.0 - p)
        if u <= total:
            return way
    # Reached only where rounding leaves the sum below u.
    return row[1] - 1


@inlined
def _enter(T, X, slot, s, now, seed, replication, plain):  # type: ignore[no-untyped-def]
    """Come to a station: be served, interrupt, wait, or be turned away (to where is returned)."""
    row = T.station[s]
    count_time(X, s, now)
    u = plan_visit(T, X, slot, s, now, seed, replication, plain)
    waiting = X.station[s, WAITING]
    if waiting == 0 and may_begin(T, X, slot, s, now, plain):
        begin(T, X, slot, s, now, plain)
        return t.NOWHERE
    # Before who may interrupt: the interrupted would have to wait where there is no place.
    if row[t.ROOM] >= 0 and waiting >= row[t.ROOM]:
        record_visit(T, X, slot, s, now, LOST_OUTCOME)
        return row[t.OVERFLOW]
    if plain == 0 and row[t.PRE_EMPTIVE] != 0:
        rank = X.slot[slot, RANK]
        if not_worse_in_service(X, s, rank) < X.station[s, CAPACITY]:
            other = last_of_worst_rank(X, s, rank, now)
            if other >= 0:
                interrupt(T, X, other, s, now)
                begin(T, X, slot, s, now, plain)
                return t.NOWHERE
    join_queue(X, slot, s, plain)
    if plain == 0 and row[t.PATIENCE] >= 0:
        seq = X.i[SEQ]
        X.i[SEQ] = seq + 1
        X.slot[slot, GIVES_UP_SEQ] = seq
        gives_up = now + draw(T.distributions[row[t.PATIENCE]], T.distribution_table, u)
        push(X.heap_at, X.heap, X.i[HEAP_N], gives_up, (seq << SLOT_BITS) | slot)
        X.i[HEAP_N] += 1
    return t.NOWHERE


@inlined
def _serve(T, X, s, now, plain):  # type: ignore[no-untyped-def]
    """Let free servers take who waits; nobody overtakes a first in line who may not begin."""
    while True:
        slot = first_waiting(X, s, plain)
        if slot < 0 or not may_begin(T, X, slot, s, now, plain):
            return
        leave_queue(X, slot, s, plain)
        begin(T, X, slot, s, now, plain)


@inlined
def _leave(T, X, slot, now, how):  # type: ignore[no-untyped-def]
    """Leave the network; the clocks are read if it is by the exit."""
    i = X.slot[slot]
    number = i[ID]
    X.out_class[number] = i[CLASS]
    if how == t.OUT:
        X.out[0, number] = now - X.slot_f[slot, ARRIVED]
        for k in range(1, T.clock_to.shape[0]):
            X.out[k, number] = _reading(T, X, slot, k, now)
    i[NEXT] = X.i[FREE]
    X.i[FREE] = slot
    X.i[INSIDE] -= 1
    X.i[LEFT_N] += 1


@compiled_part
def _reading(T, X, slot, k, now):  # type: ignore[no-untyped-def]
    latest = -np.inf
    for j in range(T.clock_from.shape[1]):
        point = T.clock_from[k, j]
        if point != t.NO_POINT:
            at = X.slot_f[slot, ARRIVED] if point == t.ARRIVE else now if point == t.LEFT else X.points[slot, 2 * point]
            if math.isnan(at):
                return np.nan
            latest = max(latest, at)
    point = T.clock_to[k]
    if point == t.LEFT:
        return now - latest
    return (X.slot_f[slot, ARRIVED] if point == t.ARRIVE else X.points[slot, 2 * point + 1]) - latest


@compiled_part
def _next_change(X):  # type: ignore[no-untyped-def]
    earliest = np.inf
    for s in range(X.station.shape[0]):
        earliest = min(earliest, X.station_f[s, CHANGE_AT])
    X.f[CHANGE_NEXT] = earliest


@compiled_part
def _station_that_changes(X, now):  # type: ignore[no-untyped-def]
    for s in range(X.station.shape[0]):
        if X.station_f[s, CHANGE_AT] <= now:
            return s
    return 0


@compiled_part
def _change_shift(T, X, s, now):  # type: ignore[no-untyped-def]
    """Begin the next step of a station's calendar."""
    first, count, cycle = T.calendar[s, 0], T.calendar[s, 1], T.calendar[s, 2]
    n, f, period = X.station[s], X.station_f[s], T.period[s]
    n[STEP_NOW] += 1
    step = n[STEP_NOW]
    place = first + (step if step < count else cycle + (step - cycle) % (count - cycle))
    n[CAPACITY], n[OVERTIME] = T.step[place, 0], T.step[place, 1]
    if T.station[s, t.POLICY] == t.CREW and T.step[place, 2] != 0:
        n[CREW_NOW] += 1
        n[USED] = 0
    f[CHANGE_AT] = np.inf if count == 1 else step_begins(T.step_at, first, count, cycle, period, step + 1)
    f[CLOSE_AT] = np.inf
    if T.station[s, t.POLICY] == t.FINISH:
        _look_for_closing(T, X, s, now)
    if T.station[s, t.POLICY] == t.RESUME:
        while n[USED] > n[CAPACITY]:
            slot = last_of_worst_rank(X, s, -1, now)
            if slot < 0:
                break  # the others end at this moment
            interrupt(T, X, slot, s, now)


@compiled_part
def _look_for_closing(T, X, s, now):  # type: ignore[no-untyped-def]
    """Find when fewer will be on duty, how many then, and how many are busy beyond that time."""
    first, count, cycle = T.calendar[s, 0], T.calendar[s, 1], T.calendar[s, 2]
    n, f = X.station[s], X.station_f[s]
    for ahead in range(1, count + 2):
        step = n[STEP_NOW] + ahead
        place = first + (step if step < count else cycle + (step - cycle) % (count - cycle))
        if T.step[place, 0] < n[CAPACITY]:
            f[CLOSE_AT] = step_begins(T.step_at, first, count, cycle, T.period[s], step)
            n[AFTER] = T.step[place, 0]
            break
    f[WINDOW_H] = f[CLOSE_AT] - now
    n[OVER] = 0
    for k in range(X.i[HEAP_N]):
        slot = X.heap[k] & ((1 << SLOT_BITS) - 1)
        mine = X.slot[slot, STATION] == s and X.slot[slot, ENDS_SEQ] == X.heap[k] >> SLOT_BITS
        if mine and X.heap_at[k] > f[CLOSE_AT] + t.TIE_H:
            n[OVER] += 1


@compiled_part
def _open_window(X, now):  # type: ignore[no-untyped-def]
    """End the warm-up: sums over time begin anew."""
    X.f[WINDOW_FROM] = now
    for s in range(X.station.shape[0]):
        X.station_f[s, LAST] = now
        for k in range(LAST + 1, CHANGE_AT):
            X.station_f[s, k] = 0.0


@compiled_part
def _close(X, now):  # type: ignore[no-untyped-def]
    """End the arrivals, and freeze the sums over time so that the emptying network does not count."""
    X.i[CLOSED] = 1
    X.f[WINDOW_TO] = now
    for s in range(X.station.shape[0]):
        count_time(X, s, now)
        for k in range(X.frozen.shape[1]):
            X.frozen[s, k] = X.station_f[s, k]


@compiled_part
def _observe(T, X, now):  # type: ignore[no-untyped-def]
    """Note the numbers waiting, in service and on duty, and when to look next."""
    moments, every = T.observe_at.shape[0], T.options[t.EVERY_H]
    k = X.i[OBSERVE_NEXT]
    moment = k % moments
    if every == 0.0 or (not math.isnan(X.f[WINDOW_FROM]) and X.i[CLOSED] == 0):
        X.observed_n[moment] += 1
        _look(X, X.observed[moment])
    k += 1
    X.i[OBSERVE_NEXT] = k
    if every == 0.0:
        X.f[OBSERVE_T] = T.observe_at[k] if k < moments else np.inf
    else:
        X.f[OBSERVE_T] = T.observe_at[k % moments] + every * (k // moments) if X.i[CLOSED] == 0 else np.inf


@compiled_part
def _look(X, seen):  # type: ignore[no-untyped-def]
    stations, everyone = X.station.shape[0], 0
    for s in range(stations):
        waiting, busy = X.station[s, WAITING], X.station[s, BUSY]
        seen[s, 0] += waiting
        seen[s, 1] += busy
        seen[s, 2] += X.station[s, CAPACITY]
        seen[s, 3] += waiting + busy == 0
        everyone += waiting + busy
    seen[stations, 0] += everyone
    seen[stations, 3] += everyone == 0
