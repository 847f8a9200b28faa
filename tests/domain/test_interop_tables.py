"""Tables of consignments: every cell is checked, every fault told at its row and column."""

import csv
import io
from pathlib import Path

import pytest

from backend.domain.interop.columns import (
    BY_NAME,
    CHINA_CURRENCIES,
    CHINA_UNITS,
    COLUMNS,
)
from backend.domain.interop.consignments import read_consignments
from backend.domain.interop.reading import Severity, UnknownFormat
from backend.domain.interop.table import MOST_ROWS
from backend.messages.imports import report

ROW = {
    "copNo": "MS-1",
    "customsCode": "2925",
    "tradeMode": "9610",
    "ieFlag": "E",
    "ebpName": "Market",
    "orderNo": "O-1",
    "logisticsNo": "W-1",
    "logisticsName": "Air",
    "country": "SGP",
    "packNo": "2",
    "grossWeight": "12.5",
    "netWeight": "11",
    "gcode": "9405210090",
    "gname": "Lamp",
    "qty": "20",
    "unit": "011",
    "price": "6.50",
    "currency": "502",
    "originCountry": "CN",
}


def table(*rows, delimiter=",", encoding="utf-8", without=()):
    """A table with one row for each set of changes to a good row."""
    names = [name for name in dict.fromkeys([*ROW, *(n for row in rows for n in row)]) if name not in without]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, delimiter=delimiter, extrasaction="ignore")
    writer.writeheader()
    writer.writerows([ROW | row for row in rows])
    return text.getvalue().encode(encoding)


def wrong(read):
    return {(note.row, note.where): note.code for note in read.notes if note.severity is Severity.WRONG}


def blocked(read):
    return [report(note) for note in read.notes if note.severity.blocks]


def test_9610_list_column_names_lead_to_our_fields():
    read = read_consignments(table({}))
    assert not blocked(read)
    fields = read.declarations[0].fields
    assert fields["declarationReference"] == "MS-1"
    assert fields["destinationCountry"] == "SG"
    assert fields["direction"] == "export"
    assert fields["items"][0] | {"unitCode": "H87", "currency": "USD"} == fields["items"][0]


def test_our_own_names_lead_to_the_same_declaration():
    ours = {column.alias: column.field for column in COLUMNS if column.alias}
    header, rest = table({}).decode().split("\r\n", 1)
    renamed = ",".join(ours.get(name, name) for name in header.split(","))
    assert read_consignments(f"{renamed}\r\n{rest}".encode()).declarations == read_consignments(table({})).declarations


def test_scattered_rows_with_one_reference_are_one_declaration():
    read = read_consignments(table({}, {"copNo": "MS-2"}, {"gname": "Flask", "gcode": "961700"}))
    assert [(d.reference, d.rows, len(d.fields["items"])) for d in read.declarations] == [
        ("MS-1", (2, 4), 2),
        ("MS-2", (3,), 1),
    ]


def test_later_rows_may_leave_declaration_cells_empty():
    rest = dict.fromkeys(["customsCode", "orderNo", "logisticsNo", "country", "packNo", "grossWeight"], "")
    assert not blocked(read_consignments(table({}, rest)))


def test_rows_of_one_declaration_that_disagree_are_told():
    assert wrong(read_consignments(table({}, {"country": "MYS"}))) == {(3, "country"): "differs"}


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("copNo", "", "empty-cell"),
        ("copNo", "x" * 61, "fault"),
        ("customsCode", "", "empty-cell"),
        ("tradeMode", "1210", "fault"),
        ("ieFlag", "X", "unusable-cell"),
        ("orderNo", "8.66E+11", "unusable-cell"),
        ("logisticsNo", "", "empty-cell"),
        ("country", "276", "unusable-cell"),
        ("country", "Chin", "unusable-cell"),
        ("packNo", "", "empty-cell"),
        ("packNo", "2.5", "unusable-cell"),
        ("packNo", "0", "fault"),
        ("grossWeight", "96,5", "unusable-cell"),
        ("grossWeight", "0", "fault"),
        ("netWeight", "1,000.5", "unusable-cell"),
        ("gcode", "940521009", "unusable-cell"),
        ("gcode", "77052100", "fault"),
        ("gcode", "9.40521E+09", "unusable-cell"),
        ("gname", "", "empty-cell"),
        ("qty", "", "empty-cell"),
        ("qty", "-1", "unusable-cell"),
        ("qty", "1.2345", "fault"),
        ("qty", "NaN", "unusable-cell"),
        ("qty", "=1+1", "unusable-cell"),
        ("unit", "009", "unusable-cell"),
        ("unit", "11", "unusable-cell"),
        ("unit", "bucket", "unusable-cell"),
        ("price", "free", "unusable-cell"),
        ("currency", "840", "unusable-cell"),
        ("currency", "CNH", "unusable-cell"),
        ("originCountry", "", "empty-cell"),
        ("arrivalDateTime", "2026-03-01 08:30", "unusable-cell"),
        ("arrivalDateTime", "2026-03-32T08:30Z", "unusable-cell"),
    ],
)
def test_bad_cell_is_told_at_row_and_column(column, cell, code):
    read = read_consignments(table({"copNo": "MS-0"}, {column: cell}, {"copNo": "MS-2"}))
    assert wrong(read) == {(3, column): code}


