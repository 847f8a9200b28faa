"""Tables as people's programs write them: encodings, titles, guards, local numbers, customs' own codes."""

import pytest

from backend.domain.interop.columns import CHINA_UNITS
from backend.domain.interop.consignments import TableStyle, read_consignments
from backend.domain.interop.conversions import UNIT_WORDS, unit
from backend.domain.interop.formats import read_file
from backend.domain.interop.reading import Severity, UnknownFormat
from backend.domain.units import CHINA_UNIT_WORDS, UNITS
from backend.messages.imports import report, words
from tests.domain.test_interop_tables import blocked, table, wrong


def item(read):
    return read.declarations[0].fields["items"][0]


def told(read, code):
    return [report(note) for note in read.notes if note.code == code]


def why(read, place):
    (note,) = [note for note in read.notes if note.where == place and note.severity is Severity.WRONG]
    return getattr(note.values.get("why"), "reason", None) or note.values.get("what")


@pytest.mark.parametrize(
    "code", ["90111", "9011100", "901110000", "901110000999", "901.11", "901.11.0000", "901110000.0", "9011100.00"]
)
def test_hs_code_without_leading_zero_is_refused(code):
    """Each is 0901.11 (coffee) of 6, 8, 10 or 13 digits; 9011 would be microscopes."""
    read = read_consignments(table({"gcode": code}))
    assert wrong(read) == {(2, "gcode"): "unusable-cell"}
    assert "leading zero" in blocked(read)[0]


@pytest.mark.parametrize("code", ["0901.11", "0901110000", "0901110000999", "09 01 11", "0901.11.00.00"])
def test_hs_code_with_its_zero_is_read(code):
    assert not blocked(read_consignments(table({"gcode": code})))


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Größe für Küche", "cp1252"),
        ("Müller", "latin-1"),
        ("卓上ランプ", "shift_jis"),
        ("卓上ランプ", "euc_jp"),
        ("한국 램프", "euc_kr"),
        ("檯燈 燈具", "big5"),
        ("ЛАМПА НАСТОЛЬНАЯ", "cp1251"),
        ("лампа", "koi8_r"),
        ("Żarówka świąteczna", "cp1250"),
    ],
)
def test_ambiguous_encoding_is_asked_then_read(name, encoding):
    content = table({"gname": name}, encoding=encoding)
    with pytest.raises(UnknownFormat) as refusal:
        read_consignments(content)
    assert refusal.value.reason == "which-encoding"
    assert name in words(refusal.value.reason, refusal.value.values, "en")
    assert item(read_consignments(content, TableStyle(encoding)))["description"] == name


def test_everyday_chinese_is_read_and_shown():
    read = read_consignments(table({"gname": "中文台灯"}, encoding="gb18030"))
    assert item(read)["description"] == "中文台灯"
    assert "中文台灯" in told(read, "encoding-presumed")[0]


def test_given_encoding_that_does_not_fit_is_told():
    with pytest.raises(UnknownFormat) as refusal:
        read_consignments(table({"gname": "Größe"}, encoding="cp1252"), TableStyle("utf-8"))
    assert refusal.value.reason == "not-text"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_other_unicode_forms_are_read(encoding):
    read = read_consignments(table({"gname": "台灯"}, encoding=encoding, delimiter="\t"))
    assert item(read)["description"] == "台灯"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_that_is_no_utf_8_is_named(encoding):
    with pytest.raises(UnknownFormat) as refusal:
        read_file('{"kind": "invoice", "document": {"note": "largely ASCII"}}'.encode(encoding), {})
    assert refusal.value.reason == "json-not-utf-8"


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1.250", "comma", "1250"),
        ("1.250", "point", "1.250"),
        ("1.250,5", "comma", "1250.5"),
        ("1,250.5", "point", "1250.5"),
        ("1 250,5", "comma", "1250.5"),
        ("1'250.5", "point", "1250.5"),
        ("12,5", "comma", "12.5"),
    ],
)
def test_number_is_read_as_the_merchant_says(cell, decimal, value):
    content = table({"qty": cell}, delimiter=";")
    assert wrong(read_consignments(content)) == {(2, "qty"): "unusable-cell"}
    read = read_consignments(table({"qty": cell, "grossWeight": "12", "netWeight": "11", "price": "6"}, delimiter=";"),
                             TableStyle(decimal=decimal))  # fmt: skip
    assert item(read)["quantity"] == value


def test_possible_thousand_is_asked_only_with_semicolons():
    assert why(read_consignments(table({"qty": "1.250"}, delimiter=";")), "qty") == "thousand-or-decimal"
    assert not blocked(read_consignments(table({"qty": "0.250"}, delimiter=";")))
    assert not blocked(read_consignments(table({"qty": "1.250"})))
    assert told(read_consignments(table({"qty": "1.250"}, delimiter="\t")), "decimal-point")


def test_point_is_no_decimal_where_commas_are():
    read = read_consignments(
        table({"qty": "12.5", "grossWeight": "12", "price": "6"}, delimiter=";"), TableStyle(decimal="comma")
    )
    assert wrong(read) == {(2, "qty"): "unusable-cell"}


