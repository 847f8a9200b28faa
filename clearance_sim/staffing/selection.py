"""Choosing the best of some systems with stated confidence: Kim and Nelson's fully sequential procedure.

S.-H. Kim and B. L. Nelson, "A fully sequential procedure for indifference-zone selection in simulation", ACM TOMACS 11
(2001): with probability at least 1 − α the system kept has the smallest mean, provided the next is worse by δ or more.
Common random numbers are allowed: only variances of differences enter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sample = Callable[[int, int, int], Array]
"""sample(system, first replication, count) → one value a replication."""


@dataclass(frozen=True)
class Choice:
    """The system kept, and what it took to know."""

    best: int
    survivors: tuple[int, ...]
    replications: tuple[int, ...]
    confidence: float
    indifference: float
    decided: bool
    """False when replications ran out with more than one left: then the smallest mean so far was taken."""


def select(
    systems: int, sample: Sample, indifference: float, confidence: float = 0.95, first: int = 10, most: int = 200
) -> Choice:
    """Keep sampling the systems still in play, and drop each as soon as another is clearly smaller."""
    values = [sample(system, 0, first) for system in range(systems)]
    alive = list(range(systems))
    if systems == 1:
        return Choice(0, (0,), (first,), confidence, indifference, True)
    alpha = 1 - confidence
    eta = 0.5 * ((2 * alpha / (systems - 1)) ** (-2 / (first - 1)) - 1)
    spread = {(i, j): float(np.var(values[i] - values[j], ddof=1)) for i in alive for j in alive if i != j}
    count = first
    while True:
        alive = _still_in_play(alive, values, spread, indifference, eta, first, count)
        if len(alive) == 1 or count >= most:
            break
        for system in alive:
            values[system] = np.append(values[system], sample(system, count, 1))
        count += 1
    best = min(alive, key=lambda system: float(values[system].mean()))
    return Choice(best, tuple(alive), tuple(len(v) for v in values), confidence, indifference, len(alive) == 1)


def _still_in_play(
    alive: list[int],
    values: list[Array],
    spread: dict[tuple[int, int], float],
    indifference: float,
    eta: float,
    first: int,
    count: int,
) -> list[int]:
    def beaten(i: int, j: int) -> bool:
        square = 2 * eta * (first - 1) * spread[i, j]
        slack = max(0.0, indifference / (2 * count) * (square / indifference**2 - count))
        return float(values[i][:count].mean()) > float(values[j][:count].mean()) + slack

    return [i for i in alive if not any(beaten(i, j) for j in alive if j != i)]
