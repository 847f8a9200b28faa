"""Sensitivity to assumptions: Sobol indices over the parameters' ranges, and a tornado of one parameter at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from SALib.analyze import sobol as sobol_analysis
from SALib.sample import sobol as sobol_sample

from clearance_sim.analysis.estimate import Interval, number
from clearance_sim.procedure.context import Context, Parameter, parameters
from clearance_sim.procedure.levers import Arm
from clearance_sim.procedure.simulation import Cell, Laboratory, Summary

Progress = Callable[[int, int], None] | None
SHARES = ("share", "factor")


@dataclass(frozen=True)
class Range:
    """A parameter with its bounds in a context."""

    parameter: Parameter
    value: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "title": dict(self.parameter.titles),
            "unit": self.parameter.unit,
            "range": [self.low, self.high],
        }


def ranges(context: Context) -> list[Range]:
    """Return the parameters that vary in a context. Bounds are scaled as the context's value is to the general one."""
    found = []
    for parameter in parameters().values():
        value = context[parameter.name]
        if not parameter.varies or parameter.title is None or value <= 0:
            continue
        ratio = value / parameter.value if parameter.value else 1.0
        low, high = sorted((parameter.low * ratio, parameter.high * ratio))
        if parameter.unit == "share":
            high = min(high, 1.0)
        if low < high:
            found.append(Range(parameter, value, low, high))
    return found


def moved(context: Context, values: Mapping[str, float]) -> Context:
    """Return the context with some parameters changed. A duration's 90th percentile moves with its median."""
    changed = dict(values)
    for name, value in values.items():
        if "_median_" in name:
            partner = name.replace("_median_", "_p90_")
            changed[partner] = context[partner] * value / context[name]
    red, yellow = changed.get("red_share", context["red_share"]), changed.get("yellow_share", context["yellow_share"])
    # Shares that move independently could add up to more than one.
    if red + yellow > 0.95:
        changed["yellow_share"] = 0.95 - red
    return context.having(changed, "sensitivity")


def sobol(
    context: Context,
    arm: Arm,
    laboratory: Laboratory,
    base: int,
    clock: str,
    statistic: str = "mean",
    progress: Progress = None,
) -> dict[str, object]:
    """Return first-order and total Sobol indices of one arm's statistic (Saltelli's sampling scheme).

    `base` is the number of base samples. All cells use one seed, so that differences come from parameters only.
    """
    moving = ranges(context)
    names = [each.name for each in moving]
    problem = {
        "num_vars": len(moving),
        "names": names,
        "bounds": [[each.low, each.high] for each in moving],
    }
    sample = sobol_sample.sample(problem, base, calc_second_order=False, seed=laboratory.seed)
    cells: list[Cell] = [(moved(context, dict(zip(names, map(float, row), strict=True))), arm.levers) for row in sample]
    answers = np.array([_mean(s, clock, statistic) for s in laboratory.summaries(cells, progress)])
    indices = sobol_analysis.analyze(problem, answers, calc_second_order=False, seed=laboratory.seed)
    rows = [
        each.to_json() | {"first": _index(indices, "S1", i), "total": _index(indices, "ST", i)}
        for i, each in enumerate(moving)
    ]
    rows.sort(key=lambda row: -_value(row["total"]))
    return {
        "clock": clock,
        "statistic": statistic,
        "arm": arm.name,
        "evaluations": len(sample),
        "spread": {
            name: number(float(np.quantile(answers, q))) for name, q in (("p05", 0.05), ("median", 0.5), ("p95", 0.95))
        },
        "within_8h": number(float((answers <= 8.0).mean())),
        "parameters": rows,
    }


def _mean(summary: Summary, clock: str, statistic: str) -> float:
    return float(np.nanmean(summary(clock, statistic)))


def _index(indices: Mapping[str, Sequence[float]], kind: str, position: int) -> dict[str, float | None]:
    value, half = float(indices[kind][position]), float(indices[f"{kind}_conf"][position])
    return Interval(value, value - half, value + half).to_json()


def _value(figure: object) -> float:
    assert isinstance(figure, dict)
    return float(figure["value"] or 0.0)


def tornado(
    context: Context, arm: Arm, laboratory: Laboratory, clock: str, statistic: str = "mean"
) -> list[dict[str, object]]:
    """Move each parameter to its bounds while the others stay, and return the results, widest first."""
    moving = ranges(context)
    cells: list[Cell] = [(context, arm.levers)]
    for each in moving:
        cells += [(moved(context, {each.name: bound}), arm.levers) for bound in (each.low, each.high)]
    base, *rest = (_mean(s, clock, statistic) for s in laboratory.summaries(cells))
    rows = [
        each.to_json()
        | {
            "arm": arm.name,
            "low": each.low,
            "high": each.high,
            "at_low": number(at_low),
            "at_high": number(at_high),
            "base": number(base),
        }
        for each, at_low, at_high in zip(moving, rest[::2], rest[1::2], strict=True)
    ]
    return sorted(rows, key=_width, reverse=True)


def _width(row: Mapping[str, object]) -> float:
    low, high = row["at_low"], row["at_high"]
    return abs(high - low) if isinstance(high, float) and isinstance(low, float) else 0.0
