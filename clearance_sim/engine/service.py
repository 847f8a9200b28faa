"""What happens at a station: enter, wait, begin, be interrupted, leave."""

import math

import numpy as np

from clearance_sim.engine import tables as t
from clearance_sim.engine.compilation import compiled_part, inlined
from clearance_sim.engine.distributions import draw
from clearance_sim.engine.philox import U64, VISIT, block, uniform
from clearance_sim.engine.state import (
    ABANDONED_N,
    AFTER,
    ARRIVED,
    BINS,
    BUSY,
    BUSY_AREA,
    CAPACITY,
    CLASS,
    CLOSE_AT,
    COUNTED,
    CREW_NOW,
    CREW_OF,
    DELAYED,
    DUE,
    DUTY_AREA,
    ENDS,
    ENDS_SEQ,
    ENTERED,
    ENTERED_N,
    FIRST_SERVED,
    FRAILTY_Z,
    GIVES_UP_SEQ,
    HEAP_N,
    ID,
    LAST,
    LAST_SERVED,
    LEAST_OCTAVE,
    LOST_N,
    NEXT,
    OCTAVE_BITS,
    OVER,
    OVER_AREA,
    OVERTIME,
    OVERTIME_AREA,
    PER_OCTAVE,
    PREVIOUS,
    QUEUE_AREA,
    QUEUED,
    RANK,
    SEQ,
    SERVED,
    SLOT_BITS,
    SOJOURN,
    SOJOURN2,
    STARTED,
    STATION,
    TRACE_N,
    USED,
    WAIT,
    WAIT2,
    WAITING,
    WAY_U,
    WINDOW_H,
    WORK,
    push,
)  # fmt: skip
from clearance_sim.engine.state import (
    VISIT as VISIT_NO,
)

SERVED_OUTCOME, LOST_OUTCOME, ABANDONED_OUTCOME = 0, 1, 2


@inlined
def count_time(X, s, now):  # type: ignore[no-untyped-def]
    """Bring a station's sums over time up to now."""
    f, n = X.station_f[s], X.station[s]
    span = now - f[LAST]
    if span > 0.0:
        f[LAST] = now
        busy, duty = n[BUSY], n[CAPACITY]
        f[QUEUE_AREA] += n[WAITING] * span
        f[BUSY_AREA] += busy * span
        f[DUTY_AREA] += duty * span
        f[OVERTIME_AREA] += n[OVERTIME] * span
        if busy > duty:
            f[OVER_AREA] += (busy - duty) * span


@inlined
def note(X, point, slot, now):  # type: ignore[no-untyped-def]
    """Note that a declaration has reached a point of its way."""
    if point >= 0:
        if math.isnan(X.points[slot, 2 * point]):
            X.points[slot, 2 * point] = now
        X.points[slot, 2 * point + 1] = now


@inlined
def plan_visit(T, X, slot, s, now, seed, replication, plain):  # type: ignore[no-untyped-def]
    """Draw what a visit will need: its service, its way out; the patience is returned as a uniform number."""
    i, f, row = X.slot[slot], X.slot_f[slot], T.station[s]
    visit = 0
    if plain == 0 and T.options[t.LOOPS] > 0.0:
        visit = _visits_so_far(T, X, slot, row[t.STREAM])
        X.visits[slot, s] += 1
    i[STATION], i[VISIT_NO] = s, visit
    r0, r1, r2, _ = block(U64(i[ID]), U64(row[t.STREAM]), U64(visit), VISIT, U64(seed), U64(replication))
    work = draw(T.distributions[T.service[i[CLASS], s]], T.distribution_table, uniform(r0))
    f[ENTERED], f[STARTED], f[WAY_U], f[DUE] = now, np.nan, uniform(r1), np.nan
    if plain != 0:
        f[WORK] = work
        return 0.0
    b = T.frailty[s]
    if b != 0.0:
        # The second term keeps the mean: a log-normal factor of mean 1, so that frailty spreads times and lengthens
        # none on average.
        work *= math.exp(b * f[FRAILTY_Z] - 0.5 * b * b)
    since = row[t.SINCE]
    if since != t.NO_POINT:
        work = _held(X, slot, s, row, since, work, now)
    f[WORK] = work
    note(X, row[t.ENTER_AT], slot, now)
    return uniform(r2)


@compiled_part
def _visits_so_far(T, X, slot, stream):  # type: ignore[no-untyped-def]
    visits = 0
    for s in range(T.station.shape[0]):
        if T.station[s, t.STREAM] == stream:
            visits += X.visits[slot, s]
    return visits


