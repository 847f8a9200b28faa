"""Reads XES (IEEE 1849-2023) into a table, with the column names that process-mining tools give it.

Attributes of a trace become columns `case:KEY`, those of an event columns `KEY`. Where the log tells the beginnings of
activities apart from their ends (`lifecycle:transition`), each row is one activity with both.
"""

import codecs
import gzip
import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import pyarrow as pa
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, iterparse

from clearance_sim.messages import _
from clearance_sim.trs.problems import LogError, Problem, numbered

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
