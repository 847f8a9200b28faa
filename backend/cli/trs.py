"""``provenport trs``: the time release study, and the export of its events for ``clearance-sim trs``."""

import shlex
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len, set_cell_size

from backend.cli.localised import Command
from backend.cli.terminal import JSON_HELP, _, as_argument, installation, print_json, require_folder, telling
from backend.domain.consignment import ClearanceEvent, ReleaseTimes
from backend.domain.errors import Invalid

if TYPE_CHECKING:
    from backend.services.ports import AppContext
    from backend.services.release_times import Study

_ROWS_A_GROUP = 50_000
_TABLE_WIDTH = 80
"""Cells."""


@click.command("trs", cls=Command)
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
@click.option(
    "--events",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the events: NAME.csv, .parquet.",
)
def trs_command(as_json: bool, file: Path | None) -> None:
    """Time release study: how long goods took, by both clocks.

    The events feed "clearance-sim trs", which adds intervals, stages and who was responsible.
    """
    from backend.services.release_times import study

    require_folder(file, "--events")
    with installation() as ctx:
        if file is not None:
            _write_events(ctx, file, as_json)
            return
        found = study(ctx)
    if as_json:
        print_json(asdict(found))
        return
    if shutil.get_terminal_size().columns < _TABLE_WIDTH:
        _list(_("arrival → release"), found.arrival_to_release)
        _list(_("lodgement → release"), found.lodgement_to_release)
    else:
        _table(found)
    if found.lodgement_to_release.count == 0:
        click.echo(_("Nothing was released yet: an officer's decision “release” starts the count."))


def _table(found: "Study") -> None:
    click.echo(" " * 24 + "".join([_right(_("count"), 8), *(_right(n, 16) for n in (_("mean"), _("median"), "P90"))]))
    click.echo(_clock(_("arrival → release"), found.arrival_to_release))
    click.echo(_clock(_("lodgement → release"), found.lodgement_to_release))


def _list(name: str, clock: ReleaseTimes) -> None:
    """Show the figures one below the other, for terminals too narrow for the table."""
    click.echo(name)
    figures = {_("mean"): clock.mean_hours, _("median"): clock.median_hours, "P90": clock.p90_hours}
    click.echo(f"  {_('count')} {clock.count}")
    for label, hours in figures.items():
        click.echo(f"  {label} {'–' if hours is None else _people_say(hours)}")


def _write_events(ctx: "AppContext", file: Path, as_json: bool) -> None:
    written = write_events(ctx, file)
    with telling(_("the events are written to {file}", file=file)):
        if as_json:
            print_json({"file": str(file), "events": written})
            return
        typed = shlex.quote(as_argument(file))
        click.echo(
            _("Wrote {written} events to {file}. Next: clearance-sim trs {file}", written=f"{written:,}", file=typed)
        )


def _clock(name: str, clock: ReleaseTimes) -> str:
    figures = (clock.mean_hours, clock.median_hours, clock.p90_hours)
    shown = "".join(_right("–" if hours is None else _people_say(hours), 16) for hours in figures)
    return f"{set_cell_size(name, 24)}{clock.count:>8}{shown}"


def _right(text: str, width: int) -> str:
    """Align a text to the right of a column. Chinese characters are two cells wide."""
    return " " * (width - cell_len(text)) + text


def _people_say(hours: float) -> str:
    seconds = round(hours * 3600)
    if seconds < 120:
        return _("{count} s", count=seconds)
    minutes = round(seconds / 60)
    if minutes < 120:
        return _("{count} min", count=minutes)
    return " ".join([_("{count} h", count=minutes // 60), _("{count} min", count=f"{minutes % 60:02d}")])


def write_events(ctx: "AppContext", file: Path) -> int:
    """Write every event to a .csv or .parquet file, and return how many.

    Raises:
        Invalid: The file cannot be written, its name has another ending, or Parquet support is not installed.
    """
    from backend.services.release_times import events

    counted = _Counted(events(ctx))
    try:
        if file.suffix == ".parquet":
            try:
                _write_parquet(counted, file)
            except ModuleNotFoundError as error:
                raise Invalid(
                    "{name}: Parquet needs the simulator's packages, which are not installed here; "
                    "choose a .csv name, or run make simulator",
                    name=file.name,
                ) from error
        elif file.suffix == ".csv":
            _write_csv(counted, file)
        else:
            raise Invalid("{name}: events are written as .csv or .parquet; choose such a name", name=file.name)
    except OSError as error:
        raise Invalid("{file} cannot be written: {why}", file=file, why=error.strerror) from error
    return counted.count


class _Counted:
    """An iterable of events that counts them as they pass."""

    def __init__(self, found: Iterable[ClearanceEvent]) -> None:
        self._found, self.count = found, 0

    def __iter__(self) -> Iterator[ClearanceEvent]:
        for event in self._found:
            self.count += 1
            yield event


def _write_csv(found: Iterable[ClearanceEvent], file: Path) -> None:
    from backend.services.release_times import as_csv

    with file.open("w", encoding="utf-8", newline="") as out:
        out.writelines(as_csv(found))


def _write_parquet(found: Iterable[ClearanceEvent], file: Path) -> None:
    # Half a second to import, and only this needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    from backend.services.release_times import EVENT_COLUMNS, event_row

    utc = pa.timestamp("us", tz="UTC")
    types = {name: utc if name.endswith("_at") else pa.string() for name in EVENT_COLUMNS}
    schema = pa.schema(list(types.items()))
    remaining = iter(found)
    with pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(remaining, _ROWS_A_GROUP)):
            columns = dict(zip(EVENT_COLUMNS, zip(*map(event_row, group), strict=True), strict=True))
            columns |= {
                "occurred_at": tuple(event.occurred_at for event in group),
                "recorded_at": tuple(event.recorded_at for event in group),
            }
            arrays = [pa.array(columns[name], types[name]) for name in EVENT_COLUMNS]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
