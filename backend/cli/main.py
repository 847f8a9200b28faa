"""The command ``provenport``: each subcommand is imported only when it is used.

So ``provenport verify``, which readers of evidence run without an installation, loads no database, chain or web server.
"""

import sqlite3
import sys
from importlib import import_module
from typing import Any

import click

from backend.cli.language import _, said, speak
from backend.domain.errors import TraceabilityError

GROUPS = {
    "Everybody": ("verify", "snapshot"),
    "Operators": ("serve", "join", "office", "keys", "erase", "backup", "restore", "chain", "audit", "trust-file"),
    "Merchants": ("import",),
    "Customs and analysts": ("trs",),
}
COMMANDS = {
    "audit": "backend.cli.chain:audit_command",
    "backup": "backend.cli.backup:backup_command",
    "chain": "backend.cli.chain:chain_command",
    "erase": "backend.cli.erase:erase_command",
    "import": "backend.cli.importing:import_command",
    "join": "backend.cli.join:join_command",
    "keys": "backend.cli.keys:keys_command",
    "office": "backend.cli.customs_offices:office_command",
    "restore": "backend.cli.backup:restore_command",
    "serve": "backend.cli.serve:serve_command",
    "snapshot": "backend.cli.snapshot:snapshot_command",
    "trs": "backend.cli.trs:trs_command",
    "trust-file": "backend.cli.verify:trust_file_command",
    "verify": "backend.cli.verify:verify_command",
}
"""Where each subcommand is defined: module and attribute."""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is asked for, and lists subcommands by who uses them."""

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
        """Write the list."""
        for heading, names in GROUPS.items():
            with formatter.section(heading):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name, command.get_short_help_str(70)) for name, command in commands if command])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; a refusal of ours, and a fault of the machine, is told in one line, and the exit code is 1."""
        speak(None)
        try:
            return super().main(*args, **kwargs)
        except TraceabilityError as error:
            click.echo(f"provenport: {said(error)}", err=True)
        except OSError as error:
            click.echo(f"provenport: {error}", err=True)
            sys.stdout = None  # what could not be written is not tried again
        except Exception as error:
            fault = getattr(error, "orig", error)  # SQLAlchemy's bring the database's own
            if not isinstance(fault, sqlite3.Error):
                raise
            click.echo("provenport: " + _("the database cannot be used: {fault}", fault=fault), err=True)
        sys.exit(1)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="provenport", prog_name="provenport")
def cli() -> None:
    """Signed, anchored records of origin and inspection, and customs clearance on them.

    DATA_DIR (default var/) is where everything is kept. Exit codes: 0 done, 1 refused, 2 wrong usage.
    """


def main() -> None:
    """The console script."""
    cli()


if __name__ == "__main__":
    main()
