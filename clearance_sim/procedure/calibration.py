"""Calibration: fit the model's parameters to published statistics, reproducibly. No record of a consignment is needed.

1. Nhava Sheva's 2018 study gives a mean, the share below it and the share within 72 h: a shifted log-normal.
2. That shape, scaled to a mean of 72 h, is the target for general imports by sea on paper. It gives how slow traders
are (`trader_scale`), how much they differ (`frailty`) and the least time they need (`documents_floor_h`).
3. India's 2023 study gives the ratios of air and land to sea: how slow traders are by mode.

The simulation runs inside the fit. Random draws are keyed, so the same parameters always give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.stats import norm

from clearance_sim.analysis.estimate import Interval
from clearance_sim.messages import Message, _
from clearance_sim.procedure.context import Context, context, read_data
from clearance_sim.procedure.levers import Levers
from clearance_sim.procedure.network import ARRIVAL
from clearance_sim.procedure.simulation import Array, Laboratory, by_replication

Z90 = float(norm.ppf(0.9))


@dataclass(frozen=True)
class LogNormal:
    """A log-normal distribution in hours, shifted by a floor."""

    mu: float
    sigma: float
    floor: float = 0.0

    @property
    def mean(self) -> float:
        """The mean in hours."""
        return self.floor + math.exp(self.mu + self.sigma**2 / 2)

    @property
    def median(self) -> float:
        """The median in hours."""
        return self.floor + math.exp(self.mu)

    def quantile(self, probability: float) -> float:
        """Return the hours below which this share of values lies."""
        return self.floor + math.exp(self.mu + self.sigma * float(norm.ppf(probability)))

    def share_below(self, hours: float) -> float:
        """Return the share of values below some hours."""
        return float(norm.cdf((math.log(hours - self.floor) - self.mu) / self.sigma)) if hours > self.floor else 0.0


def from_median_and_p90(median: float, p90: float) -> LogNormal:
    """Return the log-normal with this median and this 90th percentile, in hours.

    Raises:
        ValueError: The percentile does not lie above a positive median.
    """
    if not 0 < median < p90:
        raise ValueError(f"a ninth decile of {p90:g} does not lie above a positive median of {median:g}")
    return LogNormal(mu=math.log(median), sigma=math.log(p90 / median) / Z90)


def from_mean_and_shares(mean: float, share_below_mean: float, hours: float, share_below_hours: float) -> LogNormal:
    """Return the shifted log-normal with this mean, this share below the mean, and this share below some hours.

    For every log-normal the share below its own mean is Φ(σ/2), whatever the floor, which gives σ. The other share then
    gives the floor.

    Raises:
        ValueError: No such distribution exists.
    """
    if not 0.5 < share_below_mean < 1:
        raise ValueError("a right-skewed total has more than half of its values below its mean")
    sigma = 2 * float(norm.ppf(share_below_mean))

    def fitted(floor: float) -> LogNormal:
        return LogNormal(mu=math.log(mean - floor) - sigma**2 / 2, sigma=sigma, floor=floor)

    def gap(floor: float) -> float:
        return fitted(floor).share_below(hours) - share_below_hours

    highest = min(mean, hours) * (1 - 1e-9)
    if gap(0) < 0:
        raise ValueError(f"fewer than {share_below_hours:.0%} lie below {hours:g} h even without a floor")
    return fitted(float(brentq(gap, 0, highest)))


def scaled(fit: LogNormal, factor: float) -> LogNormal:
    """Return the distribution with all hours multiplied by a factor."""
    return LogNormal(mu=fit.mu + math.log(factor), sigma=fit.sigma, floor=fit.floor * factor)


FITTED = "fitted by `clearance-sim calibrate`"
HALF = 72.0 / 144.18
"""Nhava Sheva's 72 h as a fraction of its mean."""

Log = Callable[[Message], None]
INDIA_2023 = {
    "electronic_share": 1.0,
    "prelodged_share": 0.3,
    "aeo_share": 0.35,
    "yellow_share": 0.13,
    "red_share": 0.05,
}
"""India in 2023. Shares facilitated (82 %) and authorised (35 %) are published, the others are assumptions."""


@dataclass(frozen=True)
class Published:
    """A published figure that the model is calibrated on."""

    id: str
    study: str
    year: int
    figure: str
    value: float
    unit: str
    clock: str
    known: str


