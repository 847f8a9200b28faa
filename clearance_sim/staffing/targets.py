"""Targets in words: `P90(lodgement → release) <= 8h`, `mean(…) <= 6h`, `share(…, 8h) >= 90%`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearance_sim.messages import _

Array = NDArray[np.float64]
_LIMIT = re.compile(r"^\s*(mean|median|[Pp]\d{1,2})\s*\((.+)\)\s*<=?\s*([\d.]+)\s*h?\s*$")
_SHARE = re.compile(r"^\s*share\s*\((.+),\s*([\d.]+)\s*h?\)\s*>=?\s*([\d.]+)\s*(%?)\s*$")


class TargetError(ValueError):
    """A target that cannot be parsed, or that names a clock which the scenario does not have."""


@dataclass(frozen=True)
class Target:
    """A statistic of a clock, and its bound. `shortfall` is at most zero if the bound is kept."""

    words: str
    clock: str
    statistic: str
    bound: float
    within_h: float = 0.0

    def of(self, hours: Array) -> float:
        """Return the statistic over the hours of one replication. NaN if there are none."""
        if hours.size == 0:
            return float("nan")
        if self.statistic == "share":
            return float((hours <= self.within_h).mean())
        if self.statistic == "mean":
            return float(hours.mean())
        share = 0.5 if self.statistic == "median" else int(self.statistic[1:]) / 100
        return float(np.quantile(hours, share))

    def shortfall(self, hours: Array) -> float:
        """Return by how much one replication misses the bound."""
        value = self.of(hours)
        return self.bound - value if self.statistic == "share" else value - self.bound


def read_target(words: str, clocks: Sequence[str]) -> Target:
    """Parse a target. A plain `->` may stand for the arrow.

    Raises:
        TargetError: It is malformed, or names an unknown clock.
    """
    limit, share = _LIMIT.match(words), _SHARE.match(words)
    if limit:
        statistic, clock, bound = limit.groups()
        target = Target(words, _clock(clock, clocks), statistic.lower(), float(bound))
    elif share:
        clock, within, bound, percent = share.groups()
        target = Target(words, _clock(clock, clocks), "share", float(bound) / (100 if percent else 1), float(within))
    else:
        raise TargetError(
            _(
                "target {words!r} is not like 'P90(lodgement → release) <= 8h' or 'share(lodgement → "
                "release, 8h) >= 90%'",
                words=words,
            )
        )
    if target.statistic == "share" and not 0 < target.bound < 1:
        raise TargetError(_("target {words!r}: a share lies between 0 and 100 %", words=words))
    return target


def _clock(words: str, clocks: Sequence[str]) -> str:
    plain = {name.replace("→", "->"): name for name in clocks}
    name = words.strip()
    if name in clocks:
        return name
    if name.replace("→", "->") in plain:
        return plain[name.replace("→", "->")]
    raise TargetError(
        _("the scenario has no clock {name!r}; it has {value}", name=name, value=", ".join(clocks) or "none")
    )
