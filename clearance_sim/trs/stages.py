"""Where the time goes: how long each stage lasted, waiting and worked on, and who was responsible."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clearance_sim.trs.cases import Cases, in_hours
from clearance_sim.trs.event_log import EventLog

ENTER, START, END, LEAVE = "enter", "start", "end", "leave"


@dataclass(frozen=True)
class Stage:
    """Hours of one stage over the released cases."""

    name: str
    party: str | None
    cases: int
    """How many went through it."""
    mean: float
    """Over those who went through it, all visits together."""
    median: float
    p90: float
    mean_waiting: float | None
    """None where the log does not tell waiting from work."""
    per_case: float
    """Mean over all released cases."""
    first_start: str
    last_end: str


def stages(log: EventLog, cases: Cases) -> list[Stage]:
    """Return every stage that released cases went through, longest share first."""
    released = cases.table.index[cases.table["released"].notna()]
    if len(released) == 0:
        return []
    ends = cases.table["released"].reindex(log.table["case"]).to_numpy()
    inside = log.table[log.table["time"].to_numpy() <= ends]
    if log.map.started is not None:
        spent = _activities(_that_matter(log, inside, cases))
    else:
        spent = _until_next(_that_matter(log, inside, cases)) if log.map.stages_last_until_next else _visits(inside)
    found = [_stage(log, str(name), rows, len(released)) for name, rows in spent.groupby("stage", observed=True)]
    return sorted((stage for stage in found if stage.cases), key=lambda stage: -stage.per_case)


def _that_matter(log: EventLog, events: pd.DataFrame, cases: Cases) -> pd.DataFrame:
    """Drop events that change nothing for the goods, and arrivals after lodgement."""
    lodged = cases.table["lodged"].reindex(events["case"]).to_numpy()
    arrivals = events["event"].isin(log.map.events.get("arrived", ())).to_numpy()
    late = arrivals & (events["time"].to_numpy() >= lodged)
    return events[~late & ~events["event"].isin(log.map.ignored).to_numpy()]


def _until_next(events: pd.DataFrame) -> pd.DataFrame:
    """Return the stages of a log in which each event lasts until the next one of its case."""
    ordered = events.sort_values(["case", "time", "row"], kind="stable")
    same_case = ordered["case"].to_numpy()[:-1] == ordered["case"].to_numpy()[1:]
    begins, ends = ordered.iloc[:-1][same_case], ordered["time"].to_numpy()[1:][same_case]
    spent = begins[["case", "stage"]].assign(begin=begins["time"], end=ends, hours=in_hours(ends - begins["time"]))
    if "party" in begins:
        spent["party"] = begins["party"]
    return _together(spent.assign(waiting=np.nan))


def _activities(events: pd.DataFrame) -> pd.DataFrame:
    """Return the stages of a log that tells when work began and was complete.

    A stage begins when the case's activity before it is complete, and waits until its own work begins.
    """
    begins = events[events["event"] == START].set_index("row")["time"]
    ends = events[events["event"] != START].sort_values(["case", "time", "row"], kind="stable")
    work_begins = begins.reindex(ends["row"]).fillna(pd.Series(ends["time"].to_numpy(), index=ends["row"])).to_numpy()
    before = ends["time"].shift().where(ends["case"].eq(ends["case"].shift())).to_numpy()
    stage_begins = np.fmin(before, work_begins)
    spent = ends[["case", "stage"]].assign(
        begin=stage_begins,
        end=ends["time"],
        hours=in_hours(ends["time"].to_numpy() - stage_begins),
        waiting=in_hours(work_begins - stage_begins),
    )
    if "party" in ends:
        spent["party"] = ends["party"]
    return _together(spent, waiting="sum")


def _visits(events: pd.DataFrame) -> pd.DataFrame:
    """Return visits of a stage from its own enter, start, end and leave; what is still open is left out."""
    origin = int(events["time"].min())
    inside = events[events["event"].isin((ENTER, START, END, LEAVE)) & (events["stage"] != "")]
    keys = ["case", "stage", "event"]
    sums = inside.assign(time=inside["time"] - origin).groupby(keys, observed=True)["time"].agg(["sum", "size", "min"])
    table = sums.unstack("event").astype(float)
    begin = _either(table, ENTER, START)
    finish = _either(table, LEAVE, END)
    whole = begin["size"].to_numpy() == finish["size"].to_numpy()
    work = _either(table, END, LEAVE)["sum"] - _either(table, START, ENTER)["sum"]
    total = finish["sum"] - begin["sum"]
    last = inside.groupby(["case", "stage"], observed=True)["time"].max()
    spent = pd.DataFrame(
        {
            "hours": in_hours(total),
            "waiting": in_hours(total - work) if _is_known(table, START) else np.nan,
            "begin": begin["min"] + origin,
            "end": last,
        }
    )[whole]
    return spent.reset_index()


def _is_known(table: pd.DataFrame, event: str) -> bool:
    return event in table.columns.get_level_values("event")


def _either(table: pd.DataFrame, event: str, instead: str) -> pd.DataFrame:
    chosen = event if _is_known(table, event) else instead
    part = table.xs(chosen, axis=1, level="event") if _is_known(table, chosen) else table.iloc[:, :3] * np.nan
    return part if isinstance(part, pd.DataFrame) else part.to_frame()


def _together(spent: pd.DataFrame, waiting: str = "first") -> pd.DataFrame:
    """Return all visits of one case to one stage as one row."""
    how: dict[str, Any] = {"hours": "sum", "waiting": waiting, "begin": "min", "end": "max"}
    if "party" in spent:
        how["party"] = "first"
    return spent.groupby(["case", "stage"], observed=True).agg(how).reset_index()


def _stage(log: EventLog, name: str, rows: pd.DataFrame, released: int) -> Stage:
    hours = rows["hours"].to_numpy(dtype=float)
    waiting = rows["waiting"].to_numpy(dtype=float)
    party = log.map.parties.get(name)
    if party is None and "party" in rows:
        named = rows["party"].astype(str)
        party = str(named[named != ""].mode().iat[0]) if (named != "").any() else None
    return Stage(
        name=name,
        party=party,
        cases=len(hours),
        mean=float(hours.mean()),
        median=float(np.median(hours)),
        p90=float(np.quantile(hours, 0.9)),
        mean_waiting=None if np.isnan(waiting).all() else float(np.nanmean(waiting)),
        per_case=float(hours.sum() / released),
        first_start=_moment(rows["begin"].min()),
        last_end=_moment(rows["end"].max()),
    )


def _moment(micros: float) -> str:
    return str(pd.Timestamp(int(micros), unit="us", tz="UTC").isoformat())
