"""`clearance-sim warm-up-cache`: compile now rather than in the first run."""

import time

import click

from clearance_sim.commands.files import opened
from clearance_sim.execution.running import run


@click.command()
def command() -> None:
    """Compile the engine for this machine, so that the next run starts at once (about a minute, once)."""
    begun = time.perf_counter()
    # The loop is compiled for plain scenarios and for all.
    for name in ("six-stations", "office"):
        run(opened(name, ("run.declarations=100", "run.warm_up_declarations=0")), replications=1, workers=1)
    click.echo(f"The engine is compiled ({time.perf_counter() - begun:.1f} s). Next: clearance-sim scenarios")
