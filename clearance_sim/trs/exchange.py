"""Writes a log for process mining: XES (IEEE 1849-2023) and OCEL 2.0 in JSON, with the standard library alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from clearance_sim.trs.event_log import EventLog

_LIFECYCLE = {"start": "start", "end": "complete", "leave": "complete", "enter": "schedule"}
_XES_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="2.0" xes.features="" xmlns="http://www.xes-standard.org/">
 <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
 <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
 <extension name="Lifecycle" prefix="lifecycle" uri="http://www.xes-standard.org/lifecycle.xesext"/>
 <extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
"""


def write(log: EventLog, file: Path) -> None:
    """Write the log by the file's ending: .xes, or .jsonocel and .json for OCEL 2.0. Raises ValueError."""
    if file.suffix == ".xes":
        with file.open("w", encoding="utf-8") as out:
            out.writelines(xes(log))
    elif file.suffix in (".jsonocel", ".json"):
        file.write_text(json.dumps(ocel(log), ensure_ascii=False), encoding="utf-8")
    else:
        raise ValueError(f"{file.name}: a log is written as .xes or .jsonocel; choose such a name")


def xes(log: EventLog) -> Iterator[str]:
    """Yield the log as XES, one trace per declaration, one event per row, in the order of time."""
    yield _XES_HEAD
    for case, events in _in_order(log).groupby("case", sort=True):
        yield f" <trace>\n  {_text('concept:name', _name(log, case))}\n"
        for event in events.itertuples():
            yield _xes_event(log, event)
        yield " </trace>\n"
    yield "</log>\n"


def _xes_event(log: EventLog, event: Any) -> str:
    parts = [_text("concept:name", event.stage or event.event)]
    if log.map.started and event.event != "start":
        parts.append(_text("lifecycle:transition", "complete"))
    elif event.stage and event.stage != event.event:
        parts.append(_text("lifecycle:transition", _LIFECYCLE.get(event.event, "unknown")))
    if party := log.map.parties.get(str(event.stage)):
        parts.append(_text("org:group", party))
    parts.append(f'<date key="time:timestamp" value={quoteattr(_moment(event.time))}/>')
    return f"  <event>{''.join(parts)}</event>\n"


def _text(key: str, value: object) -> str:
    return f"<string key={quoteattr(key)} value={quoteattr(str(value))}/>"


def ocel(log: EventLog) -> dict[str, Any]:
    """Return declarations and, where the log names them, customs offices as objects that the events relate to."""
    ordered = _in_order(log)
    kinds = sorted(map(str, ordered["event"].unique()))
    offices = sorted(set(ordered["office"].astype(str)) - {"", "nan"}) if "office" in ordered else []
    objects = [{"id": _name(log, case), "type": "declaration"} for case in sorted(ordered["case"].unique())]
    return {
        "objectTypes": [{"name": name, "attributes": []} for name in ("declaration", "customs office")],
        "eventTypes": [{"name": name, "attributes": [{"name": "stage", "type": "string"}]} for name in kinds],
        "objects": [*objects, *({"id": f"office:{name}", "type": "customs office"} for name in offices)],
        "events": [_ocel_event(log, event) for event in ordered.itertuples()],
    }


def _ocel_event(log: EventLog, event: Any) -> dict[str, Any]:
    related = [{"objectId": _name(log, event.case), "qualifier": "of"}]
    office = str(getattr(event, "office", "") or "")
    if office not in ("", "nan"):
        related.append({"objectId": f"office:{office}", "qualifier": "at"})
    return {
        "id": f"e{event.row}",
        "type": str(event.event),
        "time": _moment(event.time),
        "attributes": [{"name": "stage", "value": str(event.stage)}],
        "relationships": related,
    }


def _in_order(log: EventLog) -> pd.DataFrame:
    return log.table.sort_values(["time", "row"], kind="stable")


def _name(log: EventLog, case: Any) -> str:
    return "/".join(map(str, log.names.iloc[int(case)]))


def _moment(micros: int) -> str:
    return str(pd.Timestamp(int(micros), unit="us", tz="UTC").isoformat())
