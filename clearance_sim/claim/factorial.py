"""All sets of levers on the same consignments: which lever saves the hours (Shapley value), and which sets suffice."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearance_sim.analysis.estimate import Interval
from clearance_sim.messages import Message, _
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import LETTERS, LEVERS, TITLES, Levers, letters_of, names_of
from clearance_sim.procedure.network import CLOCKS
from clearance_sim.procedure.simulation import STATISTICS, Laboratory, Summary

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Each lever's part of the saving in hours, one row for each lever and one column for each replication."""

    levers: Sequence[str]
    shapley: Values
    first_in: Values
    last_in: Values

    def of(self, lever: str) -> int:
        """Return the row of a lever."""
        return list(self.levers).index(lever)


def shares(levers: Sequence[str], values: Values) -> Shares:
    """Divide the saving of all levers among them: Shapley value (Shapley 1953), first-in and last-in share.

    The value of a set is the hours that it saves against no lever at all. It is measured in each replication and the
    arithmetic is linear, so each share gets a confidence interval.

    Args:
        levers: Names. Lever i is bit i of a set's number.
        values: One row for each set of levers (2^n rows, row 0 is the empty set), one column for each replication.

    Raises:
        ValueError: The number of rows does not fit the number of levers.
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
    """Return the weighted mean of what the lever adds to every set without it."""
    bit = 1 << player
    total = np.zeros(values.shape[1])
    for others in range(1 << count):
        if others & bit:
            continue
        size = others.bit_count()
        weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
        total += weight * (values[others | bit] - values[others])
    return total


def with_credit(split: Values, levers: Sequence[str], credited: dict[str, float], to: str) -> tuple[Values, Values]:
    """Return what a lever saves directly, and with given fractions of other levers' savings credited to it."""
    names = list(levers)
    direct = split[names.index(to)]
    enabled = direct + sum(fraction * split[names.index(lever)] for lever, fraction in credited.items())
    return direct, enabled


CREDITED = {"early_documents": 1.0, "fewer_interventions": 0.5}
"""The fractions of other levers credited to the ledger as what it makes possible: an assumption, always printed."""


@dataclass(frozen=True)
class Factorial:
    """Summaries of all sets of levers. Set number m contains lever i if bit i of m is set."""

    cells: Sequence[Summary]

    def of(self, *names: str) -> Summary:
        """Return the summary of exactly these levers."""
        return self.cells[sum(1 << LEVERS.index(name) for name in names)]

    def values(self, clock: str, statistic: str) -> Values:
        """Return the figures, one row for each set and one column for each replication."""
        return np.stack([cell(clock, statistic) for cell in self.cells])


def factorial(
    context: Context, laboratory: Laboratory, progress: Callable[[int, int], None] | None = None
) -> Factorial:
    """Run all sets of levers in one context."""
    cells = [(context, Levers.numbered(mask)) for mask in range(1 << len(LEVERS))]
    return Factorial(laboratory.summaries(cells, progress))


def cells_json(study: Factorial) -> dict[str, object]:
    """Return the sets' part of claim.json."""
    return {
        "levers": list(LEVERS),
        "cells": [
            {"on": list(names_of(mask)), **{clock: figures(cell, clock) for clock in CLOCKS}}
            for mask, cell in enumerate(study.cells)
        ],
    }


def figures(cell: Summary, clock: str) -> dict[str, object]:
    """Return mean, median and 90th percentile with their intervals."""
    return {name: Interval.over(cell(clock, name)).to_json() for name in STATISTICS}


@dataclass(frozen=True)
class Attribution:
    """How the hours saved on one clock, in one statistic, are divided among the levers."""

    clock: str
    statistic: str
    baseline: Values
    all_levers: Values
    split: Shares

    @property
    def saving(self) -> Values:
        """The hours that all levers save together, by replication."""
        return self.baseline - self.all_levers

    def percent(self, hours: Values) -> Interval:
        """Return hours as a percentage of the saving, a ratio of means with its interval by the delta method."""
        return ratio_percent(hours, self.saving)

    def ledger(self) -> tuple[Interval, Interval]:
        """Return the ledger's percentage of the saving: by itself, and with what is credited to it."""
        direct, enabled = with_credit(self.split.shapley, LEVERS, CREDITED, to="ledger")
        return self.percent(direct), self.percent(enabled)


def ratio_percent(part: Values, whole: Values) -> Interval:
    """Return 100 · mean(part) / mean(whole), with a 95 % interval from the paired residuals (delta method)."""
    if abs(whole.mean()) < 1e-9:
        return Interval(float("nan"), float("nan"), float("nan"))
    share = float(part.mean() / whole.mean())
    residuals = Interval.over((part - share * whole) / whole.mean())
    return Interval(100 * share, 100 * (share + residuals.low), 100 * (share + residuals.high))


def attribution(study: Factorial, clock: str, statistic: str) -> Attribution:
    """Divide the hours saved among the levers."""
    hours = study.values(clock, statistic)
    return Attribution(clock, statistic, hours[0], hours[-1], shares(LEVERS, hours[0] - hours))


def attribution_json(study: Factorial, clock: str, statistic: str) -> dict[str, object]:
    """Return one attribution's part of claim.json."""
    found = attribution(study, clock, statistic)
    direct, enabled = found.ledger()
    return {
        "clock": clock,
        "statistic": statistic,
        "baseline": Interval.over(found.baseline).to_json(),
        "all": Interval.over(found.all_levers).to_json(),
        "saving": Interval.over(found.saving).to_json(),
        "levers": [_lever_json(found, lever) for lever in LEVERS],
        "ledger": {
            "direct_percent": direct.to_json(),
            "enabled_percent": enabled.to_json(),
            "credited": CREDITED,
            "note": credit_in_words().in_all_languages(),
        },
    }


def credit_in_words() -> Message:
    """Tell what is credited to the ledger beyond its own effect."""
    parts = [
        _("{share:g} % of lever {letter}", share=100 * share, letter=LETTERS[lever])
        for lever, share in CREDITED.items()
    ]
    return functools.reduce(lambda first, second: _("{first} and {second}", first=first, second=second), parts)


def _lever_json(found: Attribution, lever: str) -> dict[str, object]:
    row = found.split.of(lever)
    return {
        "lever": lever,
        "title": TITLES[lever].in_all_languages(),
        "shapley": Interval.over(found.split.shapley[row]).to_json(),
        "shapley_percent": found.percent(found.split.shapley[row]).to_json(),
        "first_in": Interval.over(found.split.first_in[row]).to_json(),
        "last_in": Interval.over(found.split.last_in[row]).to_json(),
    }


def smallest_sets(study: Factorial, clock: str, statistic: str, hours: float) -> list[tuple[str, ...]]:
    """Return the minimal sets that reach a target with their whole interval, smallest first."""
    reaching = [
        mask for mask, cell in enumerate(study.cells) if Interval.over(cell(clock, statistic)).lies_below(hours)
    ]
    minimal = [mask for mask in reaching if not any(other != mask and other & mask == other for other in reaching)]
    return sorted(map(names_of, minimal), key=lambda names: (len(names), letters_of(names)))
