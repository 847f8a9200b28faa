"""One arm in full: both clocks with their distributions, channels, stages, the officers' week, and fraud."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearance_sim.analysis.estimate import Interval, number
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Arm
from clearance_sim.procedure.measured import fraud
from clearance_sim.procedure.network import ARRIVAL, CHANNELS, CLOCKS, OWNERS, TITLES
from clearance_sim.procedure.simulation import Array, Laboratory, Runs, by_replication, counted, time_in

STAFFED = ("document check", "examination")
ECDF_SHARES = (*(n / 100 for n in range(1, 100)), 0.995, 0.999)


def arm_json(context: Context, arm: Arm, laboratory: Laboratory) -> dict[str, Any]:
    """Run one arm and return its part of claim.json."""
    runs = laboratory.runs(context, arm.levers, stages=True)
    return {
        "name": arm.name,
        "title": arm.title.in_all_languages(),
        "levers": arm.levers.to_json(),
        "declarations": int(sum(values.size for values in by_replication(runs, ARRIVAL))),
        "clocks": {clock: _clock(by_replication(runs, clock)) for clock in CLOCKS},
        "channels": [_channel(runs, channel) for channel in reversed(CHANNELS)],
        "stages": _stages(runs),
        "staffed": [_staffed(runs, name) for name in STAFFED if name in runs.stations],
        "week": [_week(runs, name) for name in STAFFED if name in runs.stations],
        "fraud": fraud(context, arm.levers, laboratory.machine).to_json(),
    }


def _clock(rows: list[Array]) -> dict[str, Any]:
    return {
        **_figures(rows, p95=0.95),
        "within_72h": Interval.over([_within(values, 72.0) for values in rows]).to_json(),
        "ecdf": _ecdf(np.concatenate(rows)),
    }


def _figures(rows: list[Array], **more: float) -> dict[str, Any]:
    quantiles = {"median": 0.5, "p90": 0.9, **more}
    return {
        "mean": Interval.over([values.mean() if values.size else np.nan for values in rows]).to_json(),
        **{name: Interval.over([_quantile(values, q) for values in rows]).to_json() for name, q in quantiles.items()},
        "within_8h": Interval.over([_within(values, 8.0) for values in rows]).to_json(),
    }


def _quantile(values: Array, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")


def _within(values: Array, hours: float) -> float:
    return float((values <= hours).mean()) if values.size else float("nan")


def _ecdf(values: Array) -> list[list[float | None]]:
    """Return pairs of hours and the share within them, at every hundredth and at 8 and 72 hours."""
    points = {share: float(hours) for share, hours in zip(ECDF_SHARES, np.quantile(values, ECDF_SHARES), strict=True)}
    points |= {_within(values, hours): hours for hours in (8.0, 72.0)}
    return [[number(hours), number(share)] for share, hours in sorted(points.items())]


def _channel(runs: Runs, channel: str) -> dict[str, Any]:
    everyone = by_replication(runs, ARRIVAL)
    rows = by_replication(runs, ARRIVAL, channel)
    shares = [own.size / max(1, whole.size) for own, whole in zip(rows, everyone, strict=True)]
    return {"channel": channel, "share": Interval.over(shares).to_json(), **_figures(rows)}


def _stages(runs: Runs) -> list[dict[str, Any]]:
    """Return the mean hours at each station over all consignments.

    Stays overlap, so they add up to more than the clock.
    """
    whom = np.isfinite(runs.clock_values(ARRIVAL)) & counted(runs)
    means = {}
    for name in OWNERS:
        if f"in {name}" in runs and name != "voyage":
            hours, _ = time_in(runs, (name,))
            means[name] = float(hours[whom].mean())
    total = sum(means.values()) or 1.0
    return [
        {
            "station": name,
            "title": TITLES[name].in_all_languages(),
            "owner": OWNERS[name],
            "mean_h": number(hours),
            "share": number(hours / total),
        }
        for name, hours in means.items()
    ]


def _staffed(runs: Runs, name: str) -> dict[str, Any]:
    figures = {"utilisation": runs.utilisation(name), "wait": runs.wait(name)}
    return {"station": name, **{key: Interval.over(values).to_json() for key, values in figures.items()}}


def _week(runs: Runs, name: str) -> dict[str, Any]:
    """Return the numbers waiting and on duty at every hour of the week, starting with Monday."""
    queue, servers = runs.week(name)
    return {"station": name, "queue": list(map(number, queue)), "servers": list(map(number, servers))}
