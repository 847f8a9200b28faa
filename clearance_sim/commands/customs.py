"""`clearance-sim customs`: write a customs scenario."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from clearance_sim.procedure.context import ContextError, context
from clearance_sim.procedure.levers import ARMS, ORDER, Arm
from clearance_sim.procedure.writing import scenario_text


@click.command("customs", short_help="Write a customs scenario as a TOML file: context, arm, levers, parameters.")
@click.option("--context", "name", default="general-import", show_default=True, help="One of the packaged contexts.")
@click.option("--arm", "arm_name", default="paper", show_default=True, type=click.Choice([a.name for a in ARMS]))
@click.option(
    "--lever", "pulls", multiple=True, metavar="LETTER=STRENGTH", help=f"Move one of {ORDER}, 0 to 1. Repeat it."
)
@click.option("--set", "numbers", multiple=True, metavar="PARAMETER=VALUE", help="Change a parameter. Repeat it.")
@click.option("--officer-hours", help="Desk and yard: 'Mon-Fri 08:30-17:00', or 24x7.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of printing.")
def command(
    name: str,
    arm_name: str,
    pulls: tuple[str, ...],
    numbers: tuple[str, ...],
    officer_hours: str | None,
    out: Path | None,
) -> None:
    """Write one arm of the customs model with calibrated numbers, for `clearance-sim run` and for you to change."""
    try:
        here = context(name).having(_numbers(numbers), "set by hand")
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
