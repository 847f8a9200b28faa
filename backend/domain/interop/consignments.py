"""Reads a table of consignments as declarations: one row per item, rows with the same reference belong together."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from backend.domain.fields import in_base_unit
from backend.domain.interop.columns import (
    BY_NAME,
    COLUMNS,
    LIST_ONLY,
    TOTALS,
    Column,
)
from backend.domain.interop.conversions import Converted, written_number
from backend.domain.interop.draft import DEFAULTS, faults
from backend.domain.interop.field_help import meaning_of
from backend.domain.interop.reading import Note, Severity, Unusable
from backend.domain.interop.table import RawTable, in_half_width, plain_name, read_table, without_guard
from backend.domain.kinds import Kind

FORMAT = "consignments-table"
_HEAD = tuple(column for column in COLUMNS if not column.of_item)
_CODE_AS_NUMBER = re.compile(r"[0-9]+\.0")
"""A code that a spreadsheet stored as a number. Two zeros may be a part of an HS code (9405.21.00)."""


@dataclass(frozen=True)
class DeclaredRows:
    """A declaration's fields, and the numbers of the rows that they come from, one for each item."""

    fields: dict[str, Any]
    rows: tuple[int, ...]

    @property
    def reference(self) -> str:
        """The declarant's own number."""
        return str(self.fields.get("declarationReference", ""))


@dataclass(frozen=True)
class Table:
    """The content of a table: declarations, the names of its columns by our fields, and notes for the report."""

    declarations: tuple[DeclaredRows, ...]
    names: Mapping[str, str]
    notes: tuple[Note, ...]
    row_count: int

    def place(self, declaration: DeclaredRows, path: str) -> tuple[int, str]:
        """Return the row and the column of a declaration's field."""
        parts = path.split(".")
        if parts[0] == "items" and len(parts) > 2:
            return declaration.rows[int(parts[1])], self.names.get(parts[2], parts[2])
        return declaration.rows[0], self.names.get(parts[0], parts[0])


@dataclass(frozen=True)
class TableStyle:
    """How a table is written, as far as the merchant says.

    ``encoding`` is its character encoding, ``decimal`` its decimal mark: ``point`` or ``comma``.
    """

    encoding: str | None = None
    decimal: str | None = None


AS_IT_SEEMS = TableStyle()
"""The default style: nothing is stated, so ambiguous cells are reported to the merchant."""


@dataclass
class _Row:
    number: int
    cells: dict[str, Any] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


