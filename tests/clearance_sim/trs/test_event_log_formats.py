"""Logs as other systems and spreadsheets save them: encodings, delimiters, spaces, guards, start and end, XES."""

import gzip

import pandas as pd
import pytest
from click.testing import CliRunner

from clearance_sim.commands.trs import trs_command
from clearance_sim.trs import LogError, read_column_map, read_log, study
from clearance_sim.trs.exchange import xes
from clearance_sim.trs.text_table import decoded, likeness

MAP = """case = "id"
event = "ev"
time = "t"
[events]
arrived = ["ARR"]
lodged = ["REG"]
released = ["REL"]
"""
ROWS = [("ARR", "2026-03-02T08:00:00Z"), ("REG", "2026-03-02T08:30:00Z"), ("REL", "2026-03-02T10:00:00Z")]
EVENTS_ONLY = MAP[MAP.index("[events]") :]


def a_csv(rows, heading="id,ev,t"):
    return "\n".join([heading, *(",".join(row) for row in rows)]) + "\n"


def cleared(case="A"):
    return [(case, *row) for row in ROWS]


def studied(folder, content, told=MAP, name="log.csv", encoding=None):
    """The study of a log in these bytes, or this text in UTF-8."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "map.toml").write_text(told, encoding="utf-8")
    columns = read_column_map(folder / "map.toml", of_xes=".xes" in name)
    return study(read_log(folder / name, columns, encoding=encoding))


def hours_of(found):
    return {each.name: each.figures.mean.value for each in found.intervals if each.group == "all" and each.figures}


def told_by(found):
    return [str(finding) for finding in found.findings]


RIGHT = {"arrival_to_release": 2.0, "lodgement_to_release": 1.5, "arrival_to_lodgement": 0.5}


def test_plain_log_says_nothing(tmp_path):
    found = studied(tmp_path, a_csv(cleared()))
    assert (hours_of(found), told_by(found)) == (RIGHT, [])


# Characters

CHINESE = (
    'case = "编号"\nevent = "事件"\ntime = "时间"\n[events]\narrived = "到港"\nlodged = "申报"\nreleased = "放行"\n'
)
CHINESE_ROWS = [("A", event, time) for event, (_, time) in zip(("到港", "申报", "放行"), ROWS, strict=True)]


@pytest.mark.parametrize(
    "codec", ["gbk", "gb18030", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_chinese_log_of_any_encoding_is_read(tmp_path, codec):
    found = studied(tmp_path, a_csv(CHINESE_ROWS, "编号,事件,时间").encode(codec), CHINESE)
    assert hours_of(found) == RIGHT
    presumed = codec in ("gbk", "gb18030", "utf-16-le", "utf-16-be", "utf-32-le")
    assert [("编号" in told and "--encoding" in told) for told in told_by(found)] == [True] * presumed


def test_invisible_zero_beside_a_name_is_told(tmp_path):
    rows = cleared()
    found = studied(tmp_path, a_csv([("A\0", *rows[0][1:]), *rows[1:]]))
    assert hours_of(found) == RIGHT
    assert told_by(found)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Größe über Straße, Änderung der Maßeinheit für Geräte", "cp1252"),
        ("貨物の到着を確認しました。輸入申告", "shift_jis"),
        ("臺灣，海關", "big5"),
        ("雨傘", "big5"),
    ],
)
def test_neighbours_are_not_taken_for_simplified_chinese(text, codec):
    read, told = decoded((text * 4).encode(codec))
    assert read == text * 4
    assert "GB18030" not in str(told)


def test_given_encoding_is_obeyed(tmp_path):
    told = MAP.replace('"ARR"', '"Größe"')
    rows = [("A", "Größe", ROWS[0][1]), *cleared()[1:]]
    assert hours_of(studied(tmp_path, a_csv(rows).encode("cp1252"), told, encoding="cp1252")) == RIGHT
    with pytest.raises(LogError, match="not in utf-8"):
        studied(tmp_path, a_csv(rows).encode("cp1252"), told, encoding="utf-8")
    with pytest.raises(LogError, match="klingon is no encoding"):
        studied(tmp_path, a_csv(rows), told, encoding="klingon")


def test_map_in_another_encoding_is_read(tmp_path):
    (tmp_path / "map.toml").write_bytes(CHINESE.replace("\n", "\r\n").encode("gbk"))
    assert read_column_map(tmp_path / "map.toml").event == "事件"


# Layout


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_log_of_any_delimiter_is_read(tmp_path, delimiter, end):
    content = a_csv(cleared()).replace(",", delimiter).replace("\n", end)
    assert hours_of(studied(tmp_path, content)) == RIGHT
    assert hours_of(studied(tmp_path, f"sep={delimiter}{end}{content}")) == RIGHT


def test_titles_above_the_heading_are_told(tmp_path):
    found = studied(tmp_path, "Clearance events, March 2026\n,,\n" + a_csv(cleared()))
    assert hours_of(found) == RIGHT
    assert told_by(found) == ["lines above the heading (Clearance events, March 2026): left out"]


def test_heading_differs_in_capitals_and_spaces(tmp_path):
    assert hours_of(studied(tmp_path, a_csv(cleared(), " ID ,EV,\u3000T"))) == RIGHT


def test_blank_rows_below_are_no_events(tmp_path):
    assert hours_of(studied(tmp_path, a_csv(cleared()) + ",,\n , ,\n\n")) == RIGHT


def test_row_of_other_length_is_refused_with_number(tmp_path):
    rows = cleared()
    rows[1] = ("A", "REG")
    with pytest.raises(LogError, match=r"fewer cells than the heading \(3\) \(row 2\): put cells"):
        studied(tmp_path, a_csv(rows))


def test_column_named_twice_is_refused(tmp_path):
    with pytest.raises(LogError, match="two columns are named ev"):
        studied(tmp_path, a_csv([(*row, "x") for row in cleared()], "id,ev,t,ev"))


def test_other_columns_may_share_a_name(tmp_path):
    content = a_csv([(*row, "x", "y", "z") for row in cleared()], "id,ev,t,note,note,")
    assert hours_of(studied(tmp_path, content)) == RIGHT


def test_workbook_is_told_apart(tmp_path):
    with pytest.raises(LogError, match="save the sheet"):
        studied(tmp_path, b"PK\x03\x04" + bytes(100))


@pytest.mark.parametrize("content", [b"", b" \r\n\n", b"\xef\xbb\xbf", "\n\n".encode("utf-16")])
def test_empty_log_is_told(tmp_path, content):
    with pytest.raises(LogError, match="the log is empty"):
        studied(tmp_path, content)


@pytest.mark.parametrize(
    "content", [b'{"case": "1"}\n{"case": "2"}', b'[{"case": "1"}]', b"{}", '\n [["case"]]'.encode("utf-16")]
)
def test_json_log_is_told(tmp_path, content):
    with pytest.raises(LogError, match="the log is JSON"):
        studied(tmp_path, content)


def test_heading_in_brackets_is_no_json(tmp_path):
    with pytest.raises(LogError, match="no column"):
        studied(tmp_path, b"[case],[event]\n1,arrived\n")


def test_compressed_log_is_read(tmp_path):
    assert hours_of(studied(tmp_path, gzip.compress(a_csv(cleared()).encode()), name="log.csv.gz")) == RIGHT


# Cells


@pytest.mark.parametrize("space", [" ", "\t", "\u3000", "\u00a0", "\u200b", "\ufeff"])
def test_spaces_around_cells_are_taken_off(tmp_path, space):
    rows = [
        (f"A{space}", "ARR", ROWS[0][1]),
        ("A", f"{space}REG", ROWS[1][1]),
        (f"{space}A", "REL", ROWS[2][1] + space),
    ]
    found = studied(tmp_path, a_csv(rows))
    assert (found.declarations, hours_of(found)) == (1, RIGHT)
    assert told_by(found) == ["cells with spaces around them (rows 1, 2, 3): read without them"]


def test_categories_of_parquet_are_trimmed(tmp_path):
    frame = pd.DataFrame(cleared(), columns=["id", "ev", "t"])
    frame.loc[2, "id"] = "A "
    frame["id"] = frame["id"].astype("category")
    frame.to_parquet(tmp_path / "log.parquet")
    (tmp_path / "map.toml").write_text(MAP)
    log = read_log(tmp_path / "log.parquet", read_column_map(tmp_path / "map.toml"))
    assert len(log.names) == 1


@pytest.mark.parametrize("guarded", ['"=""0012"""', '="0012"', "'0012"])
def test_guards_of_spreadsheets_are_taken_off(tmp_path, guarded):
    rows = [(guarded, *ROWS[0]), ("0012", *ROWS[1]), ("0012", *ROWS[2])]
    found = studied(tmp_path, a_csv(rows))
    assert (found.declarations, hours_of(found)) == (1, RIGHT)
    assert "read without the guard" in told_by(found)[0]


