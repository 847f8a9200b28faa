"""A mean over replications, and how far it may be off."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval; of one replication the interval is not known (NaN)."""

    value: float
    half_width: float

    @property
    def low(self) -> float:
        return self.value - self.half_width

    @property
    def high(self) -> float:
        return self.value + self.half_width

    def as_json(self) -> dict[str, float | None]:
        """Value, low and high; null where not known."""
        return {name: _finite(getattr(self, name)) for name in ("value", "low", "high")}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


@functools.lru_cache(maxsize=256)
def _t(level: float, freedom: int) -> float:
    return float(stdtrit(freedom, 0.5 + level / 2))


def estimated(values: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean of independent values with Student's interval; values that are not known (NaN) are left out."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(math.nan, math.nan)
    mean = float(known.mean())
    if len(known) < 2:
        return Estimate(mean, math.nan)
    return Estimate(mean, float(_t(level, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))))
