"""Reads a log of events from CSV, XES or Parquet into columns, and refuses what cannot be timed, row by row."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from clearance_sim.messages import _
from clearance_sim.trs import LogError, Problem, problem
from clearance_sim.trs.column_map import BUILT_IN, VISIT_TIMES, ColumnMap, fitting, for_xes
from clearance_sim.trs.exchange import EVENT, is_xes, read_xes
from clearance_sim.trs.text_table import likeness, read_table, tidied, without_blank_rows

METADATA = b"clearance_sim"
"""The key of a Parquet file's schema under which the simulator tells what its trace means."""

MICROSECONDS_AN_HOUR = 3_600_000_000


@dataclass(frozen=True)
class EventLog:
    """Events in the order of the file.

    ``table`` has: case (int), event, stage, time (UTC, microseconds since 1970), row, and the columns to split by that
    the log has.
    """

    name: str
    map: ColumnMap
    table: pd.DataFrame
    names: pd.DataFrame
    """The columns that name the cases, one row a case, in the order of their numbers."""
    findings: tuple[Problem, ...] = ()
    """What was presumed, taken off or looks doubtful while it was read."""

    @property
    def splits(self) -> list[str]:
        """What its cases can be given apart by."""
        return [name for name in self.map.columns if name in self.table]


def read_log(
    path: Path, columns: ColumnMap | None = None, zone: str | None = None, encoding: str | None = None
) -> EventLog:
    """Read a log; without a map the built-in one that fits is taken.

    Args:
        path: A CSV file, Parquet or XES, by its content.
        columns: What its columns hold.
        zone: For hours of the day.
        encoding: What a CSV file is written in; presumed, and told, where it is not given.

    Raises:
        LogError: no study can be made of it.
    """
    table, findings, of_xes = _read(path, columns, encoding)
    if of_xes:
        chosen = for_xes(columns, table.column_names, _distinct(table, EVENT))
    else:
        chosen = columns or fitting(table.column_names)
    if chosen is None and of_xes:
        known = ", ".join(sorted(_distinct(table, EVENT))[:12])
        fix = _("say with --columns MAP.toml, in [events], which of {known} begin and end the clocks", known=known)
        raise LogError([Problem(_("no built-in map fits this log"), fix)])
    if chosen is None:
        known = ", ".join(table.column_names)
        raise LogError(
            [
                Problem(
                    _("no built-in map fits this log"), _("say with --columns MAP.toml what {known} hold", known=known)
                )
            ]
        )
    if columns is None:
        chosen = _as_the_file_says(chosen, table.schema.metadata or {})
    chosen = chosen.with_zone(zone)
    if missing := [name for name in chosen.needed() if name not in table.column_names]:
        raise LogError(
            [
                Problem(
                    _("no column {missing}", missing=", ".join(missing)),
                    _("the log has {columns}; fix the map", columns=", ".join(table.column_names)),
                )
            ]
        )
    if table.num_rows == 0:
        raise LogError([Problem(_("the log holds no event"), _("export a period in which goods were cleared"))])
    if not chosen.visits:
        table, tidying = tidied(table, [name for name in chosen.named() if name in table.column_names])
        table, findings = without_blank_rows(table), [*findings, *tidying]
    return _timed(path.name, chosen, table, findings)


def _read(path: Path, columns: ColumnMap | None, encoding: str | None) -> tuple[pa.Table, list[Problem], bool]:
    """Return the table, what was doubtful about the file, and whether it is XES."""
    try:
        with path.open("rb") as file:
            begins = file.read(64)
        if is_xes(path, begins):
            return *read_xes(path), True
        if begins.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq"):
            return pyarrow.parquet.read_table(path), [], False
        with pa.input_stream(path, compression="detect") as stream:
            content = stream.read()
    except (OSError, pa.ArrowInvalid) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _("it is damaged or cut short")
        raise LogError(
            [Problem(_("{path} cannot be read ({reason})", path=path.name, reason=reason), _("export it anew"))]
        ) from error
    maps = BUILT_IN if columns is None else (columns,)
    table, findings = read_table(content, [one.needed() for one in maps], encoding)
    return without_blank_rows(table), findings, False


def _distinct(table: pa.Table, name: str) -> set[str]:
    return set(table[name].unique().to_pylist()) - {None}


