"""`clearance-sim customs`, `parameters`, `calibrate` and `validate-studies`: the customs model and its fit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from clearance_sim.analysis.estimate import Interval
from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.terminal import check_writable, echo_document, write_document
from clearance_sim.messages import SOURCE_LANGUAGE, Message, _
from clearance_sim.procedure.calibration import Calibration, calibrate, write_calibrated
from clearance_sim.procedure.context import Context, ContextError, Parameter, context, contexts, parameters
from clearance_sim.procedure.levers import ARMS, LEVERS, Arm
from clearance_sim.procedure.measured import ASSUMED, MachinePart
from clearance_sim.procedure.network import OWNERS, TITLES, network
from clearance_sim.procedure.simulation import Laboratory
from clearance_sim.procedure.studies import Study, StudyError, Trial, packaged_studies, read_studies, try_studies


@click.command(
    cls=LocalisedCommand,
    name="customs",
    short_help="Write a customs scenario as a TOML file: context, arm, levers, parameters.",
)
@click.option("--context", "name", default="general-import", show_default=True, help="One of the packaged contexts.")
@click.option("--arm", "arm_name", default="paper", show_default=True, type=click.Choice([a.name for a in ARMS]))
@click.option(
    "--lever",
    "pulls",
    multiple=True,
    metavar="LEVER=STRENGTH",
    help=f"Move one of {', '.join(LEVERS)}, 0 to 1. Repeat it.",
)
@click.option("--set", "numbers", multiple=True, metavar="PARAMETER=VALUE", help="Change a parameter. Repeat it.")
@click.option("--officer-hours", help="Desk and yard: 'Mon-Fri 08:30-17:00', or 24x7.")
@click.option("--packaged", is_flag=True, help="Rewrite the packaged customs scenarios (after a new calibration).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of printing.")
def customs_command(
    name: str,
    arm_name: str,
    pulls: tuple[str, ...],
    numbers: tuple[str, ...],
    officer_hours: str | None,
    packaged: bool,
    out: Path | None,
) -> None:
    """Write one arm of the customs model with calibrated numbers, for `clearance-sim run` and for you to change."""
    if packaged:
        for path in _rewritten():
            click.echo(_("Written to {path}", path=path))
        return
    try:
        here = context(name).having(_numbers(numbers), "set by hand")
        if officer_hours is not None:
            here = replace(here, desk_hours=officer_hours, yard_hours=officer_hours)
        arm = _arm(arm_name, pulls)
        text = scenario_text(here, arm)
    except ValueError as fault:
        raise click.ClickException(str(fault)) from fault
    if out is None:
        echo_document(text)
        return
    write_document(out, text)
    click.echo(_("Written to {out}; try: clearance-sim run {out}", out=out))


def _rewritten() -> list[Path]:
    folder = Path(str(files("clearance_sim") / "scenarios"))
    paths = []
    for name in contexts():
        for arm in ARMS[:3]:
            paths.append(folder / f"{name}-{arm.name}.toml")
            paths[-1].write_text(scenario_text(context(name), arm), encoding="utf-8")
    return paths


def _numbers(pairs: tuple[str, ...]) -> dict[str, float]:
    return {name: float(value) for name, value in (_split(pair) for pair in pairs)}


def _split(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise ContextError(_("{pair!r} is not like NAME=VALUE", pair=pair))
    return name.strip(), value.strip()


def _arm(name: str, pulls: tuple[str, ...]) -> Arm:
    arm = next(each for each in ARMS if each.name == name)
    moved = _numbers(pulls)
    for lever, strength in moved.items():
        if lever not in LEVERS or not 0 <= strength <= 1:
            raise ContextError(
                _(
                    "lever {lever}={strength:g}: levers are {names}, each from 0 to 1",
                    lever=lever,
                    strength=strength,
                    names=", ".join(LEVERS),
                )
            )
    return replace(arm, levers=arm.levers.but(**moved)) if moved else arm


@click.command(
    cls=LocalisedCommand, name="parameters", short_help="List the customs model's numbers with range and source."
)
@click.option("--context", "name", help="The numbers of one of the packaged contexts.")
@click.option("--markdown", is_flag=True, help="As a table for documents.")
def parameters_command(name: str | None, markdown: bool) -> None:
    """Every number of the customs model: value, range, unit, how it is known, source."""
    try:
        here = context(name) if name else None
    except ContextError as fault:
        raise click.ClickException(f"{fault} ({', '.join(contexts())})") from fault
    click.echo(markdown_parameters(here) if markdown else _plain_table(here))


def markdown_parameters(here: Context | None = None) -> str:
    """Return the parameters as a Markdown table, with a context's values if one is given."""
    heads = (_("parameter"), _("value"), _("range"), _("unit"), _("known"), _("source"))
    lines = [f"| {' | '.join(map(str, heads))} |", "|---|---|---|---|---|---|"]
    for row in parameters().values():
        value, source = _of(row, here)
        span = _("{low:g} to {high:g}", low=row.low, high=row.high) if row.varies else ""
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


