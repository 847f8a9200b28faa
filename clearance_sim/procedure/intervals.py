"""A figure with its interval over replications."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def over(cls, values: ArrayLike, confidence: float = 0.95) -> Interval:
        """The mean of one value per replication, with Student's interval; a replication without a value is left out."""
        kept = np.asarray(values, dtype=float)
        kept = kept[np.isfinite(kept)]
        if kept.size == 0:
            return cls(float("nan"), float("nan"), float("nan"))
        middle = float(kept.mean())
        if kept.size == 1:
            return cls(middle, float("-inf"), float("inf"))
        half = float(student.ppf((1 + confidence) / 2, kept.size - 1) * kept.std(ddof=1) / np.sqrt(kept.size))
        return cls(middle, middle - half, middle + half)

    def lies_below(self, hours: float) -> bool:
        """True when the whole interval does."""
        return self.high <= hours

    def lies_above(self, hours: float) -> bool:
        """True when the whole interval does."""
        return self.low > hours

    def hours(self, language: str = "en") -> str:
        """The figure as a reader says it."""
        scale, digits, en, zh = (60, 0, "min", "分钟") if 0 < self.value < 1 else (1, 1, "h", "小时")
        value, low, high = (f"{scale * each:.{digits}f}" for each in (self.value, self.low, self.high))
        if not np.isfinite(self.low) or not np.isfinite(self.high):
            return f"{value} {en}" if language == "en" else f"{value} {zh}"
        return f"{value} {en} ({low} to {high})" if language == "en" else f"{value} {zh}（{low} 至 {high}）"

    def to_json(self) -> dict[str, float | None]:
        """Value and bounds; a bound or value that does not exist is null."""
        return {name: number(getattr(self, name)) for name in ("value", "low", "high")}


def number(value: float) -> float | None:
    """A number JSON can carry."""
    return round(float(value), 6) if np.isfinite(value) else None
