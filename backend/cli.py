"""The command ``provenport``."""

import json
import logging
import os
import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import structlog

from backend.cli_backup import backup_command, restore_command
from backend.cli_chain import audit_command, chain_command
from backend.cli_import import import_command
from backend.cli_keys import keys_command
from backend.cli_records import erase_command
from backend.cli_snapshot import snapshot_command
from backend.cli_verify import trust_file_command, verify_command
from backend.domain.clearance import ReleaseTimes
from backend.domain.errors import TraceabilityError
from backend.domain.parties import Role
from backend.services.ports import Surroundings
from backend.settings import Settings

_GROUPS = {
    "Everybody": ("verify", "snapshot"),
    "Operators": ("serve", "join", "keys", "erase", "backup", "restore", "chain", "audit", "trust-file"),
    "Merchants": ("import",),
    "Customs and analysts": ("trs",),
}


class _ByUser(click.Group):
    """Lists commands by who uses them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        for heading, names in _GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(70)) for name in names])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; a refusal of ours, and a fault of the machine, is told in one line, and the exit code is 1."""
        try:
            return super().main(*args, **kwargs)
        except TraceabilityError as error:
            click.echo(f"provenport: {error}", err=True)
        except OSError as error:
            click.echo(f"provenport: {error}", err=True)
            sys.stdout = None  # what could not be written is not tried again
        except Exception as error:
            fault = getattr(error, "orig", error)  # SQLAlchemy's bring the database's own
            if not isinstance(fault, sqlite3.Error):
                raise
            click.echo(f"provenport: the database cannot be used: {fault}", err=True)
        sys.exit(1)


@click.group(cls=_ByUser, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="provenport", prog_name="provenport")
def cli() -> None:
    """Signed, anchored records of origin and inspection, and customs clearance on them.

    DATA_DIR (default var/) is where everything is kept. Exit codes: 0 done, 1 refused, 2 wrong usage.
    """


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (PORT, default 8080).")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where to keep everything (DATA_DIR, default var/).")
def serve(port: int | None, data_dir: str | None) -> None:
    """Serve pages, API and anchoring on 127.0.0.1."""
    from backend.adapters.embedded_chain import ChainInUse
    from backend.serving import serve as serve_until_stopped

    given = {"PORT": port and str(port), "DATA_DIR": data_dir}
    settings = Settings.from_environment({**os.environ, **{k: v for k, v in given.items() if v}})
    _log_to_stderr(settings.log_level)
    try:
        serve_until_stopped(settings, click.echo)
    except ChainInUse as error:
        raise TraceabilityError(f"{error}. Stop that server, or choose another folder with DATA_DIR=…") from error
    except KeyboardInterrupt:
        click.echo("Stopped before it was ready; start again to go on.")


@cli.command()
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What it does here.")
@click.option("--name", required=True, help="Its name, as it stands on papers.")
@click.option("--email", required=True, help="The address that its first person signs in with.")
@click.option("--identifier", help="Company number, for China the USCC.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def join(role: str, name: str, email: str, identifier: str | None, as_json: bool) -> None:
    """Register an organisation; prints its password and token once."""
    from backend.installation import opened
    from backend.services.organisations import Particulars
    from backend.services.organisations import join as register

    with opened(Settings.from_environment(os.environ)) as at:
        joined = register(at, Particulars(Role(role), name, email, identifier=identifier))
    shown = {
        "role": role,
        "organisation": name,
        "id": joined.organisation.id,
        "email": joined.person.email,
        "password": joined.password,
        "token": joined.token,
    }
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    click.echo(f"{name} has joined as {role}. Shown once, kept nowhere in the clear:")
    for key in ("email", "password", "token"):
        click.echo(f"  {key:<9} {shown[key]}")
    if role not in ("officer", "authority"):
        click.echo("Next: the authority accredits it, on the page Accreditations.")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--events", type=click.Path(dir_okay=False, path_type=Path), help="Write the events: NAME.csv, .parquet.")
def trs(as_json: bool, events: Path | None) -> None:
    """Time release study: how long goods took, by both clocks.

    The events feed "clearance-sim trs", which adds intervals, stages and who was responsible.
    """
    from backend.installation import opened
    from backend.services.release_times import study

    with opened(Settings.from_environment(os.environ)) as at:
        if events is not None:
            _write_events(at, events, as_json)
            return
        found = study(at)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    click.echo(f"{'':<24}{'count':>8}{'mean':>12}{'median':>12}{'P90':>12}")
    click.echo(_clock("arrival → release", found.arrival_to_release))
    click.echo(_clock("lodgement → release", found.lodgement_to_release))
    if found.lodgement_to_release.count == 0:
        click.echo("Nothing was released yet: an officer's decision “release” starts the count.")


def _write_events(at: Surroundings, file: Path, as_json: bool) -> None:
    from backend.export_events import write_events

    written = write_events(at, file)
    if as_json:
        click.echo(json.dumps({"file": str(file), "events": written}))
        return
    click.echo(f"Wrote {written:,} events to {file}. Next: clearance-sim trs {file}")


def _clock(name: str, clock: ReleaseTimes) -> str:
    figures = (clock.mean_hours, clock.median_hours, clock.p90_hours)
    shown = "".join(f"{'–' if hours is None else _people_say(hours):>12}" for hours in figures)
    return f"{name:<24}{clock.count:>8}{shown}"


def _people_say(hours: float) -> str:
    seconds = round(hours * 3600)
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


for command in (
    import_command,
    chain_command,
    audit_command,
    keys_command,
    erase_command,
    backup_command,
    restore_command,
    verify_command,
    snapshot_command,
    trust_file_command,
):
    cli.add_command(command)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> None:
    """The console script."""
    cli()


if __name__ == "__main__":
    main()