@click.command(cls=LocalisedCommand, name="calibrate", short_help="Fit the customs model to published statistics.")
@click.option("--replications", default=12, show_default=True, type=click.IntRange(2), help="Replications of each run.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed of the fit.")
@click.option("--write", is_flag=True, help="Keep the fitted parameters in the package's data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def calibrate_command(replications: int, seed: int, write: bool, as_json: bool) -> None:
    """Fit the customs model to published statistics, and show how well it fits."""
    start = time.perf_counter()
    path = Path(str(files("clearance_sim.procedure") / "data" / "calibrated.toml"))
    check_writable(path if write else None)
    laboratory = Laboratory(replications=replications, seed=seed)
    found = calibrate(laboratory, log=lambda line: None if as_json else click.echo(f"  {line}"))
    if write:
        write_calibrated(found, path)
    if as_json:
        echo_document(json.dumps(_document(found), ensure_ascii=False, indent=1))
        return
    _show(found)
    seconds = time.perf_counter() - start
    if write:
        click.echo(_("{seconds:.1f} s; written to {path}", seconds=seconds, path=path))
    else:
        click.echo(_("{seconds:.1f} s; --write keeps them", seconds=seconds))


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
        _(
            "shape of a total (shifted log-normal, Nhava Sheva 2018): floor {floor:.1f} h, log-sd "
            "{sigma:.2f}, median {median:.1f} h, mean {mean:.1f} h",
            floor=shape.floor,
            sigma=shape.sigma,
            median=shape.median,
            mean=shape.mean,
        )
    )
    for layer, values in found.layers.items():
        click.echo(f"{layer}: " + ", ".join(f"{name} = {value:g}" for name, value in values.items()))
    click.echo(f"{_('published'):>10} {_('fitted'):>8} {_('simulated (95 %)'):>28}  {_('figure')}")
    for fit in found.fits:
        row, simulated = fit.published, fit.simulated
        interval = _interval(simulated)
        click.echo(f"{row.value:>10.4g} {fit.fitted:>8.4g} {interval:>28}  {row.study}: {row.figure} [{row.known}]")