@dataclass(frozen=True)
class Fit:
    """A published figure beside the fitted and the simulated one."""

    published: Published
    fitted: float
    simulated: Interval

    def to_json(self) -> dict[str, Any]:
        row = self.published
        return {
            "figure": row.figure,
            "study": row.study,
            "year": row.year,
            "known": row.known,
            "unit": row.unit,
            "clock": row.clock,
            "published": row.value,
            "fitted": round(self.fitted, 4),
            "simulated": self.simulated.to_json(),
        }


@dataclass(frozen=True)
class Calibration:
    """Fitted parameters by layer (`general`, `mode-air`, …), the target shape, and how well they fit."""

    layers: Mapping[str, Mapping[str, float]]
    shape: LogNormal
    fits: tuple[Fit, ...]


@cache
def published() -> Mapping[str, Published]:
    """Return the figures to calibrate on, by id."""
    return {row["id"]: Published(**row) for row in read_data("published.toml")["figure"]}


def shape() -> LogNormal:
    """Return the distribution of total times that Nhava Sheva's three figures imply, in hours."""
    given = published()
    return from_mean_and_shares(
        given["jnch-2018-mean"].value,
        given["jnch-2018-below-mean"].value,
        72.0,
        given["jnch-2018-within-72"].value,
    )


def calibrate(laboratory: Laboratory, log: Log = lambda _: None) -> Calibration:
    """Fit all parameters in the three steps of this module. `log` receives one message for each step."""
    target = scaled(shape(), published()["ntfap-sea-target"].value / published()["jnch-2018-mean"].value)
    base = _uncalibrated(context("general-import"))
    general = _fit_sea(base, target, laboratory, log)
    layers: dict[str, dict[str, float]] = {"general": general}
    india = base.having({**general, **INDIA_2023}, FITTED)
    for mode in ("air", "land"):
        layers[f"mode-{mode}"] = _fit_mode(mode, india, laboratory, log)
    return Calibration(layers, shape(), tuple(_fits(base, layers, target, laboratory)))


def _uncalibrated(fitted: Context) -> Context:
    return fitted.but(trader_scale=1.0, frailty=0.5, documents_floor_h=0.0)


def _totals(here: Context, laboratory: Laboratory) -> list[Array]:
    return by_replication(laboratory.runs(here, Levers()), ARRIVAL)


def _fit_sea(base: Context, target: LogNormal, laboratory: Laboratory, log: Log) -> dict[str, float]:
    """Fit scale, frailty and floor of traders' waits to the mean, the share below it and the share below half of it.

    Least squares over smooth functions finds the nearest point where no solution exists. The floor is no higher than
    the shape's own. Afterwards the scale alone is adjusted until the mean is exact.
    """
    wanted = np.array([1.0, target.share_below(target.mean), target.share_below(target.mean * HALF)])

    def gaps(point: Array) -> Array:
        totals = np.concatenate(_totals(base.having(_named(point), FITTED), laboratory))
        mean = totals.mean()
        shown = np.array([mean / target.mean, (totals < mean).mean(), (totals < HALF * mean).mean()])
        scale, frailty, floor = point
        log(
            _(
                "scale {scale:.3f}, frailty {frailty:.3f}, floor {floor:.2f} h: mean {mean:.2f} h, {below:.3f} below "
                "it, {half:.3f} below half of it",
                scale=scale,
                frailty=frailty,
                floor=floor,
                mean=mean,
                below=shown[1],
                half=shown[2],
            )
        )
        return np.asarray(shown - wanted)

    start, highest = (0.8, 0.5, target.floor / 2), (4.0, 1.5, target.floor)
    found = least_squares(gaps, start, bounds=((0.2, 0.0, 0.0), highest), diff_step=0.03, xtol=0.01, ftol=0.01)
    values = _named(found.x)

    def too_long(scale: float) -> float:
        return _mean(base.having({**values, "trader_scale": scale}, FITTED), laboratory) - target.mean

    values["trader_scale"] = _root(too_long, 0.5 * values["trader_scale"], 2 * values["trader_scale"])
    return {name: round(value, 4) for name, value in values.items()}


def _named(point: Array) -> dict[str, float]:
    return dict(zip(("trader_scale", "frailty", "documents_floor_h"), map(float, point), strict=True))


