"""Findings of a probe: distributions of times with intervals, and how many consignments of each kind were caught."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import stats

from clearance_sim.messages import _

FORMAT, FORMAT_VERSION = "provenport-probe", 1
LEVEL = 0.95
MEASURES = {
    "lodgeToAnswer": _("lodging → receipt"),
    "lodgeToVerdict": _("lodging → verdict"),
    "lodgeToAnchored": _("lodging → anchored"),
    "lodgeToFinal": _("lodging → final"),
    "lodgeToRefusal": _("lodging → INVALID"),
    "decisionToAnswer": _("decision → receipt"),
    "decisionToAnchored": _("decision → anchored"),
    "decisionToFinal": _("decision → final"),
    "verify": _("verifying a bundle"),
}
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

Fate = Literal["caught", "undecided", "passed"]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval. A bound is None where there are too few observations for it."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Return its part of probe.json."""
        return {"value": self.value, "low": self.low, "high": self.high}


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean with Student's t interval."""
    value = float(np.mean(values))
    if len(values) < 2:
        return Estimate(value)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return Estimate(value, value - half, value + half)


def quantile(values: Sequence[float], share: float) -> Estimate:
    """Return a quantile (type 7) with the distribution-free interval between order statistics (Conover 1999, 3.2)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    low = int(stats.binom.ppf((1 - LEVEL) / 2, count, share)) - 1
    high = int(stats.binom.ppf((1 + LEVEL) / 2, count, share))
    return Estimate(
        float(np.quantile(ordered, share)),
        float(ordered[low]) if low >= 0 else None,
        float(ordered[high]) if high < count else None,
    )


def proportion(hits: int, tried: int) -> Estimate:
    """Return a share with the exact interval of Clopper and Pearson (1934). NaN if nothing was tried."""
    if tried == 0:
        return Estimate(math.nan)
    interval = stats.binomtest(hits, tried).proportion_ci(LEVEL, method="exact")
    return Estimate(hits / tried, float(interval.low), float(interval.high))


@dataclass
class Fates:
    """What became of consignments of one kind.

    ``undecided`` counts INDETERMINATE verdicts: nothing is released on them unless an officer accepts that.
    """

    caught: int = 0
    undecided: int = 0
    passed: int = 0

    @property
    def tried(self) -> int:
        """The number of consignments."""
        return self.caught + self.undecided + self.passed

    def note(self, fate: Fate) -> None:
        """Count one consignment."""
        setattr(self, fate, getattr(self, fate) + 1)

    def __add__(self, other: "Fates") -> "Fates":
        return Fates(self.caught + other.caught, self.undecided + other.undecided, self.passed + other.passed)

    def to_json(self) -> dict[str, Any]:
        """Return its part of probe.json."""
        share = proportion(self.caught, self.tried).to_json() if self.tried else None
        return {
            "tried": self.tried,
            "caught": self.caught,
            "undecided": self.undecided,
            "passed": self.passed,
            "share": share,
        }


@dataclass
class Findings:
    """All findings of one probe."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    fates: dict[tuple[str, str], Fates] = field(default_factory=lambda: defaultdict(Fates))
    faults: list[str] = field(default_factory=list)
    """Consignments that could not be brought to their end, and why."""
    notes: list[str] = field(default_factory=list)

    def measured(self, name: str, seconds: float) -> None:
        """Store one observation in seconds."""
        assert name in MEASURES, name
        self.seconds[name].append(seconds)

    def of(self, family: str) -> Fates:
        """Return the fates of all good, wrong or forged consignments together."""
        return sum((fates for (name, _kind), fates in self.fates.items() if name == family), Fates())

    @property
    def forgeries_passed(self) -> int:
        """The number of forgeries that were taken for genuine."""
        return self.of("forged").passed

    def to_json(self) -> dict[str, Any]:
        """Return the measures and detection of probe.json."""
        return {
            "measures": {name: _distribution(self.seconds[name]) for name in MEASURES if self.seconds.get(name)},
            "detection": {
                "good": self.of("good").to_json(),
                "wrong": self._family("wrong"),
                "forged": self._family("forged"),
            },
            "faults": self.faults,
            "notes": self.notes,
        }

    def _family(self, family: str) -> dict[str, Any]:
        kinds = {kind: fates.to_json() for (name, kind), fates in sorted(self.fates.items()) if name == family}
        return {"all": self.of(family).to_json(), **kinds}


def _distribution(seconds: Sequence[float]) -> dict[str, Any]:
    return {
        "unit": "s",
        "count": len(seconds),
        "mean": mean(seconds).to_json(),
        **{name: quantile(seconds, share).to_json() for name, share in QUANTILES.items()},
        "values": [round(value, 6) for value in sorted(seconds)],
    }
