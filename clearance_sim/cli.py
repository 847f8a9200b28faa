"""The command line, `clearance-sim`: the commands by what one does with them. Each is loaded only when it is used."""

import importlib
import os
import sys
from typing import Any

import click

from clearance_sim.commands import LocalisedGroup, language_asked
from clearance_sim.commands.terminal import can_show, prepare_streams
from clearance_sim.messages import SOURCE_LANGUAGE, Message, _, spoken, translated

NOT_INSTALLED = 69
"""Exit code where packages are missing, EX_UNAVAILABLE of sysexits.h: the server tells this from a refusal by it."""

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
            "validate": "scenarios",
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
            rows = [(name, help) for name in commands if (help := self._short_help(ctx, name)) is not None]
            if rows:
                with formatter.section(str(heading)):
                    formatter.write_dl(rows)

    def _short_help(self, ctx: click.Context, name: str) -> str | None:
        """What a command does in a few words; None where there is no such command."""
        try:
            command = self.get_command(ctx, name)
        except ModuleNotFoundError as error:
            if not _is_of_others(error):
                raise
            return str(_("(needs packages that are not installed here)"))
        return None if command is None else command.get_short_help_str(70)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="provenport")
def cli() -> None:
    """Simulate customs clearance: any queueing network, with shifts, from a scenario file.

    Exit codes: 0 done; 1 the answer is no (a scenario is refused, a validation fails); 2 wrong usage; 69 the
    simulator's packages are not installed; 130 interrupted.
    """


def main(*arguments: Any) -> None:
    """Run `clearance-sim`; where the packages of the simulator are not installed, say so and how to install them."""
    prepare_streams()
    if not can_show(translated("Simulate")):
        os.environ["LANGUAGE"] = SOURCE_LANGUAGE  # rather than a page of question marks
    try:
        cli(*arguments)
    except ModuleNotFoundError as error:
        if not _is_of_others(error):
            raise
        with spoken(language_asked(sys.argv[1:])):
            click.echo(
                str(
                    _(
                        "The simulator is not installed here: the package {package} is missing. To install it, run "
                        "make simulator in Provenport's folder.",
                        package=error.name,
                    )
                ),
                err=True,
            )
        sys.exit(NOT_INSTALLED)


def _is_of_others(error: ModuleNotFoundError) -> bool:
    """Whether it is a library that is missing, and not a module of our own by some mistake of ours."""
    return error.name is not None and error.name.split(".")[0] != __name__.split(".")[0]
