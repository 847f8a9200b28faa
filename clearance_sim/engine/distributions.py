"""Distributions by inversion: one uniform number gives one duration, rising with it, so that arms stay in step.

A distribution is a row of numbers: kind, lead time, share of nothing, three parameters, a stretch of the value table.
"""

import math

from clearance_sim.engine.compilation import compiled_part
from clearance_sim.scenario.distributions import (
    Deterministic,
    Distribution,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    HyperExponential,
    LogNormal,
    Triangular,
    Uniform,
    Weibull,
)

DETERMINISTIC, EXPONENTIAL, UNIFORM, LOG_NORMAL, TRIANGULAR, GAMMA, WEIBULL, HYPER, EMPIRICAL = range(9)
KIND, SHIFT, NONE, A, B, C, FIRST, COUNT = range(8)
ROW = 8


def distribution_row(distribution: Distribution, table: list[tuple[float, float]]) -> list[float]:
    """Return the row of a distribution.

    Cumulative probabilities with values are added to the table where it needs them.
    """
    kind, a, b, c, first, count = DETERMINISTIC, 0.0, 0.0, 0.0, len(table), 0
    match distribution:
        case Deterministic():
            a = distribution.value_h.value
        case Exponential():
            kind, a = EXPONENTIAL, distribution.mean_h.value
        case Uniform():
            kind, a, b = UNIFORM, distribution.low_h.value, distribution.high_h.value
        case Triangular():
            kind, a, b, c = TRIANGULAR, distribution.low_h.value, distribution.mode_h.value, distribution.high_h.value
        case LogNormal():
            kind, (a, b) = LOG_NORMAL, distribution.log_parameters()
        case Gamma():
            kind, a, b = GAMMA, distribution.k, distribution.mean_h.value / distribution.k
        case Erlang():
            kind, a, b = GAMMA, float(distribution.phases), distribution.mean_h.value / distribution.phases
        case Weibull():
            kind, a, b = WEIBULL, 1.0 / distribution.shape.value, distribution.scale
        case HyperExponential():
            kind = HYPER
            count = _add(table, distribution.branches())
        case Empirical():
            kind = EMPIRICAL
            count = _add(
                table, sorted(zip(distribution.shares(), distribution.values_h, strict=True), key=lambda pair: pair[1])
            )
    return [kind, distribution.shift_h.value, distribution.none_probability.value, a, b, c, first, count]


def _add(table: list[tuple[float, float]], parts: list[tuple[float, float]]) -> int:
    total = 0.0
    for position, (share, value) in enumerate(parts):
        # Exactly 1 at the end: rounding may leave the sum below, and a uniform number beyond it would find no value.
        total = 1.0 if position == len(parts) - 1 else total + share
        table.append((total, value))
    return len(parts)


@compiled_part
def draw(row, table, u):  # type: ignore[no-untyped-def]
    """Return the duration in hours at which its distribution function reaches u."""
    none = row[NONE]
    if none > 0.0:
        if u < none:
            return 0.0
        u = (u - none) / (1.0 - none)
    kind = row[KIND]
    if kind == EXPONENTIAL:
        return row[SHIFT] - row[A] * math.log(1.0 - u)
    if kind == LOG_NORMAL:
        return row[SHIFT] + math.exp(row[A] + row[B] * normal(u))
    return row[SHIFT] + _other(row, table, u)


@compiled_part
def _other(row, table, u):  # type: ignore[no-untyped-def]
    kind, a, b = row[KIND], row[A], row[B]
    if kind == DETERMINISTIC:
        return a
    if kind == UNIFORM:
        return a + (b - a) * u
    if kind == TRIANGULAR:
        c = row[C]
        if u * (c - a) < b - a:
            return a + math.sqrt(u * (c - a) * (b - a))
        return c - math.sqrt((1.0 - u) * (c - a) * (c - b))
    if kind == GAMMA:
        return b * gamma_inverse(a, u)
    if kind == WEIBULL:
        return b * (-math.log(1.0 - u)) ** a
    return _from_table(row, table, u)