class _Report:
    """Notes on a table. What occurs alike in many rows is reported once, with the number of rows."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._alike: Counter[tuple[str, str, str, str, str]] = Counter()
        self._cleaned: dict[tuple[str, str, str], list[tuple[str, str]]] = {}

    def note(
        self, severity: Severity, code: str, where: str, our: str = "", row: int | None = None, **values: Any
    ) -> None:
        self.notes.append(Note(severity, code, where, our, values, row))

    def converted(self, name: str, column: Column, how: str, raw: str, value: Any) -> None:
        self._alike[(name, column.field, how, raw, str(value))] += 1

    def cleaned(self, name: str, column: Column, how: str, raw: str, value: str) -> None:
        self._cleaned.setdefault((name, column.field, how), []).append((raw, value))

    def counted(self) -> list[Note]:
        """Return the conversions, each with its number of rows."""
        cleaned = [
            Note(Severity.CONVERTED, how, name, our, {"raw": cells[0][0], "value": cells[0][1], "rows": len(cells)})
            for (name, our, how), cells in self._cleaned.items()
        ]
        return cleaned + [
            Note(Severity.CONVERTED, how, name, our, {"raw": raw, "value": value, "rows": count})
            for (name, our, how, raw, value), count in self._alike.items()
        ]


def read_consignments(content: bytes, style: TableStyle = AS_IT_SEEMS) -> Table:
    """Read a table and check every cell of every row.

    Raises:
        UnknownFormat: if it is not a table of consignments.
    """
    raw = read_table(content, BY_NAME, style.encoding)
    report = _Report()
    report.note(Severity.WARNING, "table", "", encoding=raw.encoding, delimiter=raw.delimiter, rows=len(raw.rows))
    if raw.presumed:
        report.note(Severity.WARNING, "encoding-presumed", "", encoding=raw.encoding, words=raw.presumed)
    if raw.titles:
        report.note(Severity.WARNING, "titles", "", value=" / ".join(raw.titles))
    if raw.repeated:
        report.note(Severity.WARNING, "header-again", "", rows=", ".join(map(str, raw.repeated)))
    places = _columns(raw, report)
    names = {column.field: raw.header[place] for place, column in places.items()}
    if totals := _totals(raw, places):
        report.note(Severity.WARNING, "totals", "", rows=", ".join(map(str, sorted(totals))))
        raw = replace(raw, rows=tuple(row for row in raw.rows if row[0] not in totals))
    rows = [_read_row(raw, number, cells, places, style, report) for number, cells in raw.rows]
    if not rows:
        report.note(Severity.WRONG, "no-rows", "")
    declarations = [_declaration(group, names, report) for group in _groups(rows, names, report)]
    told = _told_columns(raw, places, report)
    return Table(tuple(declarations), names, (*told, *report.counted(), *report.notes), len(rows))


def _columns(raw: RawTable, report: _Report) -> dict[int, Column]:
    places: dict[int, Column] = {}
    for place, name in enumerate(raw.header):
        column = BY_NAME.get(plain_name(name))
        if column is None:
            if name or any(place < len(cells) and cells[place] for _, cells in raw.rows):
                code = "list-only" if plain_name(name) in LIST_ONLY else "unknown-column"
                report.note(Severity.UNUSED, code, name or f"#{place + 1}")
        elif column in places.values():
            report.note(Severity.WRONG, "column-twice", name, column.field)
        else:
            places[place] = column
    for column in COLUMNS:
        if column.required and column not in places.values():
            alias = column.alias or column.field
            report.note(
                Severity.MISSING, "lacking-column", "", column.field, meaning=meaning_of(_path(column)), alias=alias
            )
    return places


def _path(column: Column) -> str:
    return f"items.0.{column.field}" if column.of_item else column.field


def _told_columns(raw: RawTable, places: Mapping[int, Column], report: _Report) -> list[Note]:
    filled = {place: sum(place < len(cells) and bool(cells[place]) for _, cells in raw.rows) for place in places}
    for name, value in DEFAULTS[Kind.DECLARATION].items():
        count = sum(filled[place] for place, column in places.items() if column.field == name)
        if count < len(raw.rows):
            report.note(Severity.WARNING, "default-rows", "", name, value=value, rows=len(raw.rows) - count)
    return [
        Note(Severity.TAKEN, "rows", raw.header[place], column.field, {"rows": filled[place], "all": len(raw.rows)})
        for place, column in places.items()
    ]


def _read_row(
    raw: RawTable,
    number: int,
    cells: tuple[str, ...],
    places: Mapping[int, Column],
    style: TableStyle,
    report: _Report,
) -> _Row:
    row = _Row(number)
    if len(cells) > len(raw.header):
        report.note(Severity.WRONG, "too-many-cells", "", row=number, cells=len(cells), columns=len(raw.header))
    for place, column in places.items():
        cell = _cleaned(cells[place] if place < len(cells) else "", raw.header[place], column, report)
        if not cell:
            continue
        try:
            value, how = _read_cell(cell, column, raw.delimiter, style)
        except Unusable as error:
            row.broken.add(column.field)
            report.note(Severity.WRONG, "unusable-cell", raw.header[place], column.field, number, why=error)
        else:
            row.cells[column.field] = value
            if how:
                report.converted(raw.header[place], column, how, cell, value)
    return row


def _cleaned(cell: str, name: str, column: Column, report: _Report) -> str:
    """Return the cell without a spreadsheet's text marker and line breaks, codes in half width; all are reported."""
    half = cell if column.is_free_text else in_half_width(cell)
    if half != cell:
        report.cleaned(name, column, "full-width", cell, half)
    bare = without_guard(half, column.is_free_text)
    if bare != half:
        report.cleaned(name, column, "guard", half, bare)
    in_one_line = " ".join(filter(None, (line.strip() for line in bare.splitlines())))
    if in_one_line != bare:
        report.cleaned(name, column, "line-break", bare, in_one_line)
    if column.is_code and _CODE_AS_NUMBER.fullmatch(in_one_line):
        code = in_one_line.removesuffix(".0")
        report.cleaned(name, column, "code-as-number", in_one_line, code)
        return code
    return in_one_line


