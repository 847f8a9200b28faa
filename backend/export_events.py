"""Writes the events of clearance into a file for ``clearance-sim trs``: CSV or Parquet, by the file's ending."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from backend.domain.clearance import ClearanceEvent
from backend.domain.errors import Invalid
from backend.services.ports import Surroundings
from backend.services.release_times import EVENT_COLUMNS, as_csv, event_row, events

_ROWS_A_GROUP = 50_000


def write_events(at: Surroundings, file: Path) -> int:
    """Write every event; returns how many. Raises Invalid where the file cannot be written."""
    counted = _Counted(events(at))
    try:
        if file.suffix == ".parquet":
            _write_parquet(counted, file)
        elif file.suffix == ".csv":
            _write_csv(counted, file)
        else:
            raise Invalid(f"{file.name}: events are written as .csv or .parquet; choose such a name")
    except OSError as error:
        raise Invalid(f"{file} cannot be written: {error.strerror}") from error
    return counted.count


class _Counted:
    """Events that are counted as they pass."""

    def __init__(self, found: Iterable[ClearanceEvent]) -> None:
        self._found, self.count = found, 0

    def __iter__(self) -> Iterator[ClearanceEvent]:
        for event in self._found:
            self.count += 1
            yield event


def _write_csv(found: Iterable[ClearanceEvent], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        out.writelines(as_csv(found))


def _write_parquet(found: Iterable[ClearanceEvent], file: Path) -> None:
    # Half a second to import, and only this needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

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
