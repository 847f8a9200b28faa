"""Kaplan and Meier (1958): how long goods take when some are still waiting at the end of the observation."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearance_sim.trs.figures import Estimate


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
    """Share released by the target, with Greenwood's variance on the log-log scale."""
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
