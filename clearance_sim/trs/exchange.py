"""Logs as process mining has them: XES (IEEE 1849-2023) is read and written, OCEL 2.0 in JSON written.

XES is read into a table with the column names that process-mining tools give it: attributes of a trace become columns
`case:KEY`, those of an event columns `KEY`. Where the log tells the beginnings of activities apart from their ends
(`lifecycle:transition`), each row is one activity with both.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.sax.saxutils import quoteattr

import pandas as pd
import pyarrow as pa
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, iterparse

from clearance_sim.messages import _
from clearance_sim.trs import LogError, Problem, numbered

if TYPE_CHECKING:
    from clearance_sim.trs.event_log import EventLog

CASE, EVENT, TIME, STARTED, GROUP = (
    "case:concept:name",
    "concept:name",
    "time:timestamp",
    "start_timestamp",
    "org:group",
)
_TRANSITION, _INSTANCE = "lifecycle:transition", "concept:instance"
_ENDS = {"", "complete", "unknown"}
_CONTAINERS = {"list", "container"}


def is_xes(path: Path, begins: bytes) -> bool:
    """Return whether a file is XES, by its name or its first bytes."""
    name = path.name.lower()
    return name.endswith((".xes", ".xes.gz")) or begins.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<log"))


def read_xes(path: Path) -> tuple[pa.Table, list[Problem]]:
    """Read a log; row numbers count its events. A document type or an entity in it is refused.

    Raises:
        LogError: it is no XES.
    """
    rows = _Rows()
    try:
        with _opened(path) as file:
            for number, (attributes, event) in enumerate(_events(file), 1):
                rows.add(number, attributes, event)
    except (ParseError, DefusedXmlException, EOFError, gzip.BadGzipFile, LookupError, ValueError) as error:
        what = _("{path} is no XES that can be read", path=path.name)
        fix = _("export it anew; documents with a type or entities of their own are not read")
        raise LogError([Problem(what, fix)]) from error
    return rows.table(), rows.findings()


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


_DECLARED = re.compile(rb"""\s*<\?xml[^>]*\sencoding=["']([A-Za-z0-9._-]+)["']""")
_MULTIBYTE = frozenset({"gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"})
"""Encodings that the parser does not know, by Python's names."""


def _as_utf_8(file: IO[bytes]) -> tuple[Any, DefusedXMLParser]:
    """Return the file as the parser can read it, with a parser that goes by that and not by what the file declares."""
    declared = _DECLARED.match(file.read(200))
    file.seek(0)
    name = codecs.lookup(declared.group(1).decode("ascii")).name if declared else ""
    if name not in _MULTIBYTE:
        return file, DefusedXMLParser(target=TreeBuilder(), forbid_dtd=True)
    recoded = codecs.EncodedFile(file, "utf-8", name)
    return recoded, DefusedXMLParser(target=TreeBuilder(), encoding="utf-8", forbid_dtd=True)


def _events(file: IO[bytes]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Yield each event with its trace's attributes, which may stand after it: a trace is read as a whole."""
    root: Element | None = None
    source, parser = _as_utf_8(file)
    for happening, element in iterparse(source, events=("start", "end"), parser=parser, forbid_dtd=True):
        if root is None:
            root = element
            if _kind(root) != "log":
                raise ValueError(_kind(root))
        if happening == "end" and _kind(element) == "trace":
            of_trace = {f"case:{key}": value for key, value in _attributes(element).items()}
            for child in element:
                if _kind(child) == "event":
                    yield of_trace, _attributes(child)
            root.clear()  # what was read is not needed any more


def _kind(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _attributes(element: Element) -> dict[str, str]:
    return {
        child.attrib["key"]: child.attrib["value"]
        for child in element
        if _kind(child) not in _CONTAINERS and "key" in child.attrib and "value" in child.attrib
    }


@dataclass
class _Rows:
    """The activities of a log, as they are found."""

    columns: dict[str, list[str | None]] = field(default_factory=dict)
    count: int = 0
    begun: dict[Any, deque[tuple[int, str | None]]] = field(default_factory=lambda: defaultdict(deque))
    """Beginnings whose end has not come yet, by case and activity."""
    left_out: list[int] = field(default_factory=list)

    def add(self, number: int, of_trace: dict[str, str], event: dict[str, str]) -> None:
        """Add one event; a beginning waits for the end of the same activity."""
        transition = event.get(_TRANSITION, "").strip().lower()
        activity = (of_trace.get(CASE), event.get(EVENT), event.get(_INSTANCE))
        if transition == "start":
            self.begun[activity].append((number, event.get(TIME)))
            return
        if transition not in _ENDS:
            self.left_out.append(number)
            return
        row: dict[str, str | None] = {**of_trace, **event}
        if self.begun[activity]:
            row[STARTED] = self.begun[activity].popleft()[1]
        for name in row.keys() - self.columns.keys():
            self.columns[name] = [None] * self.count
        for name, column in self.columns.items():
            column.append(row.get(name))
        self.count += 1

    def table(self) -> pa.Table:
        columns = {name: self.columns.get(name, [None] * self.count) for name in (CASE, EVENT, TIME)}
        return pa.table({name: pa.array(column, pa.string()) for name, column in {**self.columns, **columns}.items()})

    def findings(self) -> list[Problem]:
        unended = sorted(number for waiting in self.begun.values() for number, _time in waiting)
        found = [
            numbered(_("activities that begin and do not end"), _("left out"), unended),
            numbered(_("events of activities under way (schedule, suspend, resume …)"), _("left out"), self.left_out),
        ]
        return [each for each in found if each.count]


# ---- written


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