@pytest.mark.parametrize("mark", [";", ",", "\t", "|"])
@pytest.mark.parametrize("line", ["sep={}\r\n", "SEP={}\n", '"sep={}"\r\n'])
def test_sep_line_tells_the_delimiter(mark, line):
    content = line.format(mark).encode() + table({"qty": "x"}, delimiter=mark)
    assert wrong(read_consignments(content)) == {(2, "qty"): "unusable-cell"}


def test_title_rows_are_left_out_and_told():
    titles = b'Exports of March,,,\r\n\r\n"made by\r\nwarehouse 2",,\r\n'
    read = read_consignments(titles + table({"qty": "x"}))
    assert told(read, "titles") == [
        "above the header, and left out: Exports of March / made by\\u000d\\u000awarehouse 2"
    ]
    assert wrong(read) == {(5, "qty"): "unusable-cell"}


@pytest.mark.parametrize("guarded", ['="0901110000"', "'0901110000", "’0901110000", "0901110000\t", "\u200b0901110000"])
def test_spreadsheet_guards_are_taken_off(guarded):
    read = read_consignments(table({"gcode": guarded, "orderNo": '="69001"', "qty": '="20"'}))
    assert not blocked(read)
    assert item(read)["hsCode"] == "0901110000"
    assert read.declarations[0].fields["orderReference"] == "69001"
    assert any("guard" in line for line in told(read, "guard"))


def test_apostrophe_of_a_name_stays():
    assert item(read_consignments(table({"gname": "'s-Hertogenbosch lamp"})))["description"] == "'s-Hertogenbosch lamp"
    assert item(read_consignments(table({"gname": "'=8 W"})))["description"] == "=8 W"


def test_line_break_in_cell_becomes_a_space():
    read = read_consignments(table({"gname": "LED lamp\r\n8 W, white"}))
    assert item(read)["description"] == "LED lamp 8 W, white"
    assert told(read, "line-break")


def test_end_of_day_is_the_next_days_beginning():
    read = read_consignments(table({"arrivalDateTime": "2026-02-28T24:00:00+08:00"}))
    assert read.declarations[0].fields["arrivalDateTime"] == "2026-03-01T00:00:00+08:00"
    assert told(read, "end-of-day")


@pytest.mark.parametrize(
    "moment",
    [
        "2026-02-29T00:00Z",
        "2026-03-01T08:30:60+08:00",
        "2026-03-01T24:30Z",
        "2026-03-01T08:30+25:00",
        "01.03.2026 08:30",
    ],
)
def test_impossible_or_local_moment_is_refused_plainly(moment):
    read = read_consignments(table({"arrivalDateTime": moment}))
    assert wrong(read) == {(2, "arrivalDateTime"): "unusable-cell"}
    assert blocked(read)[0].endswith("write 2026-03-01T08:30+08:00")


@pytest.mark.parametrize(
    ("number", "code"), [("502", "US"), ("142", "CN"), ("110", "HK"), ("601", "AU"), ("304", "DE")]
)
def test_customs_country_numbers_follow_the_official_list(number, code):
    read = read_consignments(table({"country": number, "originCountry": number}))
    assert (read.declarations[0].fields["destinationCountry"], item(read)["originCountry"]) == (code, code)
    assert f"China customs' country {number} is {code} (1 row)" in told(read, "china-country")


@pytest.mark.parametrize("number", ["276", "702", "999", "14", "156"])
def test_number_of_no_country_is_refused(number):
    assert why(read_consignments(table({"country": number})), "country") == "china-country-unknown"


def test_net_above_gross_is_told_at_its_column():
    read = read_consignments(table({"netWeight": "20"}))
    assert wrong(read) == {(2, "netWeight"): "fault"}


@pytest.mark.parametrize("code", ["9999999999", "770000", "98000000", "000000"])
def test_missing_chapter_is_told_by_number(code):
    read = read_consignments(table({"gcode": code}))
    assert blocked(read) == [f"{code}: HS 2022 has no chapter {code[:2]}"]


@pytest.mark.parametrize(
    ("word", "code"),
    [("PCE", "H87"), ("Pcs.", "H87"), ("piece(s)", "H87"), ("kg", "KGM"), ("KGS", "KGM"), ("公斤", "KGM"),
     ("个", "C62"), ("对", "PR"), ("㎡", "MTK"), ("ＫＧ", "KGM"), ("EA", "EA"), ("ctns", "CT")],
)  # fmt: skip
def test_everyday_word_for_a_unit_is_read(word, code):
    assert item(read_consignments(table({"unit": word})))["unitCode"] == code


def test_code_and_word_mean_one_unit():
    assert {code: unit(word)[0] for code, word in CHINA_UNIT_WORDS.items()} == CHINA_UNITS
    stated = [*UNIT_WORDS.items(), *((code, names.values()) for code, names in UNITS.items())]
    meant = {}
    for code, names in stated:
        for name in names:
            assert meant.setdefault(name.casefold(), code) == code


def test_units_of_single_pieces_are_no_longer_mixed():
    assert CHINA_UNITS["007"] == unit("个")[0] == "C62"
    assert why(read_consignments(table({"unit": "11"})), "unit") == "china-unit-short"
    assert len(blocked(read_consignments(table({"unit": "bucket"})))[0]) < 150
