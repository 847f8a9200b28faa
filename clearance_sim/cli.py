"""The command line, `clearance-sim`: the commands by what one does with them. Each is loaded only when it is used."""

import importlib
from typing import Any

import click

# Under each heading: command, and the module in clearance_sim.commands that holds it as `NAME_command`.
GROUPS: dict[str, dict[str, str]] = {
    "Simulate": {
        "scenarios": "scenarios",
        "check": "scenarios",
        "run": "run",
        "schema": "scenarios",
    },
    "Trust": {
        "validate": "validate",
        "warm-up-cache": "run",
    },
    "Ask about customs": {
        "claim": "claim",
        "customs": "customs",
        "parameters": "customs",
        "calibrate": "customs",
        "validate-studies": "customs",
        "staffing": "staffing",
        "trs": "trs",
        "report": "report",
    },
    "Measure a running Provenport": {
        "probe": "probe",
    },
}


class _Commands(click.Group):
    """Commands that are imported when they are asked for, listed under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in GROUPS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for commands in GROUPS.values():
            if cmd_name in commands:
                module = importlib.import_module(f"clearance_sim.commands.{commands[cmd_name]}")
                command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in GROUPS.items():
            rows = [(n, c.get_short_help_str(70)) for n in commands if (c := self.get_command(ctx, n)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="provenport")
def cli() -> None:
    """Simulate customs clearance: any queueing network, with shifts, from a scenario file.

    Exit codes: 0 done; 1 the answer is no (a scenario is refused, a validation fails); 2 wrong usage; 130 interrupted.
    """


def main(*arguments: Any) -> None:
    """Entry point of `clearance-sim`."""
    cli(*arguments)
