"""`clearance-sim customs` writes a customs scenario; `clearance-sim parameters` lists the model's numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from clearance_sim.procedure.context import Context, ContextError, context, contexts
from clearance_sim.procedure.levers import ARMS, ORDER, Arm
from clearance_sim.procedure.parameters import Parameter, parameters
from clearance_sim.procedure.writing import scenario_text


@click.command(short_help="Write a customs scenario as a TOML file: context, arm, levers, parameters.")
@click.option("--context", "name", default="general-import", show_default=True, help="One of the packaged contexts.")
@click.option("--arm", "arm_name", default="paper", show_default=True, type=click.Choice([a.name for a in ARMS]))
@click.option(
    "--lever", "pulls", multiple=True, metavar="LETTER=STRENGTH", help=f"Move one of {ORDER}, 0 to 1. Repeat it."
)
@click.option("--set", "numbers", multiple=True, metavar="PARAMETER=VALUE", help="Change a parameter. Repeat it.")
@click.option("--officer-hours", help="Desk and yard: 'Mon-Fri 08:30-17:00', or 24x7.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of printing.")
def customs(
    name: str,
    arm_name: str,
    pulls: tuple[str, ...],
    numbers: tuple[str, ...],
    officer_hours: str | None,
    out: Path | None,
) -> None:
    """Write one arm of the customs model with calibrated numbers, for `clearance-sim run` and for you to change."""
    try:
        here = context(name).but("set by hand", **_numbers(numbers))
        if officer_hours is not None:
            here = replace(here, desk_hours=officer_hours, yard_hours=officer_hours)
        arm = _arm(arm_name, pulls)
        text = scenario_text(here, arm)
    except ValueError as fault:
        raise click.ClickException(str(fault)) from fault
    if out is None:
        click.echo(text)
        return
    out.write_text(text, encoding="utf-8")
    click.echo(f"Written to {out}; try: clearance-sim run {out}")


def _numbers(pairs: tuple[str, ...]) -> dict[str, float]:
    return {name: float(value) for name, value in (_split(pair) for pair in pairs)}


def _split(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise ContextError(f"{pair!r} is not like NAME=VALUE")
    return name.strip(), value.strip()


def _arm(name: str, pulls: tuple[str, ...]) -> Arm:
    arm = next(each for each in ARMS if each.name == name)
    moved = _numbers(pulls)
    for letter, strength in moved.items():
        if letter not in ORDER or not 0 <= strength <= 1:
            raise ContextError(f"lever {letter}={strength:g}: levers are {', '.join(ORDER)}, each from 0 to 1")
    return replace(arm, levers=arm.levers.but(**moved)) if moved else arm


@click.command("parameters", short_help="List the customs model's numbers with range and source.")
@click.option("--context", "name", help="The numbers of one of the packaged contexts.")
@click.option("--markdown", is_flag=True, help="As a table for documents.")
def list_parameters(name: str | None, markdown: bool) -> None:
    """Every number of the customs model: value, range, unit, how it is known, source."""
    try:
        here = context(name) if name else None
    except ContextError as fault:
        raise click.ClickException(f"{fault} ({', '.join(contexts())})") from fault
    click.echo(markdown_table(here) if markdown else _plain_table(here))


def markdown_table(here: Context | None = None) -> str:
    """The parameters as a Markdown table."""
    lines = ["| parameter | value | range | unit | known | source |", "|---|---|---|---|---|---|"]
    for row in parameters().values():
        value, source = _of(row, here)
        span = f"{row.low:g} to {row.high:g}" if row.varies else ""
        lines.append(f"| `{row.name}` | {value:g} | {span} | {row.unit} | {row.known} | {source} |")
    return "\n".join(lines)


def _plain_table(here: Context | None) -> str:
    lines = []
    for row in parameters().values():
        value, source = _of(row, here)
        span = f"[{row.low:g}, {row.high:g}]" if row.varies else ""
        lines.append(f"{row.name:<30} {value:>8g} {row.unit:<13} {span:<14} {row.known:<11} {source}")
    return "\n".join(lines)


def _of(row: Parameter, here: Context | None) -> tuple[float, str]:
    return (row.value, row.source) if here is None else (here[row.name], here.sources.get(row.name, row.source))
