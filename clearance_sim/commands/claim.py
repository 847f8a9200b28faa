"""`clearance-sim claim`: does clearance fall from 72 hours to 8, and through what?"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from clearance_sim.claim.study import Question, effort
from clearance_sim.claim.study import study as run_study
from clearance_sim.procedure.levers import letters_of
from clearance_sim.procedure.measured import ASSUMED, MeasuredError, read_measured
from clearance_sim.procedure.simulation import Laboratory


@click.command("claim", short_help="Study whether 72 h becomes 8 h: arms, levers, shares, frontier, verdict.")
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
    "--language", default="en", show_default=True, type=click.Choice(["en", "zh"]), help="Of what is printed."
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
    try:
        machine = ASSUMED if measured is None else read_measured(measured)
    except MeasuredError as fault:
        raise click.ClickException(str(fault)) from fault
    laboratory = Laboratory(machine=machine)
    document = run_study(effort(quick, seed, workers, laboratory), Question(from_h, to_h), _progress_printer())
    if out is not None:
        out.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    for line in summary_lines(document, language):
        click.echo(line)
    if out is not None:
        click.echo(f"{'written to' if language == 'en' else '已写入'} {out}")


def _progress_printer() -> Any:
    if not sys.stderr.isatty():
        return lambda *_: None

    def print_progress(part: str, done: int, of: int) -> None:
        click.echo(f"\r{part}: {done} of {of}".ljust(70), nl=done == of, err=True)

    return print_progress


def summary_lines(document: dict[str, Any], language: str) -> list[str]:
    """The study's headline as lines."""
    lines = []
    for context in document["contexts"]:
        lines += [f"== {context['title'][language]}", context["remark"][language], ""]
        for clock, verdict in context["verdicts"].items():
            lines += [
                f"[{clock}] {_outcome(verdict['outcome'], language)}",
                *(f"  {part[language]}" for part in verdict["parts"]),
                "",
            ]
        lines += [context["frontier"]["bound"][language], "", *_shares(context, language), ""]
    lines += [remark[language] for remark in document["consistency"]]
    trials = document["validation"]
    inside = sum(trial["inside"] for trial in trials)
    machine = document["measured"]["source"]
    seconds, cpu = document["made"]["wall_seconds"], document["made"]["cpu_seconds"]
    parts = ", ".join(f"{name} {value:g} s" for name, value in seconds.items() if name != "total")
    if language == "zh":
        lines.append(f"与已发表研究对比：{len(trials)} 项中 {inside} 项在容差内，{len(trials) - inside} 项不在。")
        source = "假设" if machine == "assumption" else machine
        lines.append(f"机器环节：{source}。用时 {seconds['total']:g} 秒，处理器 {cpu:g} 秒（{parts}）。")
    else:
        lines.append(
            f"Published studies: {inside} of {len(trials)} inside their tolerance, {len(trials) - inside} outside."
        )
        source = "an assumption (give --measured)" if machine == "assumption" else f"measured, {machine}"
        lines.append(f"Machine's part: {source}. Wall time {seconds['total']:g} s, processor {cpu:g} s ({parts}).")
    return lines


def _outcome(outcome: str, language: str) -> str:
    chinese = {
        "holds": "成立",
        "holds as median": "仅中位数成立",
        "does not hold": "不成立",
        "indeterminate": "无法判断",
    }
    return chinese[outcome] if language == "zh" else {"indeterminate": "cannot tell"}.get(outcome, outcome)


def _shares(context: dict[str, Any], language: str) -> list[str]:
    found = context["attribution"][0]
    head = "Shapley share of the hours saved (mean, arrival → release):"
    lines = [head if language == "en" else "各措施对平均节省时间的夏普利份额（到港至放行）："]
    for row in sorted(found["levers"], key=lambda row: -row["shapley"]["value"]):
        share = row["shapley_percent"]
        bounds = f"({share['low']:.1f} to {share['high']:.1f})"
        lines.append(f"  {letters_of([row['lever']])} {share['value']:5.1f} % {bounds:<16} {row['title'][language]}")
    return lines
