"""Tables as people's programs write them: encodings, titles, guards, local numbers, customs' own codes."""

import bz2
import gzip
import lzma

import pytest

from backend.domain.interop.columns import CHINA_UNITS
from backend.domain.interop.consignments import TableStyle, read_consignments
from backend.domain.interop.conversions import UNIT_WORDS, unit
from backend.domain.interop.formats import read_file
from backend.domain.interop.reading import Severity, UnknownFormat
from backend.domain.units import CHINA_UNIT_WORDS, UNITS
from backend.messages.imports import report, words
from tests.domain.test_interop_tables import ROW, blocked, table, wrong


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


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("檯燈，黑色", "big5"),
        ("雨傘", "big5"),
        ("โคมไฟตั้งโต๊ะ", "cp874"),
        ("Επιτραπέζιο", "cp1253"),
        ("مصباح", "cp1256"),
        ("Masa lambası ışık", "cp1254"),
        ("Đèn bàn", "cp1258"),
    ],
)
def test_encoding_of_a_neighbour_is_asked(name, encoding):
    with pytest.raises(UnknownFormat) as refusal:
        read_consignments(table({"gname": name}, encoding=encoding))
    assert refusal.value.reason == "which-encoding"
    assert name in words(refusal.value.reason, refusal.value.values, "en")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["一二三 lamp", "黑色台灯" * 40, "LED lamp"])
def test_wide_characters_without_mark_are_read(name, encoding):
    """一 is U+4E00: of its two bytes one is zero as well."""
    read = read_consignments(table(*[{"gname": name}] * 9, encoding=encoding))
    assert item(read)["description"] == name


def test_lines_of_two_encodings_are_named():
    first, _, rest = table({"gname": "台灯"}).partition(b"\n")
    second = table({"gname": "黑色台灯", "copNo": "B"}, encoding="gbk").partition(b"\n")[2]
    with pytest.raises(UnknownFormat) as refusal:
        read_consignments(first + b"\n" + rest.rstrip() + b"\n" + second)
    assert (refusal.value.reason, refusal.value.values["lines"]) == ("mixed-encodings", "3")


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_file_is_called_so(packed):
    with pytest.raises(UnknownFormat) as refusal:
        read_file(packed(table({})), {})
    assert refusal.value.reason == "packed"


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


@pytest.mark.parametrize(
    ("place", "stored", "field", "code"),
    [
        ("gcode", "9405210090.0", "hsCode", "9405210090"),
        ("unit", "11.0", "unitCode", None),
        ("currency", "502.0", "currency", "USD"),
        ("originCountry", "142.0", "originCountry", "CN"),
        ("customsCode", "2925.0", "customsOffice", "2925"),
        ("tradeMode", "9610.0", "previousProcedureTypeCode", "9610"),
        ("orderNo", "5001.0", "orderReference", "5001.0"),
    ],
)
def test_code_stored_as_a_number_is_read(place, stored, field, code):
    """Not where a zero was lost with it (011), and not what is no code of a list."""
    read = read_consignments(table({place: stored}))
    if code is None:
        assert wrong(read) == {(2, place): "unusable-cell"}
        return
    assert not blocked(read)
    assert (item(read) | read.declarations[0].fields)[field] == code
    assert bool(told(read, "code-as-number")) is (place != "orderNo")


def test_hs_code_in_pairs_keeps_its_zeros():
    assert item(read_consignments(table({"gcode": "940521.00"})))["hsCode"].replace(".", "") == "94052100"


@pytest.mark.parametrize("word", ["合计", "Total", "TOTAL:", "Grand total", "小计", "SubTotal"])
@pytest.mark.parametrize("place", ["copNo", "gname", "gcode"])
def test_row_of_totals_is_left_out_and_told(word, place):
    sums = dict.fromkeys(ROW, "") | {"qty": "20", "price": "6.5", "grossWeight": "12", place: word}
    read = read_consignments(table({}, sums))
    assert not blocked(read)
    assert (len(read.declarations), read.row_count) == (1, 1)
    assert told(read, "totals") == ["these rows sum up others, and are left out: 3"]


@pytest.mark.parametrize(
    "filled", [{"gname": "Total", "gcode": "940521"}, {"copNo": "合计灯"}, {"copNo": "Total", "qty": ""}]
)
def test_row_that_may_be_goods_stays(filled):
    row = dict.fromkeys(ROW, "") | {"qty": "20"} | filled
    read = read_consignments(table({}, row))
    assert not told(read, "totals")
    assert wrong(read)


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


# What spreadsheets put in place of a value


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("orderNo", "1.23457E+12", "shortened-number"),
        ("orderNo", "1.23457e12", "shortened-number"),
        ("orderNo", "1,23457E12", "shortened-number"),
        ("logisticsNo", "7.1E-05", "shortened-number"),
        ("gname", "#N/A", "spreadsheet-error"),
        ("orderNo", "#VALUE!", "spreadsheet-error"),
        ("customsCode", "########", "spreadsheet-error"),
        ("logisticsNo", '="W-"&1', "formula"),
        ("gcode", "=0901110000", "formula"),
        ("customsCode", "101", "office-short"),
        ("unit", "斤", "local-mass"),
        ("unit", "市斤", "local-mass"),
        ("packNo", "2.5", "no-whole-number"),
        ("qty", "2²", "no-number"),
        ("qty", "½", "no-number"),
    ],
)
def test_lost_value_is_refused_with_its_cause(column, cell, code):
    assert why(read_consignments(table({column: cell})), column) == code


