"""Tables as spreadsheets save them: which characters, which delimiter, which row is which.

A cell is text and nothing else: what begins with = + - or @ is a formula to a spreadsheet, never to us.
"""

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from backend.domain.errors import Message
from backend.domain.interop.reading import UnknownFormat

MOST_ROWS = 4_000
"""A table goes in as one unit of work, and nobody else writes meanwhile: at 3 ms a declaration, about 12 seconds."""
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig", "UTF-8"), (b"\xff\xfe", "utf-16", "UTF-16"), (b"\xfe\xff", "utf-16", "UTF-16"))


@dataclass(frozen=True)
class RawTable:
    """A table's cells, trimmed: the header, and the rows that are not blank, each with its number in a spreadsheet."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    delimiter: str


def decode(content: bytes) -> tuple[str, str]:
    """The text and the name of its encoding: by its byte order mark, else UTF-8, else GB18030."""
    for mark, codec, name in _BOMS:
        if content.startswith(mark):
            try:
                return content.decode(codec), name
            except UnicodeDecodeError as error:
                raise UnknownFormat("not-text", encoding=name, position=error.start) from error
    for codec, name in (("utf-8", "UTF-8"), ("gb18030", "GB18030")):
        try:
            return content.decode(codec), name
        except UnicodeDecodeError as error:
            position = error.start
    raise UnknownFormat("not-text", encoding="UTF-8, GB18030", position=position)


def _fault(error: csv.Error) -> Message:
    """What the standard library's reader stumbled over, which it tells in English only."""
    if "limit" in str(error):
        return Message("a cell is longer than {most} characters", most=csv.field_size_limit())
    return Message("it is not written as CSV: {fault}", fault=str(error))


def read_table(content: bytes, known_names: Collection[str]) -> RawTable:
    """The table; its delimiter is the one that yields the most known column names. Raises UnknownFormat."""
    text, encoding = decode(content)
    counts = {mark: sum(name.casefold() in known_names for name in _header(text, mark)) for mark in _DELIMITERS}
    delimiter = max(counts, key=lambda mark: counts[mark])
    if counts[delimiter] < 2:
        raise UnknownFormat("no-columns", seen=text.split("\n", 1)[0][:80].strip())
    rows = []
    try:
        for number, row in enumerate(_reader(text, delimiter), 1):
            cells = tuple(cell.strip() for cell in row)
            if any(cells):
                rows.append((number, cells))
            if len(rows) > MOST_ROWS + 1:
                raise UnknownFormat("too-many-rows", most=MOST_ROWS)
    except csv.Error as error:
        raise UnknownFormat("broken-table", row=_row_after(rows), why=_fault(error)) from error
    return RawTable(rows[0][1], tuple(rows[1:]), encoding, _DELIMITERS[delimiter])


def _row_after(rows: list[tuple[int, tuple[str, ...]]]) -> int:
    return rows[-1][0] + 1 if rows else 1


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _header(text: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next((row for row in _reader(text, delimiter) if any(row)), [])]
    except csv.Error:
        return []
