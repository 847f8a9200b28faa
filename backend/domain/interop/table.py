"""Reads tables as spreadsheets save them: finds delimiter and header, and strips what spreadsheets add to cells.

A cell is text and nothing else: what begins with = + - or @, a formula to a spreadsheet, is never evaluated.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from backend.domain.errors import Message
from backend.domain.interop.encodings import decode
from backend.domain.interop.reading import UnknownFormat

MOST_ROWS = 4_000
"""A table is stored in one unit of work, which blocks other writers: about 12 seconds at 3 ms per declaration."""
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HEADER_WITHIN = 20
"""Number of rows in which the header is searched, because reports have titles above it."""
_SPACES = "".join(map(chr, filter(lambda code: chr(code).isspace(), range(0x3001)))) + "\u200b\u200c\u200d\u2060\ufeff"
_QUOTED = re.compile(r'="(.*)"', re.S)
_APOSTROPHE = re.compile(r"['’‘](?=[^'’‘]+$)", re.S)
_SEP_LINE = re.compile(r'["\']?sep=(?P<mark>\t|[^\w\s"\'])["\']?[^\S\n]*\r?\n', re.I)


@dataclass(frozen=True)
class RawTable:
    """A table's cells, trimmed: the header, and the rows that are not blank, each with its number in a spreadsheet.

    ``presumed`` holds sample words where the encoding was only presumed, ``titles`` the rows above the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    delimiter: str
    presumed: str = ""
    titles: tuple[str, ...] = ()


def without_guard(cell: str, is_free_text: bool) -> str:
    """Return a cell without a spreadsheet's text marker: ``="0012"``, or an apostrophe in front.

    In free text an apostrophe may be part of a name ('s-Hertogenbosch), so there it is removed only before a number or
    a formula.
    """
    if quoted := _QUOTED.fullmatch(cell):
        return quoted.group(1).strip(_SPACES)
    if (mark := _APOSTROPHE.match(cell)) and (not is_free_text or cell[mark.end()] in "0123456789=+-@"):
        return cell[mark.end() :].strip(_SPACES)
    return cell


def _fault(error: csv.Error) -> Message:
    """Translate an error of the standard library's reader, which is in English only."""
    if "limit" in str(error):
        return Message("a cell is longer than {most} characters", most=csv.field_size_limit())
    if "expected after" in str(error):
        return Message("a quotation mark stands within a cell: inside a quoted cell it is written twice")
    if "unexpected end" in str(error):
        return Message("a quotation mark is opened and never closed")
    return Message("it is not written as CSV: {fault}", fault=str(error))


def read_table(content: bytes, known_names: Collection[str], encoding: str | None = None) -> RawTable:
    """Read the table with the delimiter and header that yield the most known column names.

    Raises:
        UnknownFormat: if it is not text, holds no known columns, is broken, or has too many rows.
    """
    decoded = decode(content, encoding)
    text, told = _without_sep_line(decoded.text)
    delimiter, above, count = _header(text, known_names, told)
    if count < 2:
        _refuse(text)
    rows = []
    try:
        for number, row in enumerate(_reader(text, delimiter), 1):
            cells = tuple(cell.strip(_SPACES) for cell in row)
            if any(cells):
                rows.append((number, cells))
            if len(rows) > MOST_ROWS + above + 1:
                raise UnknownFormat("too-many-rows", most=MOST_ROWS)
    except csv.Error as error:
        raise UnknownFormat("broken-table", row=_row_after(rows), why=_fault(error)) from error
    titles = tuple(" ".join(filter(None, cells)) for _, cells in rows[:above])
    header = tuple(without_guard(cell, is_free_text=False) for cell in rows[above][1])
    name = _DELIMITERS.get(delimiter, delimiter)
    return RawTable(header, tuple(rows[above + 1 :]), decoded.encoding, name, decoded.presumed, titles)


def _refuse(text: str) -> None:
    if text.lstrip(_SPACES)[:1] in ("{", "["):
        raise UnknownFormat("json-not-utf-8")
    raise UnknownFormat("no-columns", seen=text.split("\n", 1)[0][:80].strip())


def _without_sep_line(text: str) -> tuple[str, str | None]:
    """Remove the line that tells a spreadsheet the delimiter; spreadsheets neither show nor count it as a row."""
    told = _SEP_LINE.match(text)
    return (text[told.end() :], told["mark"]) if told else (text, None)


def _header(text: str, known_names: Collection[str], told: str | None) -> tuple[str, int, int]:
    """Return the delimiter, how many filled rows are above the header, and how many names in it are known."""
    best = (told or ",", 0, 0)
    for delimiter in [told] if told else _DELIMITERS:
        for above, row in enumerate(_first_rows(text, delimiter)):
            count = sum(without_guard(cell, is_free_text=False).casefold() in known_names for cell in row)
            if count > best[2]:
                best = (delimiter, above, count)
    return best


def _row_after(rows: list[tuple[int, tuple[str, ...]]]) -> int:
    return rows[-1][0] + 1 if rows else 1


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _first_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    trimmed = ([cell.strip(_SPACES) for cell in row] for row in _reader(text, delimiter))
    try:
        yield from islice(filter(any, trimmed), _HEADER_WITHIN)
    except csv.Error:
        return
