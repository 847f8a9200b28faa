"""`clearance-sim check`: is this scenario sound?"""

import json

import click

from clearance_sim.commands.files import faults_as_json, opened, refuse
from clearance_sim.scenario.checks import loads_of
from clearance_sim.scenario.errors import ScenarioError


@click.command()
@click.argument("scenario")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a number first.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def command(scenario: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Check a scenario without running it, and show the load of each station."""
    try:
        read = opened(scenario, changes)
    except ScenarioError as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "errors": faults_as_json(error)}, ensure_ascii=False))
            raise SystemExit(1) from None
        refuse(error)
        raise
    loads = loads_of(read)
    if as_json:
        click.echo(json.dumps({"ok": True, "errors": [], "loads": loads}))
        return
    click.echo(f"{scenario} is sound. Offered load (work brought over officers on duty):")
    for name, load in loads.items():
        click.echo(f"  {name:<24}{'unlimited' if load == 0 else format(load, '.3f')}")
    click.echo(f"Next: clearance-sim run {scenario}")
