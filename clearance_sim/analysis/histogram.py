"""Quantiles of durations that were counted into the engine's bins, 64 to an octave: within half a percent or better."""

import numpy as np
from numpy.typing import NDArray

from clearance_sim.engine.state import BINS, LEAST_OCTAVE, PER_OCTAVE

_PLACES = np.arange(BINS - 1)
_EDGES = np.concatenate(
    [[0.0], np.ldexp(1.0 + (_PLACES % PER_OCTAVE) / PER_OCTAVE, LEAST_OCTAVE + _PLACES // PER_OCTAVE), [np.inf]]
)


def quantiles(counts: NDArray[np.uint32], at: tuple[float, ...]) -> list[float]:
    """The durations below which these shares of the counted lie; linear within a bin."""
    total = int(counts.sum())
    if not total:
        return [np.nan] * len(at)
    reached = np.cumsum(counts, dtype=np.float64)
    found = []
    for share in at:
        wanted = share * total
        place = int(np.searchsorted(reached, wanted))
        before = reached[place - 1] if place else 0.0
        low, high = _EDGES[place], _EDGES[place + 1]
        # Bin 0 is waiting no time at all, up to a second of rounding.
        found.append(0.0 if place == 0 else float(low + (high - low) * (wanted - before) / counts[place]))
    return found