def test_bad_cells_of_all_rows_are_told_together():
    read = read_consignments(table({"qty": "x", "unit": "?"}, {"copNo": "MS-2", "price": "y"}, {"copNo": ""}))
    assert set(wrong(read)) == {(2, "qty"), (2, "unit"), (3, "price"), (4, "copNo")}


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0"])
def test_a_formula_is_text_and_nothing_else(cell):
    read = read_consignments(table({"gname": cell}))
    assert not blocked(read)
    assert read.declarations[0].fields["items"][0]["description"] == cell


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("gb18030", "GB18030"), ("utf-16", "UTF-16")],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_are_recognised_and_told(encoding, told, delimiter):
    read = read_consignments(table({"gname": "台灯, 8 W; 白\t色"}, delimiter=delimiter, encoding=encoding))
    assert read.declarations[0].fields["items"][0]["description"].startswith("台灯, 8 W; 白")
    assert next(note for note in read.notes if note.code == "table").values["encoding"] == told


def test_units_are_known_by_both_codes_and_name():
    """The codes are those of UN/ECE and of China Customs."""
    for cell, unit in [("KGM", "KGM"), ("kgm", "KGM"), ("035", "KGM"), ("千克", "KGM"), ("kilogram", "KGM")]:
        assert read_consignments(table({"unit": cell})).declarations[0].fields["items"][0]["unitCode"] == unit
    assert CHINA_UNITS["011"] == "H87"


def test_conversions_are_told_once_with_how_many_rows():
    read = read_consignments(table({}, {"copNo": "MS-2"}, {"copNo": "MS-3", "unit": "035"}))
    told = {report(note) for note in read.notes if note.severity is Severity.CONVERTED}
    assert "China customs' unit 011 is H87 (piece) (2 rows)" in told
    assert "SGP is SG (3 rows)" in told


def test_columns_not_kept_differ_from_unknown_ones():
    read = read_consignments(table({"totalPrice": "130", "colour": "red"}))
    assert {(n.where, n.code) for n in read.notes if n.severity is Severity.UNUSED} == {
        ("totalPrice", "list-only"),
        ("colour", "unknown-column"),
    }


def test_missing_column_is_told_once_not_per_row():
    read = read_consignments(table({}, {"copNo": "MS-2"}, without=("packNo", "originCountry")))
    assert [n.field for n in read.notes if n.severity.blocks] == ["packageQuantity", "originCountry"]


def test_a_column_under_both_names_is_wrong():
    assert "column-twice" in wrong(read_consignments(table({"quantity": "3"}))).values()


def test_values_not_given_take_defaults_and_are_told():
    read = read_consignments(table({}, without=("tradeMode", "ieFlag")))
    assert [n.field for n in read.notes if n.code == "default-rows"] == ["previousProcedureTypeCode", "direction"]


def test_record_ids_stand_in_one_cell():
    assert read_consignments(table({"records": "a; b；c"})).declarations[0].fields["records"] == ["a", "b", "c"]


def test_row_with_too_many_cells_is_told():
    content = table({}) + b",".join([b"x"] * 25) + b"\r\n"
    assert wrong(read_consignments(content))[(3, "")] == "too-many-cells"


def test_blank_rows_count_but_say_nothing():
    lines = table({}, {"qty": "x"}).split(b"\r\n")
    content = b"\r\n".join([lines[0], b"", lines[1], b",,,", lines[2]])
    assert (5, "qty") in wrong(read_consignments(content))


def test_a_table_without_rows_is_wrong():
    assert wrong(read_consignments(table())) == {(None, ""): "no-rows"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,colour\r\nx,y\r\n", "no-columns"),
        (b'copNo,orderNo\r\nx,"y"z\r\n', "broken-table"),
        (b"\xef\xbb\xbfcopNo,orderNo\r\n\xff\xff\r\n", "not-text"),
        (b"copNo,orderNo\r\n\xff\xff\r\n", "which-encoding"),
        (b"copNo,orderNo\r\n" + b"x,y\r\n" * (MOST_ROWS + 1), "too-many-rows"),
    ],
)
def test_file_without_consignment_table_is_refused_saying_why(content, reason):
    with pytest.raises(UnknownFormat) as refusal:
        read_consignments(content)
    assert refusal.value.reason == reason


def test_every_column_and_china_customs_code_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"| `{column.field}` | {f'`{column.alias}`' if column.alias else ''}" in page
    for code, ours in (CHINA_UNITS | CHINA_CURRENCIES).items():
        assert code in page
        assert ours in page


def test_no_two_columns_share_a_name():
    assert len(BY_NAME) == sum(1 + (c.alias is not None) for c in COLUMNS)
