"""`clearance-sim schema`: the JSON Schema of scenario files."""

import json

import click

from clearance_sim.scenario.reading import schema


@click.command()
def command() -> None:
    """Print the JSON Schema of scenario files, for editors and programs."""
    click.echo(json.dumps(schema(), indent=1, ensure_ascii=False))
