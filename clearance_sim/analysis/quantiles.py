"""Quantiles of durations: from counts in the engine's bins, and exact ones from the durations themselves."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clearance_sim.engine.service import bin_of
from clearance_sim.engine.state import BINS, LEAST_OCTAVE, PER_OCTAVE

_PLACES = np.arange(BINS)
_EDGES = np.concatenate(
    [[0.0], np.ldexp(1.0 + (_PLACES % PER_OCTAVE) / PER_OCTAVE, LEAST_OCTAVE + _PLACES // PER_OCTAVE)]
)


def quantiles(counts: NDArray[np.uint32], at: tuple[float, ...]) -> list[float]:
    """Return the quantiles of the counted durations, as `numpy.quantile` defines them: linear between neighbours.

    `at` ascends. Those counted in one bin are taken to lie evenly in it, so each errs by less than a bin's width.
    """
    found = np.full(len(at), np.nan)
    _quantiles(counts, _EDGES, np.array(at), found)
    return [float(value) for value in found]


@njit(cache=True, nogil=True)
def _quantiles(counts, edges, at, found):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for place in range(len(counts)):
        total += np.int64(counts[place])
    if total == 0:
        return
    place, before = 0, np.int64(0)
    for k in range(len(at)):
        wanted = at[k] * (total - 1)
        rank = np.int64(wanted)
        while before + np.int64(counts[place]) <= rank:
            before += np.int64(counts[place])
            place += 1
        low = _within_bin(counts, edges, place, rank - before)
        share = wanted - rank
        if share == 0.0:
            found[k] = low
        elif rank + 1 < before + np.int64(counts[place]):
            found[k] = low + (_within_bin(counts, edges, place, rank + 1 - before) - low) * share
        else:
            following = place + 1
            while counts[following] == 0:
                following += 1
            found[k] = low + (_within_bin(counts, edges, following, 0) - low) * share


@njit(cache=True, nogil=True)
def _within_bin(counts, edges, place, rank):  # type: ignore[no-untyped-def]
    """Return where the rank-th of a bin is taken to lie."""
    if place == 0:
        return 0.0  # waiting no time at all, up to a thousandth of a second
    return edges[place] + (edges[place + 1] - edges[place]) * (rank + 0.5) / counts[place]


Floats = NDArray[np.float64]


def figures(
    values: Floats, classes: NDArray[np.int16], count: int, at: tuple[float, ...], targets: tuple[float, ...]
) -> Floats:
    """Return, for all and each of `count` classes: mean, quantiles, count, standard deviation, shares within targets.

    Times that are not known (NaN) are left out; the quantiles are those of `numpy.quantile`, linear between neighbours.
    The first pass counts the times into the engine's bins; the second collects those of the few bins in which a
    quantile lies, and selects the ranks asked for. So they are exact, without a copy, for a small part of the cost of
    sorting.

    Returns:
        Array of shape [1 + count, 3 + len(at) + len(targets)], row 0 for all classes together.
    """
    # With one class there is nothing to tell apart, so one group does.
    groups = count + 1 if count > 1 else 1
    bins, sums = np.zeros((groups, BINS), np.int64), np.zeros(groups)
    _count(values, classes, bins, sums)
    counts = bins.sum(axis=1)
    places = np.array([[q * (n - 1) for q in at] for n in counts])
    starts = np.full((groups, BINS), -1, np.int64)
    room = _wanted(bins, counts, places, starts)
    filled, kept = starts.copy(), np.empty(room)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    squares, within = np.zeros(groups), np.zeros((groups, len(targets)))
    _collect(values, classes, means, np.array(targets, np.float64), filled, kept, squares, within)
    found = np.full((count + 1, len(at) + 3 + len(targets)), np.nan)
    found[:, len(at) + 1] = 0
    for g in range(groups):
        if counts[g]:
            found[g, 0], found[g, len(at) + 1] = means[g], counts[g]
            found[g, len(at) + 2] = np.sqrt(squares[g] / counts[g])
            found[g, len(at) + 3 :] = within[g] / counts[g]
    _read(bins, counts, places, starts, kept, found)
    if count == 1:
        found[1] = found[0]
    return found


@njit(cache=True, nogil=True)
def _count(values, classes, bins, sums):  # type: ignore[no-untyped-def]
    apart = len(bins) > 1
    for k in range(len(values)):
        value = values[k]
        if value == value:
            g = classes[k] + 1 if apart else 0
            bins[g, bin_of(value)] += 1
            sums[g] += value
    if apart:
        for g in range(1, len(bins)):
            sums[0] += sums[g]
            for place in range(bins.shape[1]):
                bins[0, place] += bins[g, place]


@njit(cache=True, nogil=True)
def _wanted(bins, counts, places, starts):  # type: ignore[no-untyped-def]
    """Give the bins that hold a wanted place room among the kept; how much is needed in all."""
    room = 0
    for g in range(len(bins)):
        if counts[g] == 0:
            continue
        for q in range(places.shape[1]):
            low = int(places[g, q])
            for rank in (low, min(low + 1, counts[g] - 1)):
                place, _ = _bin_at(bins[g], rank)
                if starts[g, place] < 0:
                    starts[g, place] = room
                    room += bins[g, place]
    return room


@njit(cache=True, nogil=True)
def _bin_at(bins, rank):  # type: ignore[no-untyped-def]
    """Return the bin that holds a rank, and how many lie in the bins before."""
    before = 0
    for place in range(len(bins)):
        if before + bins[place] > rank:
            return place, before
        before += bins[place]
    return 0, 0


@njit(cache=True, nogil=True)
def _collect(values, classes, means, targets, filled, kept, squares, within):  # type: ignore[no-untyped-def]
    apart, everyone = len(means) > 1, means[0]
    for k in range(len(values)):
        value = values[k]
        if value != value:
            continue
        place = bin_of(value)
        squares[0] += (value - everyone) * (value - everyone)
        at = filled[0, place]
        if at >= 0:
            kept[at] = value
            filled[0, place] = at + 1
        for j in range(len(targets)):
            within[0, j] += value <= targets[j]
        if apart:
            g = classes[k] + 1
            squares[g] += (value - means[g]) * (value - means[g])
            at = filled[g, place]
            if at >= 0:
                kept[at] = value
                filled[g, place] = at + 1
            for j in range(len(targets)):
                within[g, j] += value <= targets[j]


@njit(cache=True, nogil=True)
def _read(bins, counts, places, starts, kept, found):  # type: ignore[no-untyped-def]
    for g in range(len(bins)):
        if counts[g] == 0:
            continue
        for q in range(places.shape[1]):
            rank, share = int(places[g, q]), places[g, q] % 1.0
            low = _at_rank(bins[g], starts[g], kept, rank)
            high = _at_rank(bins[g], starts[g], kept, min(rank + 1, counts[g] - 1))
            found[g, 1 + q] = low + (high - low) * share


@njit(cache=True, nogil=True)
def _at_rank(bins, starts, kept, rank):  # type: ignore[no-untyped-def]
    place, before = _bin_at(bins, rank)
    first = starts[place]
    return _nth(kept, first, first + bins[place] - 1, first + rank - before)


@njit(cache=True, nogil=True)
def _nth(values, low, high, wanted):  # type: ignore[no-untyped-def]
    """Return the value at a rank of a stretch, by Hoare's selection."""
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return values[wanted]
