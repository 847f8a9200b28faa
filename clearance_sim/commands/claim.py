"""`clearance-sim claim`: the study whether clearance falls from 72 hours to 8, and by which lever."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clearance_sim.claim.study import Question, effort
from clearance_sim.claim.study import study as run_study
from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.terminal import check_writable, is_interactive, write_document
from clearance_sim.messages import LANGUAGES, Message, _, language, text_in
from clearance_sim.procedure.levers import letters_of
from clearance_sim.procedure.measured import ASSUMED, MeasuredError, read_measured
from clearance_sim.procedure.simulation import Laboratory


@click.command(
    cls=LocalisedCommand,
    name="claim",
    short_help="Study whether 72 h becomes 8 h: arms, levers, shares, frontier, verdict.",
)
@click.option("--quick", is_flag=True, help="Everything with few replications: seconds, and wide intervals.")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the whole study here.")
@click.option(
    "--measured",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A probe's file: the machine's part as measured on a running Provenport.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="The same seed, the same study.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, type=click.IntRange(1), help="Threads.")
@click.option(
    "--from", "from_h", default=72.0, show_default=True, type=click.FloatRange(1), help="Claimed before, in hours."
)
@click.option(
    "--to", "to_h", default=8.0, show_default=True, type=click.FloatRange(0.1), help="Claimed after, in hours."
)
@click.option(
    "--language", default=language, type=click.Choice(LANGUAGES), help="Of what is printed (default: the system's)."
)
def claim_command(
    quick: bool,
    out: Path | None,
    measured: Path | None,
    seed: int,
    workers: int,
    from_h: float,
    to_h: float,
    language: str,
) -> None:
    """Run the study of the claim that shared verified records bring clearance from 72 hours to 8.

    Every set of six levers is simulated with the same consignments, on two clocks, in two contexts. The verdict is
    built from the results; it is printed, and with --json written with everything it rests on.
    """
    check_writable(out)
    try:
        machine = ASSUMED if measured is None else read_measured(measured)
    except MeasuredError as fault:
        raise click.ClickException(str(fault)) from fault
    laboratory = Laboratory(machine=machine)
    document = run_study(effort(quick, seed, workers, laboratory), Question(from_h, to_h), _progress_printer())
    if out is not None:
        write_document(out, json.dumps(document, ensure_ascii=False, indent=1))
    for line in summary_lines(document, language):
        click.echo(line)
    if out is not None:
        click.echo(_("written to {file}", file=out))


def _progress_printer() -> Callable[[str, int, int], None]:
    if not is_interactive():
        return lambda *_progress: None

    def print_progress(part: str, done: int, of: int) -> None:
        line = str(_("{part}: {done} of {total}", part=part, done=done, total=of))
        click.echo(f"\r{line}".ljust(70), nl=done == of, err=True)

    return print_progress


_OUTCOMES = {
    "holds": _("holds"),
    "holds as median": _("holds as median"),
    "does not hold": _("does not hold"),
    "indeterminate": _("cannot tell"),
}


def summary_lines(document: dict[str, Any], language: str) -> list[str]:
    """Return the headline of the study as lines."""
    lines = []
    for context in document["contexts"]:
        lines += [f"== {text_in(context['title'], language)}", text_in(context["remark"], language), ""]
        for clock, verdict in context["verdicts"].items():
            lines += [
                f"[{clock}] {_OUTCOMES[verdict['outcome']].in_language(language)}",
                *(f"  {text_in(part, language)}" for part in verdict["parts"]),
                "",
            ]
        lines += [text_in(context["frontier"]["bound"], language), "", *_shares(context, language), ""]
    lines += [text_in(remark, language) for remark in document["consistency"]]
    return [*lines, *(message.in_language(language) for message in _footer(document))]


def _footer(document: dict[str, Any]) -> list[Message]:
    trials, machine = document["validation"], document["measured"]["source"]
    inside = sum(trial["inside"] for trial in trials)
    seconds, cpu = document["made"]["wall_seconds"], document["made"]["cpu_seconds"]
    source = (
        _("an assumption (give --measured)") if machine == "assumption" else _("measured, {source}", source=machine)
    )
    return [
        _(
            "Published studies: {inside} of {count} inside their tolerance, {outside} outside.",
            inside=inside,
            count=len(trials),
            outside=len(trials) - inside,
        ),
        _(
            "Machine's part: {source}. Wall time {seconds:g} s, processor {cpu:g} s ({parts}).",
            source=source,
            seconds=seconds["total"],
            cpu=cpu,
            parts=", ".join(f"{name} {value:g} s" for name, value in seconds.items() if name != "total"),
        ),
    ]


def _shares(context: dict[str, Any], language: str) -> list[str]:
    found = context["attribution"][0]
    lines = [_("Shapley share of the hours saved (mean, arrival → release):").in_language(language)]
    for row in sorted(found["levers"], key=lambda row: -row["shapley"]["value"]):
        share = row["shapley_percent"]
        bounds = f"({share['low']:.1f} to {share['high']:.1f})"
        title = text_in(row["title"], language)
        lines.append(f"  {letters_of([row['lever']])} {share['value']:5.1f} % {bounds:<16} {title}")
    return lines
