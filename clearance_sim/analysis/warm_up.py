"""Finds where the start-up of a simulation ends."""

import numpy as np
from numpy.typing import ArrayLike


def mser5(values: ArrayLike) -> int:
    """How many values to drop from the front, by the MSER-5 rule (White, 1997).

    Means of five are cut where the standard error of the rest is least. A cut in the second half means that the run
    is too short to tell; the whole first half is dropped then.
    """
    series = np.asarray(values, np.float64)
    series = series[: len(series) // 5 * 5].reshape(-1, 5).mean(axis=1)
    n = len(series)
    if n < 4:
        return 0
    left = np.arange(n, 0, -1)
    sums, squares = np.cumsum(series[::-1])[::-1], np.cumsum(series[::-1] ** 2)[::-1]
    error = np.maximum(squares - sums**2 / left, 0.0) / left.astype(np.float64) ** 2
    return 5 * int(np.argmin(error[: n // 2 + 1]))