def _totals(raw: RawTable, places: Mapping[int, Column]) -> set[int]:
    """Return the numbers of the rows that sum up others: they say so, and beside numbers they say nothing else."""
    found = set()
    for number, cells in raw.rows:
        filled = {place: cell for place, cell in enumerate(cells) if cell}
        in_words = [
            cell for place, cell in filled.items() if place not in places or not _is_amount(cell, places[place])
        ]
        if in_words and len(filled) > len(in_words) and all(plain_name(cell) in TOTALS for cell in in_words):
            found.add(number)
    return found


def _is_amount(cell: str, column: Column) -> bool:
    return column.is_number and any(map(str.isdigit, cell))


def _read_cell(cell: str, column: Column, delimiter: str, style: TableStyle) -> Converted:
    if not column.is_number:
        return column.read(cell)
    written, how = written_number(cell, style.decimal, delimiter)
    value, also = column.read(written)
    return value, how or also


def _groups(rows: list[_Row], names: Mapping[str, str], report: _Report) -> list[list[_Row]]:
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        reference = row.cells.get("declarationReference")
        if reference is not None:
            groups.setdefault(reference, []).append(row)
        elif "declarationReference" in names and "declarationReference" not in row.broken:
            meaning = meaning_of("declarationReference")
            where = names["declarationReference"]
            report.note(Severity.WRONG, "empty-cell", where, "declarationReference", row.number, meaning=meaning)
    return list(groups.values())


def _declaration(group: list[_Row], names: Mapping[str, str], report: _Report) -> DeclaredRows:
    fields: dict[str, Any] = {}
    for column in _HEAD:
        stated = [row for row in group if column.field in row.cells]
        for row in stated:
            if row.cells[column.field] != stated[0].cells[column.field]:
                values = {"value": row.cells[column.field], "first": stated[0].number}
                where = names[column.field]
                report.note(Severity.WRONG, "differs", where, column.field, row.number, **values)
        if stated:
            fields[column.field] = stated[0].cells[column.field]
    items = [{c.field: row.cells[c.field] for c in COLUMNS if c.of_item and c.field in row.cells} for row in group]
    declaration = DeclaredRows({**fields, "items": items}, tuple(row.number for row in group))
    _check(declaration, group, names, report)
    _weigh(declaration, names, report)
    return declaration


def _weigh(declaration: DeclaredRows, names: Mapping[str, str], report: _Report) -> None:
    """Warn where the items whose quantity is a mass weigh more than everything together with its packing."""
    gross, items = declaration.fields.get("grossWeightMeasure"), declaration.fields["items"]
    stated = [(item["quantity"], item["unitCode"]) for item in items if "quantity" in item and "unitCode" in item]
    based = [in_base_unit(Decimal(quantity), unit) for quantity, unit in stated]
    net = sum((mass for base, mass in based if base == "KGM"), Decimal(0))
    if gross is not None and net > Decimal(gross):
        where, row = names.get("grossWeightMeasure", ""), declaration.rows[0]
        values = {"value": gross, "net": f"{net.normalize():f}"}
        report.note(Severity.WARNING, "items-above-gross", where, "grossWeightMeasure", row, **values)


def _check(declaration: DeclaredRows, group: list[_Row], names: Mapping[str, str], report: _Report) -> None:
    for path, what in faults(Kind.DECLARATION, declaration.fields):
        parts = (path or _field_named_in(str(what))).split(".")
        of_item = parts[0] == "items" and len(parts) > 2
        row, our = (group[int(parts[1])], parts[2]) if of_item else (group[0], parts[0])
        # The cell is in the report already, as one that could not be read.
        if our in (row.broken if of_item else {name for other in group for name in other.broken}):
            continue
        if what != "is missing":
            report.note(Severity.WRONG, "fault", names.get(our, our), our, row.number, what=what)
        elif our in names:
            report.note(Severity.WRONG, "empty-cell", names[our], our, row.number, meaning=meaning_of(path))


def _field_named_in(fault: str) -> str:
    """Return the field of a fault between several fields: its message begins with the one that it is about."""
    return next((column.field for column in _HEAD if fault.startswith(f"{column.field} ")), "")
