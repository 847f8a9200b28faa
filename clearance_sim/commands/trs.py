"""The command ``clearance-sim trs``: a time release study of an event log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.terminal import check_writable, console, echo_document, print_table, write_document
from clearance_sim.messages import _, pgettext

if TYPE_CHECKING:
    from clearance_sim.trs import ColumnMap, Question, Study
    from clearance_sim.trs.figures import Estimate
    from clearance_sim.trs.study import Interval

_NEW_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_TITLES = {
    "arrival_to_release": _("arrival → release"),
    "lodgement_to_release": _("lodgement → release"),
    "arrival_to_lodgement": _("arrival → lodgement"),
    "release_to_gate_out": _("release → gate-out"),
}


@click.command(cls=LocalisedCommand, name="trs")
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--columns", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What its columns hold.")
@click.option("--by", "splits", default="", help="Split by channel, class, office, replication; several with commas.")
@click.option("--target", default="8h", show_default=True, help="Time to be released within, like 8h, 90min, 2d.")
@click.option("--peak", default="8-18", show_default=True, help="Peak hours of Monday to Friday, local time.")
@click.option("--encoding", help="What LOG is written in, like gb18030 or cp1252 (default: found out, and told).")
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
    encoding: str | None,
    zone: str | None,
    seed: int,
    resamples: int,
    json_file: Path | None,
    export: Path | None,
) -> None:
    """Time release study from LOG: a trace of "run --trace", an export of "provenport trs --events", or any other.

    LOG is CSV, XES or Parquet.

    Four intervals with medians, quantiles and bootstrap intervals; open cases by Kaplan-Meier; where the time went.
    """
    # Pandas takes half a second to load, which no other command should wait for.
    from clearance_sim.trs import LogError, Question, read_column_map
    from clearance_sim.trs.column_map import MapError
    from clearance_sim.trs.figures import Resampling
    from clearance_sim.trs.study import hours_asked, splits_asked

    check_writable(json_file, export)
    try:
        chosen = read_column_map(columns, of_xes=_is_xes(log)) if columns else None
        question = Question(hours_asked(target), splits_asked(splits), _peak(peak), Resampling(seed, resamples))
        found, read = _studied(log, chosen, zone, encoding, question, export)
    except LogError as error:
        raise click.ClickException("\n".join(f"{log}: {fault}" for fault in error.problems)) from None
    except (MapError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False)
    if json_file is not None and str(json_file) == "-":
        echo_document(text)
        return
    _show(found)
    if json_file is not None:
        write_document(json_file, text + "\n")
        click.echo()
        click.echo(_("Wrote {file}. Next: clearance-sim report claim.json --trs {file}", file=json_file))
    if export is not None:
        click.echo(_("Wrote {read:,} events to {export}.", read=read, export=export))


def _studied(
    log: Path, columns: ColumnMap | None, zone: str | None, encoding: str | None, question: Question,
    export: Path | None,
) -> tuple[Study, int]:  # fmt: skip
    from clearance_sim.trs import read_log, study
    from clearance_sim.trs.exchange import write

    read = read_log(log, columns, zone, encoding)
    found = study(read, question)
    if export is not None:
        write(read, export)
    return found, len(read.table)


def _is_xes(log: Path) -> bool:
    from clearance_sim.trs.exchange import is_xes

    with log.open("rb") as file:
        return is_xes(log, file.read(64))


def _peak(text: str) -> tuple[int, int]:
    begin, dash, end = text.partition("-")
    if dash and begin.isdigit() and end.isdigit() and 0 <= int(begin) < int(end) <= 24:
        return int(begin), int(end)
    raise ValueError(_("--peak {text!r} is no pair of hours: write it like 8-18", text=text))


def _show(found: Study) -> None:
    click.echo(
        _(
            "{declarations:,} declarations, {events:,} events, {first} to {last}",
            declarations=found.declarations,
            events=found.events,
            first=found.first_event,
            last=found.last_event,
        )
    )
    click.echo(
        _(
            "released {released:,} · still open {open:,} · ended otherwise {ended:,} · set aside {aside:,}",
            released=found.released,
            open=found.open,
            ended=found.ended_otherwise,
            aside=found.set_aside,
        )
    )
    for problem in found.findings:
        click.echo(f"  {_('note: {problem}', problem=problem)}")
    _show_intervals(found)
    _show_stages(found)
    click.echo()
    click.echo(
        _(
            "[ ] {level:.0%} bootstrap by {unit}, seed {seed}. Nothing extreme was removed.",
            level=found.question.resampling.level,
            unit=_UNITS[found.resampled_by],
            seed=found.question.resampling.seed,
        )
    )


_UNITS = {"day": _("day"), "replication": _("replication"), "declaration": _("declaration")}


def _show_intervals(found: Study) -> None:
    for group in dict.fromkeys(interval.group for interval in found.intervals):
        heads = (
            *map(str, (_("count"), _("mean"), _("median"), _("P90"), _("P95"))),
            f"≤ {found.question.target_hours:g} h",
            str(_("open")),
        )
        table = _table(group, *heads)
        for interval in found.intervals:
            if interval.group == group:
                table.add_row(*_cells(interval))
        click.echo()
        print_table(table, console())


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    return table


def _cells(interval: Interval) -> tuple[str, ...]:
    title, figures = str(_TITLES[interval.name]), interval.figures
    if figures is None:
        return (title, "0", *[""] * 6)
    still_open = interval.survival.censored if interval.survival else 0
    return (
        title,
        f"{figures.count:,}",
        _with_interval(figures.mean),
        _with_interval(figures.median),
        f"{figures.p90.value:.2f}",
        f"{figures.p95.value:.2f}",
        f"{figures.within_target.value:.1%}",
        f"{still_open:,}",
    )


def _with_interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f} h"
    return f"{estimate.value:.2f} h [{estimate.low:.2f}, {estimate.high:.2f}]"


def _show_stages(found: Study) -> None:
    if not found.stages:
        return
    heads = (
        _("stage"), _("responsible"), pgettext("number", "cases"), _("mean h"), _("waiting"), _("P90"), _("per case"),
    )  # fmt: skip
    table = _table(*map(str, heads))
    table.columns[1].justify = "left"
    for stage in found.stages:
        waiting = "–" if stage.mean_waiting is None else f"{stage.mean_waiting:.2f}"
        figures = (f"{stage.cases:,}", f"{stage.mean:.2f}", waiting, f"{stage.p90:.2f}", f"{stage.per_case:.2f}")
        table.add_row(stage.name, stage.party or "–", *figures)
    click.echo()
    print_table(table, console())
