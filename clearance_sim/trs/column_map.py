"""Which column of a log holds what, and which of its events begin and end the clocks.

Two maps are built in: the simulator's own trace, and the backend's export. Any other log needs a TOML file:

    time = "occurred_at"            # or hours = "time_h", counted from start
    started = "began_at"            # optional: when the event's work began; time is then when it was complete
    case = ["declaration"]          # the columns that together name one declaration
    event = "step"
    zone = "Asia/Shanghai"          # for hours of the day
    channel = "channel"             # optional, as are stage, party, class, replication, office
    ignored = ["anchored"]          # optional: events that change nothing for the goods
    [events]                        # what begins and ends the clocks: EVENT or EVENT:STAGE
    arrived = ["arrived"]
    lodged = ["lodged"]
    released = ["released"]
    gate_out = ["gate-out"]
    ended = ["rejected", "withdrawn"]
    [parties]                       # who is responsible while a stage lasts
    examination = "customs"
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from clearance_sim.messages import _
from clearance_sim.trs import LogError, exchange
from clearance_sim.trs.text_table import decoded

MILESTONES = ("arrived", "lodged", "released", "gate_out", "ended")
VISIT_TIMES = {"enter": "enter_h", "start": "start_h", "end": "end_h", "due": "due_h"}
"""The columns of a visit, by the event that each stands for; the last, when goods were due, may be missing."""
SPLITS = ("channel", "class", "office", "replication")
"""What cases can be told apart by."""


class MapError(ValueError):
    """A column map that cannot be used; says what to fix."""


@dataclass(frozen=True)
class ColumnMap:
    """Where a log keeps what."""

    case: tuple[str, ...]
    event: str
    time: str | None = None
    hours: str | None = None
    started: str | None = None
    """When the work of an event began; `time` or `hours` is then when it was complete."""
    start: str | None = None
    zone: str = "UTC"
    stage: str | None = None
    party: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns to split by: channel, class, office, replication."""
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parties: Mapping[str, str] = field(default_factory=dict)
    visits: bool = False
    """One row a visit of a stage, with columns enter_h, start_h and end_h instead of event and hours."""
    latest: tuple[str, ...] = ()
    """Milestones that are reached when all of their events have happened, not the first."""
    ignored: tuple[str, ...] = ()
    """Events that change nothing for the goods."""
    stages_last_until_next: bool = False
    """Each event opens the stage of its own name, which lasts until the next event; else stages have start and end."""

    def needed(self) -> list[str]:
        """Return the columns without which nothing can be computed."""
        if self.visits:
            return [*self.case, self.stage or "station", *(name for name in VISIT_TIMES.values() if name != "due_h")]
        others = (self.time, self.hours, self.started, self.stage)
        return [*self.case, self.event, *(name for name in others if name)]

    def named(self) -> list[str]:
        """Return every column that it names."""
        return [*self.needed(), *([self.party] if self.party else []), *self.columns.values()]

    def with_zone(self, zone: str | None) -> "ColumnMap":
        """Return the same map for clocks on the wall elsewhere."""
        return self if zone is None else replace(self, zone=_zone(zone))


SIMULATED = ColumnMap(
    case=("replication", "declaration"),
    event="event",
    start="2026-01-05T00:00:00+08:00",
    zone="Asia/Shanghai",
    stage="station",
    columns={"class": "class", "replication": "replication"},
    events={"arrived": ("arrive",), "lodged": ("arrive",), "released": ("exit",)},
    visits=True,
)
"""The trace of ``clearance-sim run``; a Parquet trace tells its start, zone, clocks and parties itself."""

EXPORTED = ColumnMap(
    case=("declaration",),
    event="step",
    time="occurred_at",
    columns={"office": "customs_office", "channel": "channel"},
    events={
        "arrived": ("arrived",),
        "lodged": ("lodged",),
        "released": ("released",),
        "gate_out": ("gate-out",),
        "ended": ("rejected", "returned", "seized", "withdrawn"),
    },
    parties={
        "arrived": "trader",
        "lodged": "customs",
        "documents-required": "trader",
        "examination": "customs",
        "detained": "customs",
        "released": "trader",
    },
    ignored=("anchored",),
    stages_last_until_next=True,
)
"""What ``provenport trs --events`` writes and the API answers."""


BUILT_IN = (SIMULATED, EXPORTED)


def fitting(names: Sequence[str]) -> ColumnMap | None:
    """Return the built-in map whose columns are all there."""
    return next((known for known in BUILT_IN if set(known.needed()) <= set(names)), None)