@pytest.mark.parametrize("other", ["a 1", "A1", "Ａ 1", "A  1"])
def test_declarations_that_look_alike_are_told(tmp_path, other):
    found = studied(tmp_path, a_csv(cleared("A 1") + cleared(other)))
    assert found.declarations == 2
    assert "differ in capitals, width or spaces only (A 1, " in told_by(found)[0]


def test_events_spelt_differently_count_and_are_told(tmp_path):
    rows = [("A", "arr", ROWS[0][1]), *cleared()[1:]]
    found = studied(tmp_path, a_csv(rows))
    assert hours_of(found) == RIGHT
    assert told_by(found) == ["events spelt differently (arr = ARR) (row 1): read as the map spells them"]


def test_cut_numbers_are_told(tmp_path):
    assert "digits a spreadsheet has cut (row 1)" in told_by(studied(tmp_path, a_csv(cleared("3.10E+17"))))[0]


def test_likeness_tells_different_names_apart():
    assert likeness("A1") != likeness("A2")


def test_end_of_day_is_read(tmp_path):
    rows = [("A", "ARR", "2026-03-01T24:00:00Z"), ("A", "REG", "2026-03-02T00:30Z"), ("A", "REL", "20260302T020000Z")]
    assert hours_of(studied(tmp_path, a_csv(rows))) == RIGHT


