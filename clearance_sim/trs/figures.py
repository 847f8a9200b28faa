"""What a set of durations comes to: mean, quantiles, share within a target, intervals, Kaplan-Meier."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Hours = "np.ndarray[Any, np.dtype[np.float64]]"
FENCE = 3.0
"""A duration is extreme where it lies more than three interquartile ranges above the third quartile (Tukey 1977)."""
BINS = 4096


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; None where the sample bears none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Figures:
    """Hours of the cases that were seen to end."""

    count: int
    mean: Estimate
    median: Estimate
    p90: Estimate
    p95: Estimate
    within_target: Estimate
    standard_deviation: float
    first_quartile: float
    third_quartile: float
    shortest: float
    longest: float
    extremes: int
    mean_without_extremes: float


def quantile(ordered: "np.ndarray[Any, Any]", numerator: int, denominator: int) -> float:
    """Return a quantile by linear interpolation (Hyndman and Fan 1996, type 7), in the arithmetic of ``statistics``.

    The backend reports with the standard library; the same steps give the same last bit.
    """
    if len(ordered) == 1:
        return float(ordered[0])
    place, rest = divmod(numerator * (len(ordered) - 1), denominator)
    below, above = float(ordered[place]), float(ordered[min(place + 1, len(ordered) - 1)])
    return (below * (denominator - rest) + above * rest) / denominator


def figures(hours: "np.ndarray[Any, Any]", target: float, resampling: "Resampling", blocks: Any) -> Figures | None:
    """Sum up; ``blocks`` numbers the group that each duration is resampled with (None: each on its own)."""
    if len(hours) == 0:
        return None
    order = np.argsort(hours, kind="stable")
    ordered = hours[order]
    q1, q3 = quantile(ordered, 1, 4), quantile(ordered, 3, 4)
    fence = q3 + FENCE * (q3 - q1)
    usual = ordered[ordered <= fence]
    intervals = resampling.intervals(ordered, target, None if blocks is None else blocks[order])
    mean = math.fsum(ordered) / len(ordered)
    return Figures(
        count=len(ordered),
        mean=Estimate(mean, *intervals["mean"]),
        median=Estimate(quantile(ordered, 1, 2), *intervals["median"]),
        p90=Estimate(quantile(ordered, 9, 10), *intervals["p90"]),
        p95=Estimate(quantile(ordered, 19, 20), *intervals["p95"]),
        within_target=Estimate(float(np.mean(ordered <= target)), *intervals["within_target"]),
        standard_deviation=float(np.std(ordered, ddof=1)) if len(ordered) > 1 else 0.0,
        first_quartile=q1,
        third_quartile=q3,
        shortest=float(ordered[0]),
        longest=float(ordered[-1]),
        extremes=len(ordered) - len(usual),
        mean_without_extremes=math.fsum(usual) / len(usual),
    )


@dataclass(frozen=True)
class Resampling:
    """Percentile bootstrap. Goods of one day, or of one replication, share queues, so they are drawn together."""

    seed: int = 1
    times: int = 1000
    level: float = 0.95

    def intervals(
        self, ordered: "np.ndarray[Any, Any]", target: float, blocks: "np.ndarray[Any, Any] | None"
    ) -> dict[str, tuple[float | None, float | None]]:
        """Return intervals of the figures of durations that are in order."""
        names = ("mean", "median", "p90", "p95", "within_target")
        if len(ordered) < 2 or (blocks is not None and len(np.unique(blocks)) < 2):
            return dict.fromkeys(names, (None, None))
        weights, typical = self._drawn(ordered, blocks)
        total = weights.sum(axis=1)
        upto = np.cumsum(weights, axis=1)
        drawn = {
            "mean": weights @ typical / total,
            "within_target": weights @ (typical <= target) / total,
            **{
                name: typical[np.argmax(upto >= share * total[:, None], axis=1)]
                for name, share in (("median", 0.5), ("p90", 0.9), ("p95", 0.95))
            },
        }
        tail = (1 - self.level) / 2
        return {name: tuple(map(float, np.quantile(values, (tail, 1 - tail)))) for name, values in drawn.items()}  # type: ignore[misc]

    def _drawn(self, ordered: "np.ndarray[Any, Any]", blocks: Any) -> tuple[Any, Any]:
        """Return how often each bin of neighbouring durations was drawn, each time, and a bin's mean.

        Up to 4,096 durations each is its own bin, and this is the plain bootstrap.
        """
        generator = np.random.Generator(np.random.Philox(self.seed))
        size = len(ordered)
        bins = np.arange(size) * min(size, BINS) // size
        counts = np.bincount(bins)
        typical = np.bincount(bins, ordered) / counts
        if blocks is None:
            return generator.multinomial(size, counts / size, self.times), typical
        _, block = np.unique(blocks, return_inverse=True)
        number = int(block.max()) + 1
        held = np.zeros((number, len(counts)))
        np.add.at(held, (block, bins), 1)
        chosen = generator.multinomial(number, np.full(number, 1 / number), self.times)
        return chosen @ held, typical


@dataclass(frozen=True)
class Survival:
    """The curve's figures. A quantile is None where the curve does not come down that far."""

    ended: int
    censored: int
    median: float | None
    p90: float | None
    p95: float | None
    within_target: Estimate
    restricted_mean: float
    """Mean of the time up to ``restricted_to``, the longest that anything was watched."""
    restricted_to: float


def kaplan_meier(hours: "np.ndarray[Any, Any]", ended: "np.ndarray[Any, Any]", target: float) -> Survival | None:
    """Estimate from durations, and whether each was seen to end or only watched so long."""
    if len(hours) == 0 or not ended.any():
        return None
    times, places = np.unique(hours, return_inverse=True)
    ends = np.bincount(places, ended)
    left = np.bincount(places)
    at_risk = len(hours) - np.concatenate(([0], np.cumsum(left)[:-1]))
    waiting = np.cumprod(1 - ends / at_risk)
    steps = np.concatenate(([1.0], waiting[:-1]))
    return Survival(
        ended=int(ended.sum()),
        censored=int((~ended).sum()),
        median=_first_at(times, waiting, 0.5),
        p90=_first_at(times, waiting, 0.1),
        p95=_first_at(times, waiting, 0.05),
        within_target=_within(times, waiting, ends, at_risk, target),
        restricted_mean=float(np.sum(steps * np.diff(times, prepend=0.0))),
        restricted_to=float(times[-1]),
    )


def _first_at(times: Any, waiting: Any, share: float) -> float | None:
    # Products of many factors: a share that is reached exactly may come out a last bit above itself.
    reached = np.flatnonzero(waiting <= share + 1e-12)
    return float(times[reached[0]]) if len(reached) else None


def _within(times: Any, waiting: Any, ends: Any, at_risk: Any, target: float) -> Estimate:
    """Return the share released by the target, with Greenwood's variance on the log-log scale."""
    place = int(np.searchsorted(times, target, side="right")) - 1
    if place < 0:
        return Estimate(0.0)
    still = float(waiting[place])
    if still in (0.0, 1.0):
        return Estimate(1 - still)
    upto = slice(place + 1)
    variance = float(np.sum(ends[upto] / (at_risk[upto] * np.maximum(at_risk[upto] - ends[upto], 1))))
    spread = 1.959964 * math.sqrt(variance) / abs(math.log(still))
    low, high = still ** math.exp(spread), still ** math.exp(-spread)
    return Estimate(1 - still, 1 - high, 1 - low)