@click.command(cls=LocalisedCommand, name="validate-studies", short_help="Try the customs model on published studies.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--replications", default=12, show_default=True, type=click.IntRange(2), help="Replications of each study."
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--markdown", is_flag=True, help="Print a table for documents.")
@click.option("--example", is_flag=True, help="Print the packaged studies, as a file to start from.")
def validate_studies_command(
    file: Path | None, replications: int, seed: int, as_json: bool, markdown: bool, example: bool
) -> None:
    """Predict published clearance times that the model was not calibrated on.

    FILE holds [[study]] rows: a context, its levers, the published figure and a tolerance. Without it, the packaged
    studies are tried. Ends with 0 whatever the outcome: a study outside its tolerance is a finding.
    """
    if example:
        from importlib.resources import files

        echo_document((files("clearance_sim.procedure") / "data" / "studies.toml").read_text(encoding="utf-8"))
        return
    try:
        studies = packaged_studies() if file is None else read_studies(file.read_text(encoding="utf-8"), str(file))
    except (StudyError, UnicodeDecodeError) as fault:
        raise click.ClickException(str(fault)) from fault
    trials = try_studies(studies, Laboratory(replications=replications, seed=seed))
    if as_json:
        echo_document(json.dumps([trial.to_json() for trial in trials], ensure_ascii=False, indent=1))
        return
    click.echo(markdown_studies(trials) if markdown else plain_studies(trials))


def plain_studies(trials: Sequence[Trial]) -> str:
    """Return the trials as a text table. Those outside their tolerance are marked."""
    head = f"{_('predicted (95 %)'):>26} {_('published'):>10}  {_('within'):<9}{'':<4}{_('study')}"
    lines = [head]
    for trial in trials:
        row, mark = trial.study, _("yes") if trial.inside else _("NO")
        lines.append(
            f"{_interval(trial.predicted):>26} {row.published:>7.4g} {row.unit:<2}  {_tolerance(row):<9}{mark:<4}"
            f"{row.study}: {row.what}"
        )
    inside = sum(trial.inside for trial in trials)
    values = {"inside": inside, "count": len(trials), "outside": len(trials) - inside}
    lines.append(str(_("{inside} of {count} inside their tolerance; {outside} outside", **values)))
    return "\n".join(lines)


def markdown_studies(trials: Sequence[Trial]) -> str:
    """Return the trials as a Markdown table."""
    heads = (_("study"), _("figure"), _("published"), _("predicted (95 %)"), _("tolerance"), _("inside"))
    lines = [f"| {' | '.join(map(str, heads))} |", "|---|---|---|---|---|---|"]
    for trial in trials:
        row, mark = trial.study, _("yes") if trial.inside else _("**no**")
        lines.append(
            f"| {row.study} | {row.what} | {row.published:g} {row.unit} | {_interval(trial.predicted)} | "
            f"{_tolerance(row)} | {mark} |"
        )
    return "\n".join(lines)


def _interval(figure: Interval) -> Message:
    return _(
        "{value} ({low} to {high})", value=f"{figure.value:.3g}", low=f"{figure.low:.3g}", high=f"{figure.high:.3g}"
    )


def _tolerance(study: Study) -> str:
    return f"± {study.slack:g}" if study.slack else f"x/÷ {study.tolerance:g}"


# The scenario as a TOML file that people can read and change

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def scenario_text(context: Context, arm: Arm, machine: MachinePart = ASSUMED) -> str:
    """Return the TOML text of one arm in one context, with a source for every number."""
    noted = replace(context, annotated=True)
    table = network(noted, arm.levers, machine, name=f"{context.name}-{arm.name}")
    table["title"] = _("{context}: {arm}", context=context.title, arm=arm.title).in_all_languages()
    table["stations"] = {station: _annotated(station, values) for station, values in table["stations"].items()}
    pulled = ", ".join(f"{name} = {strength:g}" for name, strength in arm.levers.to_json().items() if strength)
    head = [
        f"# {context.title[SOURCE_LANGUAGE]}; {arm.title.in_language(SOURCE_LANGUAGE)}.",
        f"# Written by `clearance-sim customs`; levers: {pulled or 'none'}.",
        "# Hours of the stations with a calendar count only while it is open.",
    ]
    return "\n".join([*head, "", *_table(table, ()), ""])


def _annotated(station: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a station with its title and the party whose time it is."""
    party = {"party": OWNERS[station]} if station in OWNERS else {}
    return {"title": TITLES[station].in_all_languages(), **party, **values}


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Return the lines of a table, its plain values first and inner tables after them, as TOML requires."""
    lines: list[str] = []
    inner: list[str] = []
    for key, value in table.items():
        if isinstance(value, Mapping) and not _is_inline((*path, key)):
            inside = _table(value, (*path, key))
            head = f"[{'.'.join(_key(step) for step in (*path, key))}]"
            inner += inside if inside[:1] == [""] else ["", head, *inside]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return [*lines, *inner]


def _is_inline(path: tuple[str, ...]) -> bool:
    """Tell whether a table is written on one line: distributions, ways and quantities.

    Stations and tables by class are not.
    """
    if path[-1] in ("title", "description"):
        return True
    deep = 3 if path[-1] in ("next_by_class", "service_by_class") else 2
    return len(path) > deep or (path[0] == "classes" and len(path) == 2)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(round(value, 9))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }" if value else "{}"
        )
    assert isinstance(value, Sequence)
    if len(value) == 1 and isinstance(value[0], Mapping) and set(value[0]) == {"to"}:
        return _value(value[0]["to"])
    if value and isinstance(value[0], Mapping):
        return "[\n" + "".join(f"    {_value(each)},\n" for each in value) + "]"
    return "[" + ", ".join(_value(each) for each in value) + "]"


def _key(key: str) -> str:
    return key if key and set(key) <= _BARE else json.dumps(key, ensure_ascii=False)