# Start and end

BOTH = MAP.replace("[events]", 'started = "began"\n[events]')
WORKED = [
    ("A", "ARR", "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z"),
    ("A", "REG", "2026-03-02T09:00:00Z", "2026-03-02T08:30:00Z"),
    ("A", "REL", "2026-03-02T10:00:00Z", "2026-03-02T09:45:00Z"),
]


def test_start_and_end_are_both_named(tmp_path):
    """An event counts when it is complete; waiting is from the one before to the beginning of work."""
    found = studied(tmp_path, a_csv(WORKED, "id,ev,t,began"), BOTH)
    assert hours_of(found) == {"arrival_to_release": 2.0, "lodgement_to_release": 1.0, "arrival_to_lodgement": 1.0}
    stages = {stage.name: (stage.mean, stage.mean_waiting) for stage in found.stages}
    assert stages == {"REG": (1.0, 0.5), "REL": (1.0, 0.75), "ARR": (0.0, 0.0)}


def test_start_of_a_stage_can_begin_a_clock(tmp_path):
    told = BOTH.replace('"REG"', '"start:REG"')
    found = studied(tmp_path, a_csv(WORKED, "id,ev,t,began"), told)
    assert hours_of(found)["lodgement_to_release"] == 1.5


def test_missing_start_is_work_without_length(tmp_path):
    rows = [(*row[:3], "") if row[1] == "REG" else row for row in WORKED]
    stages = {
        stage.name: (stage.mean, stage.mean_waiting)
        for stage in studied(tmp_path, a_csv(rows, "id,ev,t,began"), BOTH).stages
    }
    assert stages["REG"] == (1.0, 1.0)


def test_end_before_start_is_refused_with_row(tmp_path):
    rows = [*WORKED[:2], ("A", "REL", "2026-03-02T10:00:00Z", "2026-03-02T10:30:00Z")]
    with pytest.raises(LogError, match=r"end before they begin \(row 3\): fix columns began and t"):
        studied(tmp_path, a_csv(rows, "id,ev,t,began"), BOTH)


