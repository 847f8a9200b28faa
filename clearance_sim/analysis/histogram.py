"""Quantiles of durations that were counted into the engine's bins, 64 to an octave: within half a percent or better."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clearance_sim.engine.state import BINS, LEAST_OCTAVE, PER_OCTAVE

_PLACES = np.arange(BINS - 1)
_EDGES = np.concatenate(
    [[0.0], np.ldexp(1.0 + (_PLACES % PER_OCTAVE) / PER_OCTAVE, LEAST_OCTAVE + _PLACES // PER_OCTAVE), [np.inf]]
)


def quantiles(counts: NDArray[np.uint32], at: tuple[float, ...]) -> list[float]:
    """The durations below which these shares of the counted lie; linear within a bin."""
    found = np.full(len(at), np.nan)
    _quantiles(counts, _EDGES, np.array(at), found)
    return [float(value) for value in found]


@njit(cache=True, nogil=True)
def _quantiles(counts, edges, at, found):  # type: ignore[no-untyped-def]
    total = 0
    for place in range(len(counts)):
        total += counts[place]
    reached, k = 0.0, 0
    for place in range(len(counts)):
        if counts[place] == 0:
            continue
        here = np.float64(counts[place])
        while k < len(at) and reached + here >= at[k] * total:
            # Bin 0 is waiting no time at all, up to a hundredth of a second.
            share = (at[k] * total - reached) / here
            found[k] = 0.0 if place == 0 else edges[place] + (edges[place + 1] - edges[place]) * share
            k += 1
        reached += here
