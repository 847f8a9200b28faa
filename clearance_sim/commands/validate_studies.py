"""`clearance-sim validate-studies`: the model tried on published studies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from clearance_sim.procedure.simulation import Laboratory
from clearance_sim.procedure.studies import Study, StudyError, Trial, packaged_studies, read_studies, try_studies


@click.command("validate-studies", short_help="Try the customs model on published studies.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--replications", default=12, show_default=True, type=click.IntRange(2), help="Replications of each study."
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--example", is_flag=True, help="Print the packaged studies, as a file to start from.")
def command(file: Path | None, replications: int, seed: int, as_json: bool, example: bool) -> None:
    """Predict published clearance times that the model was not calibrated on.

    FILE holds [[study]] rows: a context, its levers, the published figure and a tolerance. Without it, the packaged
    studies are tried. Ends with 0 whatever the outcome: a study outside its tolerance is a finding.
    """
    if example:
        from importlib.resources import files

        click.echo((files("clearance_sim.procedure") / "data" / "studies.toml").read_text(encoding="utf-8"))
        return
    try:
        studies = packaged_studies() if file is None else read_studies(file.read_text(encoding="utf-8"), str(file))
    except (StudyError, UnicodeDecodeError) as fault:
        raise click.ClickException(str(fault)) from fault
    trials = try_studies(studies, Laboratory(replications=replications, seed=seed))
    if as_json:
        click.echo(json.dumps([trial.to_json() for trial in trials], ensure_ascii=False, indent=1))
        return
    click.echo(table(trials))


def table(trials: Sequence[Trial]) -> str:
    """The table as text: failures stand among the others, marked."""
    lines = [f"{'predicted (95 %)':>26} {'published':>10}  {'within':<9}{'':<4}study"]
    for trial in trials:
        row, guess = trial.study, trial.predicted
        interval = f"{guess.value:.3g} ({guess.low:.3g} to {guess.high:.3g})"
        mark = "yes" if trial.inside else "NO"
        lines.append(
            f"{interval:>26} {row.published:>7.4g} {row.unit:<2}  {_tolerance(row):<9}{mark:<4}{row.study}: {row.what}"
        )
    inside = sum(trial.inside for trial in trials)
    lines.append(f"{inside} of {len(trials)} inside their tolerance; {len(trials) - inside} outside")
    return "\n".join(lines)


def _tolerance(study: Study) -> str:
    return f"± {study.slack:g}" if study.slack else f"x/÷ {study.tolerance:g}"