def test_start_and_end_in_hours(tmp_path):
    told = BOTH.replace('time = "t"', 'hours = "t"\nstart = "2026-03-02T00:00:00Z"')
    rows = [("A", "ARR", "8", "8"), ("A", "REG", "9", "8.5"), ("A", "REL", "10", "9.75")]
    assert hours_of(studied(tmp_path, a_csv(rows, "id,ev,t,began"), told))["arrival_to_release"] == 2.0


# XES


def an_event(name, time, transition=None, **more):
    attributes = {"concept:name": name, **({"lifecycle:transition": transition} if transition else {}), **more}
    texts = "".join(f'<string key="{key}" value="{value}"/>' for key, value in attributes.items())
    return f'<event>{texts}<date key="time:timestamp" value="{time}"/></event>'


def a_log(*events, case="A", space=' xmlns="http://www.xes-standard.org/"', more=""):
    name = f'<string key="concept:name" value="{case}"/>' if case else ""
    head = (
        '<extension name="Concept" prefix="concept" uri="x"/><global scope="event"><string key="x" value="?"/></global>'
    )
    trace = f"<trace>{name}{more}{''.join(events)}</trace>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<log xes.version="1.0"{space}>{head}{trace}</log>'


SIMPLE = [an_event(*row) for row in ROWS]


@pytest.mark.parametrize("space", [' xmlns="http://www.xes-standard.org/"', ""])
@pytest.mark.parametrize("told", [MAP, EVENTS_ONLY, MAP.replace('"id"', '"concept:name"')])
def test_xes_is_read(tmp_path, space, told):
    """The standard says which attribute is which; a map for it only needs what begins and ends the clocks."""
    assert hours_of(studied(tmp_path, a_log(*SIMPLE, space=space), told, "log.xes")) == RIGHT


def test_compressed_xes_is_read(tmp_path):
    assert hours_of(studied(tmp_path, gzip.compress(a_log(*SIMPLE).encode()), EVENTS_ONLY, "log.xes.gz")) == RIGHT


@pytest.mark.parametrize("codec", ["GBK", "gb18030", "Big5", "Shift_JIS", "EUC-KR", "UTF-16", "ISO-8859-1"])
def test_xes_in_its_declared_encoding_is_read(tmp_path, codec):
    case = {"Big5": "\u6aaf\u71c8", "EUC-KR": "\ub7a8\ud504", "ISO-8859-1": "Gr\u00f6\u00dfe"}.get(
        codec, "\u7533\u5831"
    )
    content = a_log(*SIMPLE, case=case).replace("UTF-8", codec, 1).encode(codec)
    found = studied(tmp_path, content, EVENTS_ONLY, "log.xes")
    assert hours_of(found) == RIGHT


@pytest.mark.parametrize("codec", ["GBK", "no-such"])
def test_xes_in_another_encoding_than_declared_is_refused(tmp_path, codec):
    content = a_log(*SIMPLE, case="\u00ff").replace("UTF-8", codec, 1).encode("latin-1")
    with pytest.raises(LogError, match="no XES that can be read"):
        studied(tmp_path, content, EVENTS_ONLY, "log.xes")


def test_document_type_in_gbk_is_refused(tmp_path):
    content = a_log(*SIMPLE).replace("<log", ENTITIES + "<log", 1).replace("UTF-8", "GBK", 1)
    with pytest.raises(LogError, match="no XES that can be read"):
        studied(tmp_path, content.encode("gbk"), EVENTS_ONLY, "log.xes")


def test_xes_by_its_content_is_read(tmp_path):
    assert hours_of(studied(tmp_path, "\ufeff" + a_log(*SIMPLE), MAP, "log.xml")) == RIGHT


def test_xes_with_start_and_complete_is_paired(tmp_path):
    """A beginning belongs to the next end of the same activity; what is under way counts for nothing."""
    events = [
        an_event("ARR", "2026-03-02T08:00:00Z", "COMPLETE"),
        an_event("REG", "2026-03-02T08:10:00Z", "schedule"),
        an_event("REG", "2026-03-02T08:30:00Z", "start"),
        an_event("REG", "2026-03-02T09:00:00Z", "complete"),
        an_event("REL", "2026-03-02T09:45:00Z", "start"),
        an_event("REL", "2026-03-02T10:00:00Z", "complete"),
        an_event("CHECK", "2026-03-02T09:50:00Z", "start"),
    ]
    found = studied(tmp_path, a_log(*events), EVENTS_ONLY, "log.xes")
    assert hours_of(found)["lodgement_to_release"] == 1.0
    assert {stage.name: stage.mean_waiting for stage in found.stages} == {"ARR": 0.0, "REG": 0.5, "REL": 0.75}
    assert told_by(found) == [
        "activities that begin and do not end (row 7): left out",
        "events of activities under way (schedule, suspend, resume …) (row 2): left out",
    ]


