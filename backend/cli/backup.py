"""``provenport backup`` and ``provenport restore``: copies of everything, which no erased record comes back from."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from backend.cli.language import _
from backend.settings import Settings


@click.command("backup")
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
    click.echo(
        _(
            "{copy}: {size} bytes. The keys to it: {keys} (replaced; keep no older copy).",
            copy=copy,
            size=format(size, ","),
            keys=folder / "record.keys",
        )
    )


@click.command("restore")
@click.argument("copy", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore_command(copy: Path) -> None:
    """Put a COPY made by backup into an empty data folder (DATA_DIR).

    What was erased since the copy was made is erased in it too when the server starts.
    """
    from backend.runtime.backups import restore
    from backend.runtime.data_folder import DataFolder

    into = Settings.from_environment(os.environ).data_dir
    restore(copy.resolve(), DataFolder(into))
    click.echo(_("{into} is as {name} was. Start it with provenport serve.", into=into, name=copy.name))
