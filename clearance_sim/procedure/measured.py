"""The machine's part of clearance, measured by a probe or assumed: how long it takes, and which forgeries it finds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clearance_sim.messages import _
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Levers, arm_shares


class MeasuredError(ValueError):
    """A probe's result file lacks what the simulation needs."""


@dataclass(frozen=True)
class Spread:
    """Durations as median and 90th percentile in seconds, with the number measured (0 if assumed)."""

    median_s: float
    p90_s: float
    count: int = 0

    def distribution(self) -> dict[str, Any]:
        """Return the durations as a distribution of a scenario file, in hours."""
        if self.p90_s <= self.median_s or self.median_s <= 0:
            return {"distribution": "deterministic", "value_h": max(self.median_s, 0.0) / 3600}
        return {"distribution": "log-normal", "median_h": self.median_s / 3600, "p90_h": self.p90_s / 3600}


@dataclass(frozen=True)
class MachinePart:
    """How long the ledger's machine takes, and the share of forged records that it finds."""

    source: str
    lodge_to_verdict: Spread
    decision_to_final: Spread
    caught: tuple[int, int] | None = None
    """Forgeries refused, of how many sent."""

    @property
    def caught_share(self) -> float:
        """The share of forged records that are recognised. All are assumed to be where nothing was measured."""
        return 1.0 if not self.caught or not self.caught[1] else self.caught[0] / self.caught[1]

    def verdict_distribution(self) -> dict[str, Any]:
        """Return the time from lodging to the verdict as a distribution of a scenario, in hours."""
        return self.lodge_to_verdict.distribution()

    def release_distribution(self, hours: float) -> dict[str, Any]:
        """Return the time of an automatic release. Finality on the ledger comes later and delays nobody."""
        return {"distribution": "deterministic", "value_h": hours}

    def to_json(self) -> dict[str, Any]:
        low, high = wilson(*self.caught) if self.caught and self.caught[1] else (None, None)
        return {
            "source": self.source,
            "lodge_to_verdict_s": vars(self.lodge_to_verdict),
            "decision_to_final_s": vars(self.decision_to_final),
            "caught_share": {"value": self.caught_share, "low": low, "high": high},
        }


ASSUMED = MachinePart(
    source="assumption",
    lodge_to_verdict=Spread(median_s=1.0, p90_s=5.0),
    decision_to_final=Spread(median_s=15.0, p90_s=60.0),
)


def wilson(hits: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval (Wilson 1927) for a share, by default at 95 %."""
    share, square = hits / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    half = z * ((share * (1 - share) + square / 4) / count) ** 0.5 / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def read_measured(path: Path) -> MachinePart:
    """Read a probe's result file.

    Raises:
        MeasuredError: The file is not JSON, or a figure is missing or not a positive number.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise MeasuredError(_("{path}: cannot be read as JSON ({fault})", path=path, fault=fault)) from fault
    measures, forged = _of(document, path, "measures"), _of(_of(document, path, "detection"), path, "forged")
    everything = _of(forged, path, "all")
    return MachinePart(
        source=path.name,
        lodge_to_verdict=_spread(measures, path, "lodgeToVerdict"),
        decision_to_final=_spread(measures, path, "decisionToFinal"),
        caught=(int(everything.get("caught", 0)), int(everything.get("tried", 0))),
    )


def _of(document: Any, path: Path, name: str) -> dict[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise MeasuredError(
            _("{path}: has no table {name!r}; write the file with `clearance-sim probe --out`", path=path, name=name)
        )
    return found


def _spread(measures: Any, path: Path, name: str) -> Spread:
    table = _of(measures, path, name)
    try:
        spread = Spread(float(table["p50"]["value"]), float(table["p90"]["value"]), int(table["count"]))
    except (KeyError, TypeError, ValueError) as fault:
        raise MeasuredError(_("{path}: {name} needs count, p50 and p90 as numbers", path=path, name=name)) from fault
    if spread.count < 1 or not 0 <= spread.median_s <= spread.p90_s:
        raise MeasuredError(
            _("{path}: {name} needs 0 <= p50 <= p90 over at least one measurement", path=path, name=name)
        )
    return spread


@dataclass(frozen=True)
class Fraud:
    """Forged and false consignments among ten thousand, and how many are found."""

    forged_per_10000: float
    caught: float
    false_but_signed_per_10000: float
    false_caught: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def fraud(context: Context, levers: Levers, machine: MachinePart) -> Fraud:
    """Return forgeries and false statements among ten thousand consignments, and how many of each are found.

    A ledger shows that a record was altered or never issued. It cannot show that a genuine record tells the truth. Only
    an examination of the goods finds that, so an arm with fewer examinations finds fewer false statements.
    """
    now = arm_shares(context, levers)
    by_machine = now.verified * (1 - now.fallback)
    by_eye = (now.yellow + now.red) * context["forgery_seen_on_paper"]
    forged, false = 1e4 * context["forged_share"], 1e4 * context["false_statement_share"]
    return Fraud(
        forged_per_10000=forged,
        caught=forged * (by_machine * machine.caught_share + (1 - by_machine) * by_eye),
        false_but_signed_per_10000=false,
        false_caught=false * now.red * context["falsehood_seen_in_examination"],
    )
