"""The command ``provenport``. Each subcommand is imported only when it is used.

Readers of evidence run ``provenport verify`` without an installation, so it must not load database, chain or server.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any

import click

from backend.cli.localised import Group
from backend.cli.terminal import Output, _, fault_line, language_asked, speak

GROUPS = {
    "Everybody": ("verify", "snapshot"),
    "Operators": (
        "serve",
        "web",
        "anchor",
        "work",
        "register",
        "office",
        "hs",
        "keys",
        "erase",
        "backup",
        "restore",
        "chain",
        "audit",
        "trust-file",
        "users",
        "tokens",
    ),
    "Merchants": ("import",),
    "Customs and analysts": ("trs",),
}
COMMANDS = {
    "anchor": "backend.cli.operators:anchor_command",
    "audit": "backend.cli.chain:audit_command",
    "backup": "backend.cli.operators:backup_command",
    "chain": "backend.cli.chain:chain_command",
    "erase": "backend.cli.operators:erase_command",
    "hs": "backend.cli.importing:hs_command",
    "import": "backend.cli.importing:import_command",
    "keys": "backend.cli.operators:keys_command",
    "office": "backend.cli.people:office_command",
    "register": "backend.cli.operators:register_command",
    "restore": "backend.cli.operators:restore_command",
    "serve": "backend.cli.operators:serve_command",
    "snapshot": "backend.cli.snapshot:snapshot_command",
    "tokens": "backend.cli.people:tokens_command",
    "trs": "backend.cli.trs:trs_command",
    "trust-file": "backend.cli.verify:trust_file_command",
    "users": "backend.cli.people:users_command",
    "verify": "backend.cli.verify:verify_command",
    "web": "backend.cli.operators:web_command",
    "work": "backend.cli.operators:work_command",
}
"""Where each subcommand is defined: module and attribute."""


class LazyGroup(Group):
    """A group that imports a subcommand when it is asked for, and lists subcommands by who uses them."""

    headings = tuple(GROUPS)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in GROUPS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        for heading, names in GROUPS.items():
            self.write_commands(ctx, formatter, _(heading), names)

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> Any:
        """Run the command. An error of ours or of the machine is shown in one line, with exit code 1."""
        output, errors = Output(sys.stdout, vital=True), Output(sys.stderr, vital=False)
        try:
            with redirect_stdout(output), redirect_stderr(errors):
                speak(language_asked(sys.argv[1:] if args is None else args))
                try:
                    return super().main(args, *others, **options)
                except Exception as error:
                    shown = fault_line(error)
                    if shown is None:
                        raise
                    click.echo(f"provenport: {shown}", err=True)
                    sys.exit(1)
        finally:
            # What could not be written is not tried again when Python ends: that has an exit code of its own.
            if output.is_lost:
                sys.stdout = None
            if errors.is_lost:
                sys.stderr = None


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        shown = _("%(prog)s, version %(version)s") % {"prog": "provenport", "version": version("provenport")}
        click.echo(shown)
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def cli() -> None:
    """Signed, anchored records of origin and inspection, and customs clearance on them.

    DATA_DIR (default var/) is where everything is kept. Exit codes: 0 done, 1 refused, 2 wrong usage, 3 done, but what
    was to be said of it could not be written.
    """


def main() -> None:
    """Run the console script."""
    cli()


if __name__ == "__main__":
    main()