def for_xes(columns: ColumnMap | None, names: Sequence[str], activities: Collection[str]) -> ColumnMap | None:
    """Return a map for a log whose columns the standard names; only what begins and ends the clocks needs to be told.

    Without a map the built-in one is taken whose releases the log holds.
    """
    if columns is None:
        columns = next(
            (known for known in (EXPORTED, SIMULATED) if set(known.events["released"]) & {*activities}), None
        )
    if columns is None:
        return None
    asked = {split: name for split, name in columns.columns.items() if name}
    return replace(
        columns,
        case=(exchange.CASE,),
        event=exchange.EVENT,
        time=exchange.TIME,
        hours=None,
        started=exchange.STARTED if exchange.STARTED in names else None,
        stage=None,
        visits=False,
        party=_of_trace_or_event(columns.party, names) or (exchange.GROUP if exchange.GROUP in names else None),
        columns={split: found for split, name in asked.items() if (found := _of_trace_or_event(name, names))},
        stages_last_until_next=True,
    )


def _of_trace_or_event(name: str | None, names: Sequence[str]) -> str | None:
    return next((known for known in (name, f"case:{name}") if known in names), None)


def read_column_map(path: Path, of_xes: bool = False) -> ColumnMap:
    """Read a map from TOML, also where an editor saved it in another encoding than UTF-8.

    Args:
        path: The file.
        of_xes: Whether it is for a XES log, whose columns need no names.

    Raises:
        MapError: it cannot be used; says what to fix.
    """
    try:
        read = tomllib.loads(decoded(path.read_bytes())[0].replace("\r\n", "\n"))
    except (OSError, LogError, tomllib.TOMLDecodeError) as error:
        raise MapError(_("{path}: cannot be read as TOML: {error}", path=path, error=error)) from error
    if of_xes:
        read = {"case": exchange.CASE, "event": exchange.EVENT, **({} if "hours" in read else _TIME), **read}
    known = {item.name for item in fields(ColumnMap)} - {"columns", "visits"} | set(SPLITS)
    if unknown := sorted(set(read) - known):
        raise MapError(
            _(
                "{path}: does not know {unknown}; it may hold {known}",
                path=path,
                unknown=", ".join(unknown),
                known=", ".join(sorted(known)),
            )
        )
    try:
        return _checked(read)
    except MapError as error:
        raise MapError(f"{path}: {error}") from None


_TIME = {"time": exchange.TIME}


def _checked(read: Mapping[str, Any]) -> ColumnMap:
    for name in ("case", "event"):
        if not read.get(name):
            raise MapError(_('needs {name} = "NAME OF A COLUMN"', name=name))
    if ("time" in read) == ("hours" in read):
        raise MapError(_('needs either time = "COLUMN" (date and time with zone) or hours = "COLUMN" (since start)'))
    if "hours" in read and "start" not in read:
        raise MapError(_('hours are counted from a moment: add start = "2026-01-05T00:00:00+08:00"'))
    case = read["case"]
    return ColumnMap(
        case=(case,) if isinstance(case, str) else tuple(case),
        event=read["event"],
        time=read.get("time"),
        hours=read.get("hours"),
        started=read.get("started"),
        start=read.get("start"),
        zone=_zone(read.get("zone", "UTC")),
        stage=read.get("stage"),
        party=read.get("party"),
        columns={name: read[name] for name in SPLITS if name in read},
        events=_events(read.get("events", {})),
        parties=dict(read.get("parties", {})),
        latest=tuple(read.get("latest", ())),
        ignored=tuple(read.get("ignored", ())),
        stages_last_until_next=bool(read.get("stages_last_until_next", "stage" not in read)),
    )


def _events(read: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if unknown := sorted(set(read) - set(MILESTONES)):
        raise MapError(
            _(
                "[events] does not know {unknown}; it may hold {names}",
                unknown=", ".join(unknown),
                names=", ".join(MILESTONES),
            )
        )
    if "released" not in read:
        raise MapError(_('[events] needs released = ["NAME OF THE EVENT"]'))
    if not {"arrived", "lodged"} & set(read):
        raise MapError(_("[events] needs arrived or lodged: a clock has a beginning"))
    return {name: (words,) if isinstance(words, str) else tuple(words) for name, words in read.items()}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise MapError(_("zone {name!r} is no time zone: write it like Asia/Shanghai", name=name)) from error
    return name
