"""`clearance-sim scenarios`, `check` and `schema`: list packaged scenarios, and check a file."""

import json
from typing import Any

import click

from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.files import faults_as_json, opened, packaged, parameters, refuse
from clearance_sim.commands.terminal import echo_document
from clearance_sim.messages import LANGUAGES, _, language, text_in
from clearance_sim.scenario import ScenarioError
from clearance_sim.scenario.checks import loads_of
from clearance_sim.scenario.loader import schema
from clearance_sim.scenario.model import Scenario


@click.command(cls=LocalisedCommand)
@click.argument("files", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="With the numbers that may be turned, as JSON.")
@click.option("--show", metavar="NAME", help="Print the file of a packaged scenario, to copy and change.")
def scenarios_command(files: tuple[str, ...], as_json: bool, show: str | None) -> None:
    """List the packaged scenarios (or describe FILES)."""
    if show is not None:
        texts = packaged()
        if show not in texts:
            raise click.UsageError(
                str(_("there is no scenario {show}; there are {texts}", show=show, texts=", ".join(texts)))
            )
        echo_document(texts[show], end="")
        return
    try:
        found = {name: opened(name) for name in files or packaged()}
    except ScenarioError as error:
        refuse(error, as_json)
        raise
    if as_json:
        echo_document(json.dumps([_described(name, s) for name, s in found.items()], ensure_ascii=False, indent=1))
        return
    for name, scenario in found.items():
        click.echo(f"  {name:<24}{text_in(scenario.title, language())}")
    first = next(iter(found), "NAME")
    click.echo(_("Next: clearance-sim run {first}, or clearance-sim scenarios --show {first} > mine.toml", first=first))


def _described(name: str, scenario: Scenario) -> dict[str, Any]:
    title, summary = scenario.title, scenario.description
    return {
        "name": name,
        "title": title or dict.fromkeys(LANGUAGES, name),
        "summary": summary or dict.fromkeys(LANGUAGES, ""),
        "parameters": parameters(scenario),
    }


@click.command(cls=LocalisedCommand)
@click.argument("scenario")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a number first.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def check_command(scenario: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Check a scenario without running it, and show the load of each station."""
    try:
        read = opened(scenario, changes)
    except ScenarioError as error:
        if as_json:
            echo_document(json.dumps({"ok": False, "errors": faults_as_json(error)}, ensure_ascii=False))
            raise SystemExit(1) from None
        refuse(error)
        raise
    loads = loads_of(read)
    if as_json:
        click.echo(json.dumps({"ok": True, "errors": [], "loads": loads}))
        return
    click.echo(_("{scenario} is sound. Offered load (work brought over officers on duty):", scenario=scenario))
    for name, load in loads.items():
        click.echo(f"  {name:<24}{_('unlimited') if load == 0 else format(load, '.3f')}")
    click.echo(_("Next: clearance-sim run {scenario}", scenario=scenario))


@click.command(cls=LocalisedCommand)
def schema_command() -> None:
    """Print the JSON Schema of scenario files, for editors and programs."""
    echo_document(json.dumps(schema(), indent=1, ensure_ascii=False))
