"""Means over replications with confidence intervals: `Estimate` by half-width, `Interval` by its bounds."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from clearance_sim.messages import Message, _


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval; of one replication the interval is not known (NaN)."""

    value: float
    half_width: float
    deviation: float = math.nan
    """Standard deviation between replications."""
    count: int = 0
    """How many replications know the value."""

    def at_level(self, level: float) -> Estimate:
        """Return the same with the interval of another confidence level."""
        return Estimate(self.value, _half_width(self.deviation, self.count, level), self.deviation, self.count)

    @property
    def low(self) -> float:
        return self.value - self.half_width

    @property
    def high(self) -> float:
        return self.value + self.half_width

    def as_json(self) -> dict[str, float | None]:
        """Return value, low and high; null where not known."""
        return {name: _finite(getattr(self, name)) for name in ("value", "low", "high")}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


@functools.lru_cache(maxsize=256)
def _t(level: float, freedom: int) -> float:
    return float(stdtrit(freedom, 0.5 + level / 2))


def estimated(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Return the mean of independent values with Student's interval; values that are not known (NaN) are left out."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(math.nan, math.nan)
    mean = float(known.mean())
    if len(known) < 2:
        return Estimate(mean, math.nan, count=len(known))
    deviation = float(known.std(ddof=1))
    return Estimate(mean, _half_width(deviation, len(known), level), deviation, len(known))


def _half_width(deviation: float, count: int, level: float) -> float:
    return _t(level, count - 1) * deviation / math.sqrt(count) if count > 1 else math.nan


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def over(cls, values: ArrayLike, confidence: float = 0.95) -> Interval:
        """Return the mean of one value per replication, with Student's interval.

        A replication without a value is left out.
        """
        kept = np.asarray(values, dtype=float)
        kept = kept[np.isfinite(kept)]
        if kept.size == 0:
            return cls(float("nan"), float("nan"), float("nan"))
        middle = float(kept.mean())
        if kept.size == 1:
            return cls(middle, float("-inf"), float("inf"))
        half = _half_width(float(kept.std(ddof=1)), kept.size, confidence)
        return cls(middle, middle - half, middle + half)

    def lies_below(self, hours: float) -> bool:
        """Return whether the whole interval does."""
        return self.high <= hours

    def lies_above(self, hours: float) -> bool:
        """Return whether the whole interval does."""
        return self.low > hours

    def hours(self) -> Message:
        """Return the figure, in hours, with its unit and bounds; below one hour in minutes."""
        scale, digits = (60, 0) if 0 < self.value < 1 else (1, 1)
        value, low, high = (f"{scale * each:.{digits}f}" for each in (self.value, self.low, self.high))
        quantity = _("{value} min", value=value) if scale == 60 else _("{value} h", value=value)
        if not np.isfinite(self.low) or not np.isfinite(self.high):
            return quantity
        return _("{value} ({low} to {high})", value=quantity, low=low, high=high)

    def to_json(self) -> dict[str, float | None]:
        """Return value and bounds; a bound or value that does not exist is null."""
        return {name: number(getattr(self, name)) for name in ("value", "low", "high")}


def number(value: float) -> float | None:
    """Return a number JSON can carry."""
    return round(float(value), 6) if np.isfinite(value) else None
