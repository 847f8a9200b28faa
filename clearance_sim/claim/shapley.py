"""Who earned the saving: Shapley, first-in and last-in shares of a set of levers.

A game gives a value to every set of levers. Here the value is hours saved against no lever at all, measured once per
replication, so that each share comes with an interval: the arithmetic is linear and done replication by replication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Each lever's part of the saving, one row per lever, one column per replication."""

    levers: Sequence[str]
    shapley: Values
    first_in: Values
    last_in: Values

    def of(self, lever: str) -> int:
        """The row of a lever."""
        return list(self.levers).index(lever)


def shares(levers: Sequence[str], values: Values) -> Shares:
    """Split the value of all levers among them.

    Args:
        levers: names; lever i is bit i of a set's number.
        values: one row per set of levers (2^n rows, row 0 the empty set), one column per replication.
    """
    count = len(levers)
    if values.shape[0] != 1 << count:
        raise ValueError(f"{count} levers make {1 << count} sets, not {values.shape[0]}")
    return Shares(
        levers=tuple(levers),
        shapley=np.stack([_shapley(values, player, count) for player in range(count)]),
        first_in=np.stack([values[1 << player] - values[0] for player in range(count)]),
        last_in=np.stack([values[-1] - values[(1 << count) - 1 - (1 << player)] for player in range(count)]),
    )


def _shapley(values: Values, player: int, count: int) -> Values:
    """Weighs what the player adds to every set without it."""
    bit = 1 << player
    total = np.zeros(values.shape[1])
    for others in range(1 << count):
        if others & bit:
            continue
        size = others.bit_count()
        weight = factorial(size) * factorial(count - size - 1) / factorial(count)
        total += weight * (values[others | bit] - values[others])
    return total


def with_credit(split: Values, levers: Sequence[str], credited: dict[str, float], to: str) -> tuple[Values, Values]:
    """What a lever earns directly, and with stated fractions of others credited to it as what it makes possible."""
    names = list(levers)
    direct = split[names.index(to)]
    enabled = direct + sum(fraction * split[names.index(lever)] for lever, fraction in credited.items())
    return direct, enabled
