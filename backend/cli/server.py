"""``provenport serve``, ``backup`` and ``restore``: running an installation, and copies of everything in it."""

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from backend.cli.terminal import Command, _, said, telling
from backend.domain.errors import TraceabilityError
from backend.domain.message import message_of
from backend.settings import Settings


@click.command("serve", cls=Command)
@click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help="Port to listen on (PORT, default 8080).")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Where to keep everything (DATA_DIR, default var/).",
)
def serve_command(port: int | None, data_dir: str | None) -> None:
    """Serve pages, API and anchoring on 127.0.0.1."""
    from backend.adapters.chains.embedded import ChainInUse
    from backend.runtime.serving import serve as serve_until_stopped

    given = {"PORT": port and str(port), "DATA_DIR": data_dir}
    settings = Settings.from_environment({**os.environ, **{k: v for k, v in given.items() if v}})
    _log_to_stderr(settings.log_level)
    try:
        serve_until_stopped(settings, lambda message: click.echo(said(message).rstrip("\n")))
    except ChainInUse as error:
        raise TraceabilityError(
            "{error}. Stop that server, or choose another folder with DATA_DIR=…", error=message_of(error)
        ) from error
    except KeyboardInterrupt:
        click.echo(_("Stopped before it was ready; start again to go on."))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@click.command("backup", cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup_command(folder: Path) -> None:
    """Copy everything to a new folder under FOLDER.

    The server may run meanwhile.
    FOLDER/record.keys opens what the records in all copies say. Each backup replaces it: keep no older copy of that
    one file, or erased records could be read again. The copies hold signing keys: keep them as safe as the data folder.
    """
    from backend.runtime.backups import back_up
    from backend.runtime.data_folder import DataFolder

    copy = back_up(DataFolder(Settings.from_environment(os.environ).data_dir), folder, datetime.now(UTC))
    size = sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())
    with telling(_("the copy {copy} is whole", copy=copy)):
        click.echo(
            _(
                "{copy}: {size} bytes. The keys to it: {keys} (replaced; keep no older copy).",
                copy=copy,
                size=format(size, ","),
                keys=folder / "record.keys",
            )
        )


@click.command("restore", cls=Command)
@click.argument("copy", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore_command(copy: Path) -> None:
    """Put a COPY made by backup into an empty data folder (DATA_DIR).

    What was erased since the copy was made is erased in it too when the server starts.
    """
    from backend.runtime.backups import restore
    from backend.runtime.data_folder import DataFolder

    into = Settings.from_environment(os.environ).data_dir
    restore(copy.resolve(), DataFolder(into))
    with telling(_("{into} is as {name} was", into=into, name=copy.name)):
        click.echo(_("{into} is as {name} was. Start it with provenport serve.", into=into, name=copy.name))
