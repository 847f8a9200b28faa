"""From events to cases: when each declaration's goods arrived, were lodged, released, and left.

The rules for doubtful cases, all counted and shown: rows that say the same thing twice count once; of repeated
arrivals and lodgements the first counts, of repeated releases and departures the last; goods released before they
arrived waited zero hours at the border, as in the backend's own clock; what was released before it was lodged, or
has no beginning, is set aside.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clearance_sim.messages import _
from clearance_sim.trs import Problem, problem
from clearance_sim.trs.column_map import MILESTONES
from clearance_sim.trs.event_log import MICROSECONDS_AN_HOUR, EventLog

_FIRST = ("arrived", "lodged")
Mask = "np.ndarray[Any, np.dtype[np.bool_]]"


@dataclass(frozen=True)
class Cases:
    """One row a declaration, by its number in the log; times are microseconds since 1970, NaN where unknown."""

    table: pd.DataFrame
    findings: tuple[Problem, ...]
    set_aside: int

    def hours(self, begin: str, end: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """Return the hours from one moment to another; NaN where either is unknown."""
        micros = self.table[end].to_numpy() - self.table[begin].to_numpy()
        # As the backend does it, step by step, so that both figures are the same to the last bit.
        hours: np.ndarray[Any, np.dtype[np.float64]] = micros / 1e6 / 3600
        return hours


def without_repetitions(log: EventLog) -> tuple[EventLog, Problem | None]:
    """Drop rows that repeat an earlier one in full; a simulation's visits never do."""
    if log.map.visits:
        return log, None
    repeated = log.table.duplicated(["case", "event", "stage", "time"]).to_numpy()
    found = problem(_("events that are in the log twice"), _("counted once"), repeated)
    return replace(log, table=log.table[~repeated]) if found else log, found


def cases_of(log: EventLog, until: float | None = None) -> Cases:
    """Gather each declaration's moments; ``until`` is when the observation ended (default: the last event)."""
    size = len(log.names)
    table = pd.DataFrame(index=pd.RangeIndex(size))
    findings: list[Problem | None] = []
    for milestone in MILESTONES:
        table[milestone], repeated = _moment(log, milestone, size)
        findings.append(repeated)
    # Goods change their channel on the way: the one they ended in counts.
    last = log.table.drop_duplicates("case", keep="last").set_index("case")
    for split in log.splits:
        table[split] = last[split]
    table["seen_until"] = _end_of_observation(log, table, until)
    first_row = log.table.drop_duplicates("case").set_index("case")["row"].reindex(table.index)
    return _sound(table, first_row.to_numpy(), findings)


def _moment(log: EventLog, milestone: str, size: int) -> tuple[Any, Problem | None]:
    words = log.map.events.get(milestone, ())
    if milestone in log.map.latest:
        # Reached when all of its events have happened.
        return np.max([_first(log, word, size) for word in words], axis=0), None
    rows = log.table[_is_any_of(log, words)]
    is_first = milestone in _FIRST
    ordered = rows.sort_values(["time", "row"], kind="stable", ascending=is_first)
    kept = ordered.drop_duplicates("case")
    moments = np.full(size, np.nan)
    moments[kept["case"]] = kept["time"]
    others = rows.duplicated("case").to_numpy()
    label = milestone.replace("_", "-")
    return moments, problem(
        _("declarations {label} more than once", label=label),
        _("the first counts") if is_first else _("the last counts"),
        others,
        rows["row"],
    )


def _first(log: EventLog, word: str, size: int) -> Any:
    rows = log.table[_is_any_of(log, (word,))]
    moments = np.full(size, np.nan)
    first = rows.groupby("case")["time"].min()
    moments[first.index] = first
    return moments


def _is_any_of(log: EventLog, words: tuple[str, ...]) -> Any:
    """Return rows whose event, or EVENT:STAGE, is one of the words."""
    found = np.zeros(len(log.table), dtype=bool)
    for word in words:
        name, _, stage = word.partition(":")
        here = (log.table["event"] == name).to_numpy()
        found |= here & (log.table["stage"] == stage).to_numpy() if stage else here
    return found


def _end_of_observation(log: EventLog, table: pd.DataFrame, until: float | None) -> Any:
    if until is not None:
        return until
    if "replication" not in table:
        return float(log.table["time"].max())
    last = log.table.groupby("replication", observed=True)["time"].max()
    return table["replication"].map(last).astype(float)


def _sound(table: pd.DataFrame, rows: Any, findings: list[Problem | None]) -> Cases:
    arrived, lodged, released = (table[name].to_numpy() for name in ("arrived", "lodged", "released"))
    rootless = np.isnan(arrived) & np.isnan(lodged)
    backwards = released < lodged
    early = released < arrived
    left_early = table["gate_out"].to_numpy() < released
    findings += [
        problem(_("declarations with neither arrival nor lodgement"), _("set aside"), rootless, rows),
        problem(_("declarations released before they were lodged"), _("set aside"), backwards, rows),
        problem(_("goods released before they arrived"), _("kept, arrival to release is zero"), early, rows),
        problem(
            _("goods gone before they were released"), _("their release to gate-out is left out"), left_early, rows
        ),
    ]
    table.loc[left_early, "gate_out"] = np.nan
    wrong = rootless | backwards
    return Cases(table[~wrong], tuple(found for found in findings if found), int(wrong.sum()))


def local_times(moments: "np.ndarray[Any, Any]", zone: str) -> pd.DatetimeIndex:
    """Return microseconds since 1970 as local times."""
    return pd.DatetimeIndex(pd.to_datetime(moments, unit="us", utc=True)).tz_convert(zone)


def in_hours(micros: Any) -> Any:
    """Return microseconds as hours."""
    return micros / MICROSECONDS_AN_HOUR
