"""`clearance-sim calibrate`: from published statistics to the model's parameters."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from pathlib import Path

import click

from clearance_sim.procedure.calibration import Calibration, calibrate, write_calibrated
from clearance_sim.procedure.simulation import Laboratory


@click.command("calibrate", short_help="Fit the customs model to published statistics.")
@click.option("--replications", default=12, show_default=True, type=click.IntRange(2), help="Replications of each run.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed of the fit.")
@click.option("--write", is_flag=True, help="Keep the fitted parameters in the package's data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(replications: int, seed: int, write: bool, as_json: bool) -> None:
    """Fit the customs model to published statistics, and show how well it fits."""
    start = time.perf_counter()
    laboratory = Laboratory(replications=replications, seed=seed)
    found = calibrate(laboratory, say=lambda line: None if as_json else click.echo(f"  {line}"))
    if write:
        path = Path(str(files("clearance_sim.procedure") / "data" / "calibrated.toml"))
        write_calibrated(found, path)
    if as_json:
        click.echo(json.dumps(_document(found), ensure_ascii=False, indent=1))
        return
    _show(found)
    click.echo(f"{time.perf_counter() - start:.1f} s" + (f"; written to {path}" if write else "; --write keeps them"))


def _document(found: Calibration) -> dict[str, object]:
    shape = found.shape
    return {
        "parameters": found.layers,
        "shape": {"floor_h": shape.floor, "sigma": shape.sigma, "median_h": shape.median, "mean_h": shape.mean},
        "fits": [fit.to_json() for fit in found.fits],
    }


def _show(found: Calibration) -> None:
    shape = found.shape
    click.echo(
        f"shape of a total (shifted log-normal, Nhava Sheva 2018): floor {shape.floor:.1f} h, "
        f"log-sd {shape.sigma:.2f}, median {shape.median:.1f} h, mean {shape.mean:.1f} h"
    )
    for layer, values in found.layers.items():
        click.echo(f"{layer}: " + ", ".join(f"{name} = {value:g}" for name, value in values.items()))
    click.echo(f"{'published':>10} {'fitted':>8} {'simulated (95 %)':>28}  figure")
    for fit in found.fits:
        row, simulated = fit.published, fit.simulated
        interval = f"{simulated.value:.3g} ({simulated.low:.3g} to {simulated.high:.3g})"
        click.echo(f"{row.value:>10.4g} {fit.fitted:>8.4g} {interval:>28}  {row.study}: {row.figure} [{row.known}]")