def _as_the_file_says(columns: ColumnMap, metadata: Mapping[bytes, bytes]) -> ColumnMap:
    """Take start, zone, clocks and parties from a trace's own metadata."""
    if METADATA not in metadata:
        return columns
    given = json.loads(metadata[METADATA])
    clocks = {name.replace(" → ", "_to_"): _ends(clock) for name, clock in given.get("clocks", {}).items()}
    zone = given.get("zone") or columns.zone
    events, latest = dict(columns.events), set(columns.latest)
    for clock, begins in (("lodgement_to_release", "lodged"), ("arrival_to_release", "arrived")):
        if clock in clocks:
            points, end = clocks[clock]
            events |= {begins: points, "released": end}
            latest |= {begins} if len(points) > 1 else set()
    return replace(
        columns,
        start=_zoned(given.get("start", columns.start), zone),
        zone=zone,
        events=events,
        latest=tuple(sorted(latest)),
        parties={name: party for name, party in (given.get("parties") or {}).items() if party},
    )


def _ends(clock: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a clock's beginning and end in the words of a log; of several beginnings the latest counts."""
    begin, end = (clock["from"], clock["to"]) if isinstance(clock, dict) else clock[:2]
    return _points(begin), _points(end)


def _points(given: Any) -> tuple[str, ...]:
    points = [given] if isinstance(given, str) else list(given)
    return tuple(point.replace("leave:", "end:") for point in points)


def _zoned(start: str, zone: str) -> str:
    """Add the zone to a start that is given in wall-clock time."""
    moment = _moment(start)
    return start if moment is None or moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)).isoformat()


def _timed(name: str, columns: ColumnMap, table: pa.Table, findings: list[Problem]) -> EventLog:
    case, names, faults = _cases(columns, table)
    frame = pd.DataFrame({"case": case})
    for split, column in columns.columns.items():
        if column in table.column_names:
            frame[split] = _words(table[column])
    if columns.visits:
        assert columns.stage is not None
        frame["stage"] = _words(table[columns.stage])
        frame, more = _as_events(columns, table, frame)
    else:
        frame, more = _with_events(columns, table, frame)
    if problems := [found for found in (*faults, *more) if found]:
        raise LogError(problems)
    if not columns.visits:
        findings = [*findings, *_alike(columns, frame, names)]
    return EventLog(name, columns, frame, names, tuple(findings))


def _alike(columns: ColumnMap, frame: pd.DataFrame, names: pd.DataFrame) -> list[Problem]:
    """Give events that are a map's word but for capitals and spaces that word; tell of declarations that are alike."""
    findings = []
    words = {word.partition(":")[0] for each in columns.events.values() for word in each} | set(columns.ignored)
    spelt = {likeness(word): word for word in words}
    others = [str(event) for event in frame["event"].cat.categories if event and str(event) not in words]
    renamed = {event: spelt[likeness(event)] for event in others if likeness(event) in spelt}
    if renamed:
        found = problem(
            _("events spelt differently ({events})", events=", ".join(f"{a} = {b}" for a, b in renamed.items())),
            _("read as the map spells them"),
            frame["event"].isin(list(renamed)).to_numpy(),
            frame["row"],
        )
        findings += [found] if found else []
        frame["event"] = pd.Categorical(frame["event"].astype(str).replace(renamed))
    parts = [names[name].astype(str) for name in names.columns]
    keys = parts[0] if len(parts) == 1 else parts[0].str.cat(parts[1:], sep="/")
    alike = _likenesses(keys).duplicated(keep=False).to_numpy()
    first = frame.drop_duplicates("case").set_index("case")["row"].reindex(range(len(names)))
    cut = np.asarray(pc.match_substring_regex(pa.array(keys), _CUT_NUMBER))
    doubtful = [
        problem(
            _("declarations whose names differ in capitals, width or spaces only ({names})",
              names=", ".join(keys[alike].head(4))),
            _("each counts for itself; write one name in one way"),
            alike,
            first,
        ),
        problem(
            _("declarations named like 1.2E+11, whose digits a spreadsheet has cut"),
            _("export the column as text"),
            cut,
            first,
        ),
    ]  # fmt: skip
    return [*findings, *(found for found in doubtful if found)]


_CUT_NUMBER = r"^\d(?:[.,]\d+)?[eE]\+\d+$"


def _likenesses(keys: pd.Series) -> pd.Series:
    texts = pa.array(keys)
    if pc.all(pc.string_is_ascii(texts)).as_py():  # as most names are, of which there may be a million
        return pc.ascii_lower(pc.replace_substring_regex(texts, r"\s+", "")).to_pandas()
    return keys.map(likeness)