def test_attributes_of_trace_and_event_split_cases(tmp_path):
    events = [an_event(*row, **{"org:group": "customs"}) for row in ROWS]
    content = a_log(*events, more='<string key="lane" value="red"><string key="why" value="x"/></string>')
    told = 'channel = "lane"\n' + EVENTS_ONLY
    (tmp_path / "log.xes").write_text(content)
    (tmp_path / "map.toml").write_text(told)
    log = read_log(tmp_path / "log.xes", read_column_map(tmp_path / "map.toml", of_xes=True))
    assert log.splits == ["channel"]
    assert {stage.party for stage in study(log).stages} == {"customs"}


def test_exported_xes_is_read_again(tmp_path):
    """What the study exports comes back as the same intervals, without a map of columns."""
    first = studied(tmp_path, a_csv(WORKED, "id,ev,t,began"), BOTH)
    log = read_log(tmp_path / "log.csv", read_column_map(tmp_path / "map.toml"))
    again = studied(tmp_path, "".join(xes(log)), EVENTS_ONLY, "again.xes")
    assert hours_of(again) == hours_of(first)
    assert [(s.name, s.mean, s.mean_waiting) for s in again.stages] == [
        (s.name, s.mean, s.mean_waiting) for s in first.stages
    ]


ENTITIES = '<!DOCTYPE log [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "content",
    [
        a_log(*SIMPLE).replace("<log", ENTITIES + "<log", 1),
        a_log(*SIMPLE).replace("<log", '<!DOCTYPE log SYSTEM "file:///etc/passwd"><log', 1),
        a_log(*SIMPLE)[:-20],
        "<?xml version='1.0'?><html/>",
        "",
    ],
    ids=["entities", "document type", "cut short", "another document", "empty"],
)
def test_hostile_or_broken_xes_is_refused(tmp_path, content):
    with pytest.raises(LogError, match="no XES that can be read: export it anew"):
        studied(tmp_path, content, EVENTS_ONLY, "log.xes")


def test_xes_without_names_or_zones_is_refused(tmp_path):
    with pytest.raises(LogError, match="events of no declaration"):
        studied(tmp_path, a_log(*SIMPLE, case=""), EVENTS_ONLY, "log.xes")
    naive = [an_event(name, time.removesuffix("Z")) for name, time in ROWS]
    with pytest.raises(LogError, match="times without a zone"):
        studied(tmp_path, a_log(*naive), EVENTS_ONLY, "log.xes")


def test_xes_without_map_names_its_events(tmp_path):
    (tmp_path / "log.xes").write_text(a_log(*SIMPLE))
    with pytest.raises(LogError, match=r"in \[events\], which of ARR, REG, REL"):
        read_log(tmp_path / "log.xes")


def test_command_reads_xes_and_encodings(tmp_path):
    (tmp_path / "log.xes").write_text(a_log(*SIMPLE))
    (tmp_path / "events.toml").write_text(EVENTS_ONLY)
    done = CliRunner().invoke(trs_command, [str(tmp_path / "log.xes"), "--columns", str(tmp_path / "events.toml")])
    assert (done.exit_code, "2.00 h" in done.output) == (0, True), done.output
    (tmp_path / "log.csv").write_bytes(a_csv(CHINESE_ROWS, "编号,事件,时间").encode("gbk"))
    (tmp_path / "map.toml").write_text(CHINESE)
    asked = [str(tmp_path / "log.csv"), "--columns", str(tmp_path / "map.toml"), "--encoding", "gbk"]
    done = CliRunner().invoke(trs_command, asked)
    assert (done.exit_code, "note:" in done.output) == (0, False), done.output
