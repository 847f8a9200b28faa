"""The command line, `clearance-sim`: the commands by what one does with them. Each is loaded only when it is used."""

import importlib
import os
from typing import Any

import click

from clearance_sim.commands.localised import LocalisedGroup
from clearance_sim.commands.terminal import can_show, prepare_streams
from clearance_sim.messages import SOURCE_LANGUAGE, Message, _, translated

# Under each heading: command, and the module in clearance_sim.commands that holds it as `NAME_command`.
GROUPS: list[tuple[Message, dict[str, str]]] = [
    (
        _("Simulate"),
        {
            "scenarios": "scenarios",
            "check": "scenarios",
            "run": "run",
            "schema": "scenarios",
        },
    ),
    (
        _("Trust"),
        {
            "validate": "validate",
            "warm-up-cache": "run",
        },
    ),
    (
        _("Ask about customs"),
        {
            "claim": "claim",
            "customs": "customs",
            "parameters": "customs",
            "calibrate": "customs",
            "validate-studies": "customs",
            "staffing": "staffing",
            "trs": "trs",
            "report": "report",
        },
    ),
    (
        _("Measure a running Provenport"),
        {
            "probe": "probe",
        },
    ),
]


class _Commands(LocalisedGroup):
    """Commands that are imported when they are asked for, listed under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for _heading, commands in GROUPS for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for _heading, commands in GROUPS:
            if cmd_name in commands:
                module = importlib.import_module(f"clearance_sim.commands.{commands[cmd_name]}")
                command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in GROUPS:
            rows = [(n, c.get_short_help_str(70)) for n in commands if (c := self.get_command(ctx, n)) is not None]
            if rows:
                with formatter.section(str(heading)):
                    formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="provenport")
def cli() -> None:
    """Simulate customs clearance: any queueing network, with shifts, from a scenario file.

    Exit codes: 0 done; 1 the answer is no (a scenario is refused, a validation fails); 2 wrong usage; 130 interrupted.
    """


def main(*arguments: Any) -> None:
    """Run `clearance-sim`."""
    prepare_streams()
    if not can_show(translated("Simulate")):
        os.environ["LANGUAGE"] = SOURCE_LANGUAGE  # rather than a page of question marks
    cli(*arguments)