def _with_events(columns: ColumnMap, table: pa.Table, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem | None]]:
    """Return the frame with event, stage, time and row; what is wrong with them."""
    frame["event"] = _words(table[columns.event])
    frame["stage"] = _words(table[columns.stage]) if columns.stage else frame["event"]
    if columns.party and columns.party in table.column_names:
        frame["party"] = _words(table[columns.party])
    frame["time"], faults = _times(columns, table, columns.time or columns.hours)
    frame["row"] = np.arange(1, len(frame) + 1)
    unnamed = np.asarray(frame["event"] == "")
    faults.append(problem(_("events without a name"), _("fill column {event}", event=columns.event), unnamed))
    if columns.started is None:
        return frame, faults
    begun, more = _with_beginnings(columns, table, frame)
    return begun, [*faults, *more]


def _with_beginnings(
    columns: ColumnMap, table: pa.Table, ends: pd.DataFrame
) -> tuple[pd.DataFrame, list[Problem | None]]:
    """Add a row for the beginning of each activity that has one: event `start`, in the stage of the activity."""
    known = np.asarray(table[columns.started].is_valid())
    begins = ends[known].copy()
    times, faults = _times(columns, table.filter(pa.array(known)), columns.started)
    begins["time"] = times
    backwards = np.zeros(len(ends), dtype=bool)
    if not any(faults):
        backwards[known] = times > ends["time"].to_numpy()[known]
    begins["event"] = pd.Categorical([START] * len(begins))
    frame = pd.concat([begins, ends], ignore_index=True)
    # Rows of one time keep their order: an activity begins before it ends.
    frame = frame.sort_values("row", kind="stable", ignore_index=True)
    for name in frame.columns.difference(["case", "time", "row"]):
        frame[name] = frame[name].astype("category")
    return frame, [
        *faults,
        problem(
            _("activities that end before they begin"),
            _("fix columns {started} and {time}", started=columns.started, time=columns.time or columns.hours),
            backwards,
        ),
    ]


START = "start"


def _as_events(columns: ColumnMap, table: pa.Table, visits: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem | None]]:
    """Return visits as events: enter, start and end of each stage, and arrive and exit of each case."""
    visits["row"] = np.arange(1, len(visits) + 1)
    known = {name: column for name, column in VISIT_TIMES.items() if column in table.column_names}
    at = {name: _started(columns, table[column]) for name, column in known.items()}
    if "due" in at:
        asked = {word.removeprefix("due:") for words in columns.events.values() for word in words}
        at["due"] = np.where(visits["stage"].isin(asked), at["due"], np.nan)
    faults = [
        problem(_("visits without an entry"), _("fill column enter_h"), np.isnan(at["enter"])),
        problem(_("visits that end before they begin"), _("fix their times"), at["end"] < at["enter"]),
    ]
    if any(faults):
        return visits, faults
    # A stage comes before its beginning in the order of a case's events: rows of one time keep their order.
    visits["enter"], visits["end"] = at["enter"], np.where(np.isnan(at["end"]), np.inf, at["end"])
    begins = visits.groupby("case")["enter"].idxmin()
    ends = visits.groupby("case")["end"].idxmax()
    parts = [(name, visits.index[~np.isnan(times)], times[~np.isnan(times)], True) for name, times in at.items()]
    parts.append(("arrive", begins, at["enter"][begins], False))
    finished = ends[np.isfinite(visits["end"].to_numpy()[ends])]
    parts.append(("exit", finished, at["end"][finished], False))
    return _stacked(visits.drop(columns=["enter", "end"]), parts), faults


def _stacked(visits: pd.DataFrame, parts: Any) -> pd.DataFrame:
    """Return one frame of all events; arrivals and exits belong to no stage."""
    kinds = [name for name, *_ in parts]
    places = np.concatenate([np.asarray(index) for _, index, _, _ in parts])
    frame = visits.iloc[places].reset_index(drop=True)
    lengths = [len(index) for _, index, _, _ in parts]
    frame["event"] = pd.Categorical.from_codes(np.repeat(np.arange(len(kinds)), lengths), kinds)
    frame["time"] = np.concatenate([times for _, _, times, _ in parts]).astype(np.int64)
    in_stage = np.repeat([kept for *_, kept in parts], lengths)
    frame["stage"] = frame["stage"].where(in_stage, "")
    return frame