@compiled_part
def _held(X, slot, s, row, since, work, now):  # type: ignore[no-untyped-def]
    """Return how much longer a station holds that counts its time since a point gone by."""
    begun = X.slot_f[slot, ARRIVED] if since == t.ARRIVE else X.points[slot, 2 * since]
    if math.isnan(begun):
        begun = now
    X.slot_f[slot, DUE] = begun + work
    note(X, row[t.DUE_AT], slot, begun + work)
    return max(0.0, begun + work - now)


@inlined
def may_begin(T, X, slot, s, now, plain):  # type: ignore[no-untyped-def]
    """Return whether a free server may take this declaration now.

    Not what cannot end before closing, if that is the rule.

    Work longer than the whole stretch until closing would never begin, so it may overrun.
    """
    n = X.station[s]
    if n[USED] >= n[CAPACITY]:
        return False
    if plain != 0 or T.station[s, t.POLICY] != t.FINISH:
        return True
    f, work = X.station_f[s], X.slot_f[slot, WORK]
    return now + work <= f[CLOSE_AT] + t.TIE_H or n[OVER] < n[AFTER] or work > f[WINDOW_H] + t.TIE_H


@inlined
def begin(T, X, slot, s, now, plain):  # type: ignore[no-untyped-def]
    """Begin a service, and plan its end."""
    i, f, n = X.slot[slot], X.slot_f[slot], X.station[s]
    if plain != 0 or math.isnan(f[STARTED]):
        f[STARTED] = now
    n[USED] += 1
    n[BUSY] += 1
    ends = now + f[WORK]
    if plain == 0:
        i[CREW_OF] = n[CREW_NOW]
        i[GIVES_UP_SEQ] = -1
        i[QUEUED] = 0
        f[ENDS] = ends
        if ends > X.station_f[s, CLOSE_AT] + t.TIE_H:
            n[OVER] += 1
    seq = X.i[SEQ]
    X.i[SEQ] = seq + 1
    i[ENDS_SEQ] = seq
    push(X.heap_at, X.heap, X.i[HEAP_N], ends, (seq << SLOT_BITS) | slot)
    X.i[HEAP_N] += 1
    if plain == 0 and T.station[s, t.LISTED] != 0:
        # First and last are kept plus one: the arrays begin as zeros, which then stand for nobody.
        i[PREVIOUS], i[NEXT] = n[LAST_SERVED] - 1, -1
        if n[LAST_SERVED] > 0:
            X.slot[n[LAST_SERVED] - 1, NEXT] = slot
        else:
            n[FIRST_SERVED] = slot + 1
        n[LAST_SERVED] = slot + 1


@inlined
def release_server(T, X, slot, s, plain):  # type: ignore[no-untyped-def]
    """Free the server of a declaration, unless its crew has gone home."""
    i, n = X.slot[slot], X.station[s]
    n[BUSY] -= 1
    if plain != 0 or i[CREW_OF] == n[CREW_NOW]:
        n[USED] -= 1
    i[ENDS_SEQ] = -1
    if plain == 0 and T.station[s, t.LISTED] != 0:
        before, after = i[PREVIOUS], i[NEXT]
        if before >= 0:
            X.slot[before, NEXT] = after
        else:
            n[FIRST_SERVED] = after + 1
        if after >= 0:
            X.slot[after, PREVIOUS] = before
        else:
            n[LAST_SERVED] = before + 1


@inlined
def join_queue(X, slot, s, plain):  # type: ignore[no-untyped-def]
    """Wait behind those of the same rank."""
    i = X.slot[slot]
    rank = 0 if plain != 0 else i[RANK]
    last = X.tail[s, rank]
    i[NEXT] = -1
    if plain == 0:
        i[PREVIOUS], i[QUEUED] = last, 1
    if last < 0:
        X.head[s, rank] = slot
    else:
        X.slot[last, NEXT] = slot
    X.tail[s, rank] = slot
    X.station[s, WAITING] += 1


@inlined
def leave_queue(X, slot, s, plain):  # type: ignore[no-untyped-def]
    """Wait no longer."""
    i = X.slot[slot]
    if plain != 0:  # who waits longest is the only one to leave
        X.head[s, 0] = i[NEXT]
        if i[NEXT] < 0:
            X.tail[s, 0] = -1
        X.station[s, WAITING] -= 1
        return
    rank, before, after = i[RANK], i[PREVIOUS], i[NEXT]
    if before < 0:
        X.head[s, rank] = after
    else:
        X.slot[before, NEXT] = after
    if after < 0:
        X.tail[s, rank] = before
    else:
        X.slot[after, PREVIOUS] = before
    i[QUEUED] = 0
    X.station[s, WAITING] -= 1


