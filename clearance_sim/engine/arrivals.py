"""When declarations come: gaps on a source's own clock, which runs as fast as its rate."""

import math

import numpy as np

from clearance_sim.engine import tables as t
from clearance_sim.engine.compilation import compiled_part, inlined
from clearance_sim.engine.distributions import draw
from clearance_sim.engine.philox import ARRIVAL, GAPS, U64, block, uniform
from clearance_sim.engine.state import FIRING, MEMBER_NO, PENDING, RATE_STEP

FIRES_AT = 0
GAPS_LEFT = 4  # in State.source_f: what is left of a block that holds four gaps


@inlined
def next_firing(T, X, a, seed, replication):  # type: ignore[no-untyped-def]
    """Set when a source fires next, how many come together, and the uniform numbers for the first of them.

    One block holds four gaps; a block for class, frailty and first station is made only where they differ.
    """
    row = T.source[a]
    number = X.source[a, FIRING]
    X.source[a, FIRING] = number + 1
    if number & 3 == 0:
        r0, r1, r2, r3 = block(U64(number >> 2), U64(row[t.S_STREAM]), U64(0), GAPS, U64(seed), U64(replication))
        X.source_f[a, GAPS_LEFT], X.source_f[a, GAPS_LEFT + 1] = uniform(r0), uniform(r1)
        X.source_f[a, GAPS_LEFT + 2], X.source_f[a, GAPS_LEFT + 3] = uniform(r2), uniform(r3)
    gap = draw(T.distributions[row[t.S_GAP]], T.distribution_table, X.source_f[a, GAPS_LEFT + (number & 3)])
    if row[t.S_CHOICES] != 0:  # else nobody will ask
        r0, r1, r2, _ = block(U64(number), U64(row[t.S_STREAM]), U64(0), ARRIVAL, U64(seed), U64(replication))
        X.source_f[a, 1], X.source_f[a, 2], X.source_f[a, 3] = uniform(r0), uniform(r1), uniform(r2)
    if T.source_f[a, 1] == 0.0 and row[t.S_COUNT] == 1:
        X.source_f[a, FIRES_AT] += gap / T.rate_at[row[t.S_FIRST], 1]
    else:
        X.source_f[a, FIRES_AT] = _after(T, X, a, X.source_f[a, FIRES_AT], gap)
    X.source[a, MEMBER_NO] = 0
    X.source[a, PENDING] = 1 if row[t.S_BATCH] == t.SINGLE else batch_size(T, a, X.source_f[a, 1])


@compiled_part
def batch_size(T, a, u):  # type: ignore[no-untyped-def]
    """Return how many come together."""
    kind = T.source[a, t.S_BATCH]
    size = T.source_f[a, 4]
    if kind == t.FIXED_SIZE:
        return int(size)
    if kind == t.GEOMETRIC:
        # At a mean of 1 the second logarithm would be that of 0.
        return 1 if size <= 1.0 else 1 + int(math.log(1.0 - u) / math.log(1.0 - 1.0 / size))
    return int(picked(T, T.source[a, t.S_BATCH_FIRST], u))


@inlined
def picked(T, first, u):  # type: ignore[no-untyped-def]
    """Return the value that a uniform number picks."""
    # Ends at the last one, whose cumulative probability is exactly 1 (tables._pick).
    while u > T.pick[first, 0]:
        first += 1
    return T.pick[first, 1]


@compiled_part
def _after(T, X, a, now, gap):  # type: ignore[no-untyped-def]
    """Return the time at which a source's clock, running at its rate, has advanced by the gap."""
    first, count = T.source[a, t.S_FIRST], T.source[a, t.S_COUNT]
    if T.source_f[a, 1] > 0.0:
        return _after_swinging(T.rate_at[first, 1], T.source_f[a], now, gap)
    cycle, period = T.source[a, t.S_CYCLE], T.source_f[a, 0]
    step = X.source[a, RATE_STEP]
    while True:
        rate = T.rate_at[first + _folded(step, count, cycle), 1]
        end = step_begins(T.rate_at[:, 0], first, count, cycle, period, step + 1)
        if gap <= rate * (end - now):
            X.source[a, RATE_STEP] = step
            # Not divided where no gap is left: the rate of this step may be 0 as well.
            return now + gap / rate if gap > 0.0 else now
        gap -= rate * (end - now)
        now = end
        step += 1


@inlined
def _folded(step, count, cycle):  # type: ignore[no-untyped-def]
    return step if step < count else cycle + (step - cycle) % (count - cycle)


@inlined
def step_begins(at, first, count, cycle, period, step):  # type: ignore[no-untyped-def]
    """Return the time at which a step begins, the cycle repeating for ever."""
    if step < count:
        return at[first + step]
    return at[first + cycle + (step - cycle) % (count - cycle)] + period * ((step - cycle) // (count - cycle))


@compiled_part
def _after_swinging(rate, swing, now, gap):  # type: ignore[no-untyped-def]
    """Return the same for a sinusoidal rate, by bisection of the expected arrivals."""
    amplitude, omega, phase = swing[1], 2.0 * math.pi / swing[2], swing[3]
    base = now - amplitude / omega * math.cos(omega * (now - phase))
    wanted = gap / rate
    # The swing holds back at most 2 * amplitude / omega of the expected time, so the answer lies below ``high``.
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
