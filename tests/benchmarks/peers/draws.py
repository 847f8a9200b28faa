"""Random times for peers that are handed theirs: made before the clock starts, which favours them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STATIONS = ("preparation", "lodgement", "review", "examination", "laboratory", "payment")
PATHS = ((0, 1, 5), (0, 1, 2, 5), (0, 1, 2, 3, 5), (0, 1, 2, 3, 4, 5))
"""Stations by number that a green, yellow, red, and red declaration with a sample pass."""
SHARES = (0.7, 0.2, 0.07, 0.03)


@dataclass(frozen=True)
class Draws:
    """Arrival times, service times by station, and the number of the path of each declaration."""

    arrivals: NDArray[np.float64]
    services: NDArray[np.float64]
    paths: NDArray[np.int64]


def mm3(count: int, seed: int) -> Draws:
    """M/M/3 at load 0.9."""
    source = np.random.default_rng(seed)
    arrivals = np.cumsum(source.exponential(1 / 2.7, count))
    return Draws(arrivals, source.exponential(1.0, (count, 1)), np.zeros(count, np.int64))


def six_stations(count: int, seed: int) -> Draws:
    """The network of scenarios/six-stations.toml."""
    source = np.random.default_rng(seed)
    services = np.empty((count, 6))
    for station, (mean, cv) in enumerate(((4.0, 1.0), (0.25, 0), (0.9, 1.0), (1.8, 0.8), (8.0, 0), (0.5, 0))):
        variance = math.log1p(cv * cv)
        services[:, station] = (
            source.lognormal(math.log(mean) - variance / 2, math.sqrt(variance), count)
            if cv
            else source.exponential(mean, count)
        )
    arrivals = np.cumsum(source.exponential(1 / 6.0, count))
    return Draws(arrivals, services, source.choice(4, count, p=SHARES))