def _root(gap: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function is zero, or the nearest end of the interval if it is zero nowhere in it."""
    if gap(low) >= 0:
        return low
    if gap(high) <= 0:
        return high
    return float(brentq(gap, low, high, xtol=0.002))


def _mean(here: Context, laboratory: Laboratory) -> float:
    return float(np.mean([values.mean() for values in _totals(here, laboratory)]))


def _of_mode(mode: str, india: Context, layer: Mapping[str, float]) -> Context:
    defaults = read_data("contexts.toml")["mode"][mode]["set"]
    return replace(india.having({**defaults, **layer}, FITTED), mode=mode)


def _fit_mode(mode: str, india: Context, laboratory: Laboratory, log: Log) -> dict[str, float]:
    """Fit how much faster than by sea traders are, so that the means are in the published ratio."""
    given = published()
    ratio = given[f"ntrs-2023-{mode}"].value / given["ntrs-2023-sea"].value
    wanted = ratio * _mean(india, laboratory)

    def layer(factor: float) -> dict[str, float]:
        return {name: round(india[name] * factor, 4) for name in ("trader_scale", "documents_floor_h")}

    factor = _root(lambda f: _mean(_of_mode(mode, india, layer(f)), laboratory) - wanted, 0.02, 4.0)
    log(
        _(
            "{mode}: traders {factor:.3f} times as slow as by sea give {ratio:.3f} of the sea's mean",
            mode=mode,
            factor=factor,
            ratio=ratio,
        )
    )
    return layer(factor)


def _fits(
    base: Context, layers: Mapping[str, Mapping[str, float]], target: LogNormal, laboratory: Laboratory
) -> list[Fit]:
    """Simulate again with the fitted parameters and another seed, so that the fit is not judged on its own draws."""
    again = replace(laboratory, seed=laboratory.seed + 1)
    given = published()
    totals = _totals(base.having(layers["general"], FITTED), again)
    means = np.array([values.mean() for values in totals])
    middle, half = float(means.mean()), float(means.mean()) * HALF
    to_jnch = given["jnch-2018-mean"].value / given["ntfap-sea-target"].value
    found = [
        Fit(given["ntfap-sea-target"], target.mean, Interval.over(means)),
        Fit(given["jnch-2018-mean"], shape().mean, Interval.over(means * to_jnch)),
        Fit(
            given["jnch-2018-below-mean"],
            target.share_below(target.mean),
            Interval.over([(values < middle).mean() for values in totals]),
        ),
        Fit(
            given["jnch-2018-within-72"],
            target.share_below(target.mean * HALF),
            Interval.over([(values < half).mean() for values in totals]),
        ),
    ]
    india = base.having({**layers["general"], **INDIA_2023}, FITTED)
    sea = np.array([values.mean() for values in _totals(india, again)])
    to_india = given["ntrs-2023-sea"].value / sea.mean()
    found.append(Fit(given["ntrs-2023-sea"], given["ntrs-2023-sea"].value, Interval.over(sea * to_india)))
    for mode in ("air", "land"):
        here = _of_mode(mode, india, layers[f"mode-{mode}"])
        hours = np.array([values.mean() for values in _totals(here, again)])
        figure = given[f"ntrs-2023-{mode}"]
        found.append(Fit(figure, figure.value, Interval.over(hours * to_india)))
    return found


def write_calibrated(calibration: Calibration, path: Path) -> None:
    """Write the fitted parameters, and how well they fit, to the file that contexts read."""
    lines = ["# Written by `clearance-sim calibrate --write`; see docs/clearance-sim.md.", ""]
    for layer, values in calibration.layers.items():
        lines += [f"[{layer}]", *(f"{name} = {value}" for name, value in values.items()), ""]
    for fit in calibration.fits:
        lines += ["[[fit]]", f'id = "{fit.published.id}"', f"fitted = {fit.fitted:.6g}"]
        simulated = fit.simulated
        lines += [f"simulated = [{simulated.value:.6g}, {simulated.low:.6g}, {simulated.high:.6g}]", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def kept_fits() -> list[Fit]:
    """Return how well the parameters in use fit, as found when they were written."""
    rows = read_data("calibrated.toml").get("fit", [])
    return [Fit(published()[row["id"]], row["fitted"], Interval(*row["simulated"])) for row in rows]