@compiled_part
def _from_table(row, table, u):  # type: ignore[no-untyped-def]
    first, last = int(row[FIRST]), int(row[FIRST]) + int(row[COUNT]) - 1
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        if u < table[middle, 0]:
            high = middle
        else:
            low = middle + 1
    if row[KIND] == EMPIRICAL:
        return table[low, 1]
    before = table[low - 1, 0] if low > first else 0.0
    return -table[low, 1] * math.log(1.0 - (u - before) / (table[low, 0] - before))


@compiled_part
def normal(p):  # type: ignore[no-untyped-def]
    """Return the standard normal quantile: Wichura's AS 241 (1988), to about 16 digits."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
            + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
            + 133.14166789178437745) * r + 3.387132872796366608)  # fmt: skip
        low = (((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
            + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
            + 42.313330701600911252) * r + 1.0)  # fmt: skip
        return q * top / low
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
            + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
            + 4.6303378461565452959) * r + 1.42343711074968357734)  # fmt: skip
        low = (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
            + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
            + 2.05319162663775882187) * r + 1.0)  # fmt: skip
    else:
        r -= 5.0
        top = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
            + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
            + 5.4637849111641143699) * r + 6.6579046435011037772)  # fmt: skip
        low = (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
            + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
            + 0.59983220655588793769) * r + 1.0)  # fmt: skip
    return -top / low if q < 0 else top / low


@compiled_part
def gamma_share(a, x):  # type: ignore[no-untyped-def]
    """Return the gamma distribution function of shape a at x: by its series, or its continued fraction."""
    if x <= 0.0:
        return 0.0
    front = math.exp(-x + a * math.log(x) - math.lgamma(a))
    # Numerical Recipes, section 6.2: below a + 1 the series converges quickly, above it the continued fraction does.
    if x < a + 1.0:
        term = total = 1.0 / a
        k = a
        while abs(term) > abs(total) * 1e-16:
            k += 1.0
            term *= x / k
            total += term
        return total * front
    b = x + 1.0 - a
    # Lentz's method begins with 1/0, for which a very large number stands.
    c = 1.0e300
    d = h = 1.0 / b
    for i in range(1, 1000):
        an = -i * (i - a)
        b += 2.0
        d = 1.0 / (an * d + b)
        c = b + an / c
        h *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    return 1.0 - front * h


@compiled_part
def gamma_inverse(a, p):  # type: ignore[no-untyped-def]
    """Return the quantile of the gamma distribution of shape a: Halley's steps, held within a bracket."""
    z = normal(p)
    # Where to begin: Wilson and Hilferty (1931), by which the cube root is nearly normal.
    x = a * (1.0 - 1.0 / (9.0 * a) + z / (3.0 * math.sqrt(a))) ** 3
    if a < 1.0 or x <= 0.0:
        # The first term of the series alone, which is close where x is small.
        x = math.exp((math.log(p) + math.lgamma(a + 1.0)) / a)
        if not 0.0 < x < a + 20.0:
            x = a
    low, high = 0.0, 1e308
    for _ in range(100):
        error = gamma_share(a, x) - p
        if error > 0.0:
            high = min(high, x)
        else:
            low = max(low, x)
        slope = math.exp(-x + (a - 1.0) * math.log(x) - math.lgamma(a))
        step = error / slope if slope > 0.0 else 0.0
        bend = 0.5 * step * ((a - 1.0) / x - 1.0)
        step /= max(0.1, 1.0 - min(0.9, bend))
        new = x - step
        if abs(step) <= 1e-13 * x:  # what is left is rounding
            return new
        if not low < new < high or slope == 0.0:
            new = 0.5 * (low + high) if high < 1e308 else 2.0 * x
        x = new
    return x
