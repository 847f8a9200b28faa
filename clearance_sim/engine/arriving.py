"""When declarations come: gaps on a source's own clock, which runs as fast as its rate."""

import math

import numpy as np
from numba import njit

from clearance_sim.engine import tables as t
from clearance_sim.engine.laws import draw
from clearance_sim.engine.philox import ARRIVAL, U64, block, uniform
from clearance_sim.engine.state import FIRING, MEMBER_NO, PENDING, RATE_STEP

FIRES_AT = 0


@njit(cache=True, nogil=True, _nrt=False)
def next_firing(T, X, a, seed, replication):  # type: ignore[no-untyped-def]
    """Set when a source fires next, how many come together, and the uniform numbers for the first of them."""
    row = T.source[a]
    number = X.source[a, FIRING]
    X.source[a, FIRING] = number + 1
    r0, r1, r2, r3 = block(U64(number), U64(row[t.S_STREAM]), U64(0), ARRIVAL, U64(seed), U64(replication))
    X.source_f[a, 1], X.source_f[a, 2], X.source_f[a, 3] = uniform(r1), uniform(r2), uniform(r3)
    gap = draw(T.laws[row[t.S_GAP]], T.law_table, uniform(r0))
    X.source_f[a, FIRES_AT] = _after(T, X, a, X.source_f[a, FIRES_AT], gap)
    X.source[a, MEMBER_NO] = 0
    X.source[a, PENDING] = batch_size(T, a, uniform(r1))


@njit(cache=True, nogil=True, _nrt=False)
def batch_size(T, a, u):  # type: ignore[no-untyped-def]
    """How many come together."""
    kind = T.source[a, t.S_BATCH]
    if kind == t.SINGLE:
        return 1
    size = T.source_f[a, 4]
    if kind == t.FIXED_SIZE:
        return int(size)
    if kind == t.GEOMETRIC:
        return 1 if size <= 1.0 else 1 + int(math.log(1.0 - u) / math.log(1.0 - 1.0 / size))
    return int(picked(T, T.source[a, t.S_BATCH_FIRST], u))


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def picked(T, first, u):  # type: ignore[no-untyped-def]
    """The value that a uniform number picks."""
    while u > T.pick[first, 0]:
        first += 1
    return T.pick[first, 1]


@njit(cache=True, nogil=True, _nrt=False)
def _after(T, X, a, now, gap):  # type: ignore[no-untyped-def]
    """The time at which a source's clock, running at its rate, has gone on by the gap."""
    first, count = T.source[a, t.S_FIRST], T.source[a, t.S_COUNT]
    if T.source_f[a, 1] > 0.0:
        return _after_swinging(T.rate_at[first, 1], T.source_f[a], now, gap)
    if count == 1:
        return now + gap / T.rate_at[first, 1]
    cycle, period = T.source[a, t.S_CYCLE], T.source_f[a, 0]
    step = X.source[a, RATE_STEP]
    while True:
        rate = T.rate_at[first + _folded(step, count, cycle), 1]
        end = step_begins(T.rate_at[:, 0], first, count, cycle, period, step + 1)
        if gap <= rate * (end - now):
            X.source[a, RATE_STEP] = step
            return now + gap / rate if gap > 0.0 else now
        gap -= rate * (end - now)
        now = end
        step += 1


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _folded(step, count, cycle):  # type: ignore[no-untyped-def]
    return step if step < count else cycle + (step - cycle) % (count - cycle)


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def step_begins(at, first, count, cycle, period, step):  # type: ignore[no-untyped-def]
    """The time at which a step begins, the cycle repeating for ever."""
    if step < count:
        return at[first + step]
    return at[first + cycle + (step - cycle) % (count - cycle)] + period * ((step - cycle) // (count - cycle))


@njit(cache=True, nogil=True, _nrt=False)
def _after_swinging(rate, swing, now, gap):  # type: ignore[no-untyped-def]
    """The same for a rate that swings as a sine, by bisection of the arrivals to be expected."""
    amplitude, omega, phase = swing[1], 2.0 * math.pi / swing[2], swing[3]
    base = now - amplitude / omega * math.cos(omega * (now - phase))
    wanted = gap / rate
    low, high = now, now + wanted + 2.0 * amplitude / omega
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:
            break
        if middle - amplitude / omega * math.cos(omega * (middle - phase)) - base < wanted:
            low = middle
        else:
            high = middle
    return np.float64(high)