def _started(columns: ColumnMap, column: pa.ChunkedArray) -> Any:
    """Return hours since the start as microseconds since 1970; NaN where there are none."""
    hours = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(dtype=float)
    return np.rint(hours * MICROSECONDS_AN_HOUR) + _micros(columns.start)


def _words(column: pa.ChunkedArray) -> pd.Categorical:
    """Return text as categories; what is missing is the empty text."""
    words = column.combine_chunks()
    if not pa.types.is_dictionary(words.type):
        words = words.cast(pa.string()).fill_null("").dictionary_encode()
    known = words.dictionary.cast(pa.string()).fill_null("").to_pylist()
    if "" not in known:
        known.append("")
    codes = words.indices.fill_null(known.index("")).to_numpy(zero_copy_only=False)
    return pd.Categorical.from_codes(codes, known)


def _cases(columns: ColumnMap, table: pa.Table) -> tuple[Any, pd.DataFrame, list[Problem | None]]:
    """Return each row's case by number, the columns that name the cases, and rows that name none."""
    empty = np.zeros(table.num_rows, dtype=bool)
    codes = np.zeros(table.num_rows, dtype=np.int64)
    for name in columns.case:
        empty |= np.asarray(table[name].is_null())
        part, known = pd.factorize(table[name].to_pandas())
        codes = pd.factorize(codes * (len(known) + 1) + part)[0]
    _codes, first = np.unique(codes, return_index=True)
    names = table.select(list(columns.case)).take(pa.array(first)).to_pandas()
    return codes, names, [problem(_("events of no declaration"), _("name the declaration in every row"), empty)]


def _times(columns: ColumnMap, table: pa.Table, name: str | None) -> tuple[Any, list[Problem | None]]:
    assert name is not None
    column = table[name]
    if columns.hours:
        return _hours(columns, name, column)
    if pa.types.is_timestamp(column.type):
        return _stamps(name, column)
    return _written(name, _words(column))


def _hours(columns: ColumnMap, name: str, column: pa.ChunkedArray) -> tuple[Any, list[Problem | None]]:
    micros = _started(columns, column)
    wrong = problem(_("times that are no number of hours"), _("fix column {hours}", hours=name), ~np.isfinite(micros))
    return np.nan_to_num(micros).astype(np.int64), [wrong]


def _micros(start: str | None) -> int:
    moment = _moment(str(start))
    if moment is None or moment.tzinfo is None:
        raise LogError(
            [Problem(_("start {start!r} has no zone", start=start), _('write it like "2026-01-05T00:00:00+08:00"'))]
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _stamps(name: str, column: pa.ChunkedArray) -> tuple[Any, list[Problem | None]]:
    if column.type.tz is None:
        raise LogError(
            [Problem(_("column {name} has no zone", name=name), _("write times with their zone: nobody can guess it"))]
        )
    micros = column.cast(pa.timestamp("us", tz="UTC"))
    empty = problem(_("no time"), _("fill column {name}", name=name), np.asarray(micros.is_null()))
    return np.asarray(micros.fill_null(0).cast(pa.int64())), [empty]


def _written(name: str, words: pd.Categorical) -> tuple[Any, list[Problem | None]]:
    """Parse date-times given as text; each needs its own zone."""
    # Parsing is slow, and a text may stand in many rows: each is parsed once.
    codes = words.codes
    moments = [_moment(text) for text in words.categories]
    unreadable = np.array([moment is None for moment in moments])[codes]
    naive = np.array([moment is not None and moment.tzinfo is None for moment in moments])[codes]
    micros = [
        0 if moment is None or moment.tzinfo is None else (moment - _EPOCH) // timedelta(microseconds=1)
        for moment in moments
    ]
    example = _("write it like {example}", example="2026-01-05T09:30:00+08:00")
    return np.array(micros, dtype=np.int64)[codes], [
        problem(
            _("times that cannot be read"), _("{example} in column {name}", example=example, name=name), unreadable
        ),
        problem(
            _("times without a zone"),
            _("{example} in column {name}: nobody can guess the zone", example=example, name=name),
            naive,
        ),
    ]


_MIDNIGHT = re.compile(r"(?<=[T ])24(:?00){1,2}(?:[.,]0+)?(?=$|[Z+-])")


def _moment(text: str) -> datetime | None:
    try:
        # ISO 8601 knows the end of a day as 24:00, which Python does not in every version.
        if _MIDNIGHT.search(text):
            return datetime.fromisoformat(_MIDNIGHT.sub("00:00:00", text)) + timedelta(days=1)
        return datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