@pytest.mark.parametrize("cell", ["5E3", "E12-7", "#12", "1.25", "O-1E+", "123456789012345678"])
def test_number_of_an_order_may_look_odd(cell):
    read = read_consignments(table({"orderNo": cell}))
    assert not blocked(read)
    assert read.declarations[0].fields["orderReference"] == cell


def test_perhaps_cut_digits_are_told():
    read = read_consignments(table({"orderNo": "123456789012345000"}, {"copNo": "MS-2", "orderNo": "120000"}))
    assert not blocked(read)
    assert len(told(read, "perhaps-cut")) == 1


@pytest.mark.parametrize(
    ("column", "cell", "field", "value"),
    [
        ("qty", "２０", "quantity", "20"),
        ("price", "６．５", "unitPrice", "6.5"),
        ("gcode", "９４０５２１００９０", "hsCode", "9405210090"),
        ("currency", "ＵＳＤ", "currency", "USD"),
        ("currency", "usd", "currency", "USD"),
        ("unit", "ｋｇ", "unitCode", "KGM"),
        ("unit", "台", "unitCode", "H87"),
        ("unit", "条", "unitCode", "H87"),
    ],
)
def test_code_in_other_letters_is_read_and_told(column, cell, field, value):
    read = read_consignments(table({column: cell}))
    assert not blocked(read)
    assert item(read)[field] == value
    assert [note.where for note in read.notes if note.severity is Severity.CONVERTED].count(column) >= 1


def test_description_keeps_its_full_width():
    assert item(read_consignments(table({"gname": "ＬＥＤ灯"})))["description"] == "ＬＥＤ灯"


@pytest.mark.parametrize("name", ["ＳＧ", "新加坡", "Singapore", "sgp", "132"])
def test_country_is_known_by_its_names(name):
    assert read_consignments(table({"country": name})).declarations[0].fields["destinationCountry"] == "SG"


@pytest.mark.parametrize(
    "heading", ["G CODE", "g_code", "ｇｃｏｄｅ", "gco\u200bde", "\u00a0gcode\u00a0", "HS-Code", "hs code"]
)
def test_heading_is_known_however_it_is_written(heading):
    content = table({}).decode().replace("gcode", heading, 1)
    assert not blocked(read_consignments(content.encode()))


@pytest.mark.parametrize("end", [b"\x1a", b"\0\0", b"\n,,,\n\n"])
def test_end_of_file_is_no_row(end):
    assert read_consignments(table({}) + end).row_count == 1


def test_repeated_header_is_left_out_and_told():
    content = table({"copNo": "A"}, {"copNo": "B"}).split(b"\n")
    read = read_consignments(b"\n".join([*content[:2], content[0], *content[2:]]))
    assert not blocked(read)
    assert [declared.rows for declared in read.declarations] == [(2,), (4,)]
    assert "3" in told(read, "header-again")[0]


def test_sep_line_that_stayed_is_passed_over():
    assert not blocked(read_consignments(b"sep=;\n" + table({}, delimiter=",")))


@pytest.mark.parametrize("cell", ['="0901110000"&""', '=T("0901110000")', "=0901110000"])
def test_formula_around_a_text_is_no_guard(cell):
    assert why(read_consignments(table({"gcode": cell})), "gcode") == "formula"


@pytest.mark.parametrize("cell", ["9405_21_0090", "'9405210090'", "-9405210090"])
def test_code_with_other_signs_has_no_twelve_digits(cell):
    assert "12" not in blocked(read_consignments(table({"gcode": cell})))[0]


def test_code_may_be_grouped_by_hyphens():
    assert not blocked(read_consignments(table({"gcode": "9405-21-0090"})))


def test_hyphens_hide_no_lost_zero():
    assert why(read_consignments(table({"gcode": "901-11-0000"})), "gcode") == "lost-zero"


def test_lost_characters_are_refused():
    assert why(read_consignments(table({"gname": "lamp \ufffd\ufffd"})), "gname").startswith("the text holds \ufffd")


def test_zone_of_whole_hours_is_read():
    read = read_consignments(table({"arrivalDateTime": "2026-03-01 08:30:00+08"}))
    assert read.declarations[0].fields["arrivalDateTime"] == "2026-03-01T08:30:00+08:00"


@pytest.mark.parametrize(
    ("qty", "unit_code", "is_told"), [("500", "035", True), ("5", "TNE", True), ("2", "035", False)]
)
def test_items_heavier_than_their_packages_are_told(qty, unit_code, is_told):
    read = read_consignments(table({"qty": qty, "unit": unit_code, "grossWeight": "12.4"}))
    assert bool(told(read, "items-above-gross")) is is_told


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("country", "UK", "GB"),
        ("country", "香港", "HK"),
        ("country", "Russia", "RU"),
        ("country", "Turkey", "TR"),
        ("currency", "RMB", "CNY"),
        ("currency", "美元", "USD"),
        ("currency", "501", "CAD"),
        ("currency", "601", "AUD"),
        ("unit", "012", "H87"),
        ("unit", "001", "H87"),
        ("unit", "076", "LBR"),
        ("unit", "本", "H87"),
        ("ieFlag", "出口", "export"),
        ("ieFlag", "i", "import"),
    ],
)
def test_everyday_word_or_customs_code_is_read(column, cell, value):
    read = read_consignments(table({column: cell}))
    fields = read.declarations[0].fields
    ours = {"country": "destinationCountry", "currency": "currency", "unit": "unitCode", "ieFlag": "direction"}[column]
    assert (fields.get(ours) or item(read).get(ours)) == value


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [("currency", "840", "china-currency-unknown"), ("currency", "$", "no-currency"), ("qty", "-5", "negative-number")],
)
def test_cell_is_refused_for_what_it_is(column, cell, reason):
    assert why(read_consignments(table({column: cell})), column) == reason
