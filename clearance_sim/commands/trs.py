"""The command ``clearance-sim trs``: a time release study from a log of events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from clearance_sim.trs import ColumnMap, Question, Study
    from clearance_sim.trs.figures import Estimate
    from clearance_sim.trs.study import Interval

_NEW_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_TITLES = {
    "arrival_to_release": "arrival → release",
    "lodgement_to_release": "lodgement → release",
    "arrival_to_lodgement": "arrival → lodgement",
    "release_to_gate_out": "release → gate-out",
}


@click.command("trs")
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--columns", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What its columns hold.")
@click.option("--by", "splits", default="", help="Split by channel, class, office, replication; several with commas.")
@click.option("--target", default="8h", show_default=True, help="Time to be released within, like 8h, 90min, 2d.")
@click.option("--peak", default="8-18", show_default=True, help="Peak hours of Monday to Friday, local time.")
@click.option("--zone", help="Time zone of the office, like Asia/Shanghai (default: as the log says, else UTC).")
@click.option("--seed", default=1, show_default=True, help="Of the bootstrap.")
@click.option("--resamples", default=1000, show_default=True, type=click.IntRange(100), help="Of the bootstrap.")
@click.option(
    "--json", "json_file", type=_NEW_FILE, help="Write all figures, for machines and the report; - is stdout."
)
@click.option("--export", type=_NEW_FILE, help="Also write the log for process mining: NAME.xes or NAME.jsonocel.")
def trs_command(
    log: Path,
    columns: Path | None,
    splits: str,
    target: str,
    peak: str,
    zone: str | None,
    seed: int,
    resamples: int,
    json_file: Path | None,
    export: Path | None,
) -> None:
    """Time release study from LOG: a trace of "run --trace", an export of "provenport trs --events", or any other.

    Four intervals with medians, quantiles and bootstrap intervals; open cases by Kaplan-Meier; where the time went.
    """
    # Pandas takes half a second to load, which no other command should wait for.
    from clearance_sim.trs import LogError, Question, read_column_map
    from clearance_sim.trs.column_map import MapError
    from clearance_sim.trs.figures import Resampling
    from clearance_sim.trs.study import hours_asked, splits_asked

    try:
        chosen = read_column_map(columns) if columns else None
        question = Question(hours_asked(target), splits_asked(splits), _peak(peak), Resampling(seed, resamples))
        found, read = _studied(log, chosen, zone, question, export)
    except LogError as error:
        raise click.ClickException("\n".join(f"{log}: {fault}" for fault in error.problems)) from None
    except (MapError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False)
    if json_file is not None and str(json_file) == "-":
        click.echo(text)
        return
    _show(found)
    if json_file is not None:
        json_file.write_text(text + "\n", encoding="utf-8")
        click.echo(f"\nWrote {json_file}. Next: clearance-sim report claim.json --trs {json_file}")
    if export is not None:
        click.echo(f"Wrote {read:,} events to {export}.")


def _studied(
    log: Path, columns: ColumnMap | None, zone: str | None, question: Question, export: Path | None
) -> tuple[Study, int]:
    from clearance_sim.trs import read_log, study
    from clearance_sim.trs.exchange import write

    read = read_log(log, columns, zone)
    found = study(read, question)
    if export is not None:
        write(read, export)
    return found, len(read.table)


def _peak(text: str) -> tuple[int, int]:
    begin, dash, end = text.partition("-")
    if dash and begin.isdigit() and end.isdigit() and 0 <= int(begin) < int(end) <= 24:
        return int(begin), int(end)
    raise ValueError(f"--peak {text!r} is no pair of hours: write it like 8-18")


def _show(found: Study) -> None:
    period = f"{found.first_event} to {found.last_event}"
    click.echo(f"{found.declarations:,} declarations, {found.events:,} events, {period}")
    click.echo(
        f"released {found.released:,} · still open {found.open:,} · ended otherwise {found.ended_otherwise:,} · "
        f"set aside {found.set_aside:,}"
    )
    for fault in found.findings:
        click.echo(f"  note: {fault}")
    _show_intervals(found)
    _show_stages(found)
    level = f"{found.question.resampling.level:.0%}"
    click.echo(
        f"\n[ ] {level} bootstrap by {found.resampled_by}, seed {found.question.resampling.seed}. "
        "Nothing extreme was removed."
    )


def _show_intervals(found: Study) -> None:
    target = f"≤ {found.question.target_hours:g} h"
    group = None
    for interval in found.intervals:
        if interval.group != group:
            group = interval.group
            click.echo(f"\n{group:<22}{'count':>9}{'mean':>26}{'median':>26}{'P90':>9}{'P95':>9}{target:>9}{'open':>7}")
        click.echo(_line(interval))


def _line(interval: Interval) -> str:
    title, figures = _TITLES[interval.name], interval.figures
    if figures is None:
        return f"{title:<22}{0:>9}"
    still_open = interval.survival.censored if interval.survival else 0
    return (
        f"{title:<22}{figures.count:>9,}{_with_interval(figures.mean):>26}{_with_interval(figures.median):>26}"
        f"{figures.p90.value:>9.2f}{figures.p95.value:>9.2f}{figures.within_target.value:>9.1%}{still_open:>7,}"
    )


def _with_interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f} h"
    return f"{estimate.value:.2f} h [{estimate.low:.2f}, {estimate.high:.2f}]"


def _show_stages(found: Study) -> None:
    if not found.stages:
        return
    click.echo(f"\n{'stage':<24}{'responsible':<14}{'cases':>9}{'mean h':>9}{'waiting':>9}{'P90':>9}{'per case':>10}")
    for stage in found.stages:
        waiting = "–" if stage.mean_waiting is None else f"{stage.mean_waiting:.2f}"
        click.echo(
            f"{stage.name:<24}{stage.party or '–':<14}{stage.cases:>9,}{stage.mean:>9.2f}{waiting:>9}"
            f"{stage.p90:>9.2f}{stage.per_case:>10.2f}"
        )