@inlined
def first_waiting(X, s, plain):  # type: ignore[no-untyped-def]
    """Return the slot served next: the longest waiting of the lowest rank; -1 if nobody waits."""
    if X.station[s, WAITING] == 0:
        return -1
    if plain != 0:
        return X.head[s, 0]
    for rank in range(X.head.shape[1]):
        if X.head[s, rank] >= 0:
            return X.head[s, rank]
    return -1


@compiled_part
def not_worse_in_service(X, s, rank):  # type: ignore[no-untyped-def]
    """Return how many are in service whom this rank may not interrupt.

    As many as are on duty leave nobody to serve it: where more are busy, the others only finish what they began.
    """
    found, slot = 0, X.station[s, LAST_SERVED] - 1
    while slot >= 0:
        found += X.slot[slot, RANK] <= rank and X.slot[slot, CREW_OF] == X.station[s, CREW_NOW]
        slot = X.slot[slot, PREVIOUS]
    return found


@compiled_part
def last_of_worst_rank(X, s, better_than, now):  # type: ignore[no-untyped-def]
    """Return who began last among those in service of the highest rank above a given one; -1 if there is none.

    Who ends at this moment is not among them.
    """
    found, worst = -1, better_than
    slot = X.station[s, LAST_SERVED] - 1
    while slot >= 0:
        # Those whose crew has gone home do not hold a server that could be freed.
        here = X.slot[slot, CREW_OF] == X.station[s, CREW_NOW] and X.slot_f[slot, ENDS] > now + t.TIE_H
        if here and X.slot[slot, RANK] > worst:
            found, worst = slot, X.slot[slot, RANK]
        slot = X.slot[slot, PREVIOUS]
    return found


@compiled_part
def interrupt(T, X, slot, s, now):  # type: ignore[no-untyped-def]
    """Stop a service; the declaration goes back to the front of its rank with the work that is left.

    Where nothing was done yet, the service has not begun.
    """
    release_server(T, X, slot, s, 0)
    i, f = X.slot[slot], X.slot_f[slot]
    if now - f[STARTED] <= t.TIE_H:
        f[STARTED] = np.nan
    else:
        f[WORK] = f[ENDS] - now
    rank = i[RANK]
    first = X.head[s, rank]
    i[PREVIOUS], i[NEXT], i[QUEUED] = -1, first, 1
    if first < 0:
        X.tail[s, rank] = slot
    else:
        X.slot[first, PREVIOUS] = slot
    X.head[s, rank] = slot
    X.station[s, WAITING] += 1


@inlined
def bin_of(hours):  # type: ignore[no-untyped-def]
    """Return the bin of a duration: PER_OCTAVE to an octave, read off the number's bits.

    Bin 0 holds what is next to nothing.
    """
    # IEEE 754: above 52 bits of fraction stands the exponent, 1023 too large.
    place = (np.float64(hours).view(np.int64) >> (52 - OCTAVE_BITS)) - ((1023 + LEAST_OCTAVE) * PER_OCTAVE) + 1
    return max(0, min(BINS - 1, place))


@inlined
def record_visit(T, X, slot, s, now, outcome):  # type: ignore[no-untyped-def]
    """Add a visit that has ended to the sums, and to the trace."""
    i, f = X.slot[slot], X.slot_f[slot]
    if i[COUNTED] != 0:
        place = s * T.rank.shape[0] + i[CLASS]
        sums = X.sums[place]
        sums[ENTERED_N] += 1
        if outcome == SERVED_OUTCOME:
            wait, sojourn = f[STARTED] - f[ENTERED], now - f[ENTERED]
            sums[SERVED] += 1
            sums[WAIT] += wait
            sums[WAIT2] += wait * wait
            sums[SOJOURN] += sojourn
            sums[SOJOURN2] += sojourn * sojourn
            sums[DELAYED] += wait > 0.0
            X.histogram[place, 0, bin_of(wait)] += 1
            X.histogram[place, 1, bin_of(sojourn)] += 1
        elif outcome == LOST_OUTCOME:
            sums[LOST_N] += 1
        else:
            sums[ABANDONED_N] += 1
    if T.options[t.TRACE] > 0.0:
        k = X.i[TRACE_N]
        X.i[TRACE_N] = k + 1
        X.trace[k, 0], X.trace[k, 1], X.trace[k, 2] = i[ID], i[CLASS], s
        X.trace[k, 3], X.trace[k, 4] = i[VISIT_NO], outcome
        X.trace_f[k, 0], X.trace_f[k, 1], X.trace_f[k, 2] = f[ENTERED], f[STARTED], now
        X.trace_f[k, 3] = f[DUE]
