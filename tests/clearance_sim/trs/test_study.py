"""The time release study: figures known by hand, doubtful cases counted, unreadable logs refused row by row."""

import json
import statistics
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from clearance_sim.commands.trs import trs_command
from clearance_sim.trs import LogError, Question, read_column_map, read_log, study
from clearance_sim.trs.column_map import MapError
from clearance_sim.trs.exchange import ocel, xes
from clearance_sim.trs.figures import Resampling, figures, kaplan_meier, quantile
from clearance_sim.trs.study import hours_asked

MONDAY = datetime(2026, 1, 5, 1, tzinfo=UTC)  # nine o'clock in Shanghai


def a_log(folder, *rows, name="log.csv"):
    """An exported log: (declaration, step, hours since Monday, extra columns)."""
    lines = ["declaration,step,occurred_at,customs_office"]
    for declaration, step, hours, *office in rows:
        time = (MONDAY + timedelta(hours=hours)).isoformat() if isinstance(hours, int | float) else hours
        lines.append(f"{declaration},{step},{time},{office[0] if office else 'YIWU'}")
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def cleared(name, arrived, lodged, released, *office):
    return [
        (name, "arrived", arrived, *office),
        (name, "lodged", lodged, *office),
        (name, "released", released, *office),
    ]


def a_trace(folder, visits_by_case, name="trace.parquet", **metadata):
    """A simulated trace: for each case its visits (station, enter, start, end)."""
    rows = [
        {"replication": 0, "declaration": case, "class": "green", "station": station, "visit": number}
        | {
            "enter_h": float(enter),
            "start_h": start,
            "end_h": end,
            "due_h": due[0] if due else None,
            "outcome": "served",
        }
        for case, visits in enumerate(visits_by_case)
        for number, (station, enter, start, end, *due) in enumerate(visits)
    ]
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    if name.endswith(".csv"):
        pyarrow.csv.write_csv(table, folder / name)
    else:
        told = json.dumps(metadata).encode()
        pq.write_table(table.replace_schema_metadata({b"clearance_sim": told}), folder / name)
    return folder / name


# Figures


def test_four_intervals_of_one_declaration(tmp_path):
    log = a_log(tmp_path, *cleared("a", 0, 5, 7), ("a", "gate-out", 9.5))
    found = study(read_log(log))
    got = {name: found.interval(name).figures.mean.value for name in found_names(found)}
    assert got == {
        "arrival_to_release": 7,
        "lodgement_to_release": 2,
        "arrival_to_lodgement": 5,
        "release_to_gate_out": 2.5,
    }


def found_names(found):
    return list(dict.fromkeys(interval.name for interval in found.intervals))


@pytest.mark.parametrize("size", [1, 2, 3, 10, 11, 97])
def test_quantiles_match_standard_library_to_the_bit(size):
    """Quantiles are those of the standard library to the last bit."""
    hours = np.sort(np.random.default_rng(size).lognormal(2, 1, size))
    expected = statistics.quantiles(hours, n=20, method="inclusive") if size > 1 else [hours[0]] * 19
    assert [quantile(hours, n, 20) for n in range(1, 20)] == expected
    assert quantile(hours, 1, 2) == statistics.median(hours)


def test_single_duration_is_its_every_quantile():
    """One duration is each of its own quantiles to the last bit."""
    assert quantile(np.array([0.0004021375]), 9, 10) == 0.0004021375


def test_bootstrap_intervals_cover_truth_as_stated():
    """Bootstrap intervals cover the truth as often as they say."""
    rng = np.random.default_rng(7)
    truth = {"mean": float(np.exp(0.5)), "median": 1.0, "within_target": 0.5}
    hits = dict.fromkeys(truth, 0)
    for round_ in range(200):
        found = figures(np.exp(rng.standard_normal(300)), 1.0, Resampling(round_, 300), None)
        for name, value in truth.items():
            estimate = getattr(found, name)
            hits[name] += estimate.low <= value <= estimate.high
    assert all(175 <= count <= 200 for count in hits.values()), hits


def test_goods_that_shared_a_day_are_drawn_together():
    days = np.repeat(np.arange(20), 50)
    hours = 10 + 5.0 * np.random.default_rng(1).standard_normal(20)[days]
    alone, together = (figures(hours, 8, Resampling(), blocks) for blocks in (None, days))
    assert together.mean.high - together.mean.low > 4 * (alone.mean.high - alone.mean.low)


def test_binning_large_sample_changes_intervals_little():
    """Bins of a large sample change intervals by little."""
    hours = np.random.default_rng(3).lognormal(2, 1, 50_000)
    found = figures(hours, 8, Resampling(), None)
    spread = 1.96 * hours.std() / np.sqrt(len(hours))
    assert found.mean.low == pytest.approx(found.mean.value - spread, abs=0.2 * spread)
    assert found.mean.high == pytest.approx(found.mean.value + spread, abs=0.2 * spread)


def test_same_seed_gives_the_same_study(tmp_path):
    log = a_log(tmp_path, *(row for n in range(30) for row in cleared(f"d{n}", n, n + 1, n + 2 + n % 7)))
    first, again, other = (study(read_log(log), Question(resampling=Resampling(seed))).to_json() for seed in (1, 1, 2))
    assert first == again
    assert first["intervals"] != other["intervals"]


def test_extremes_are_counted_not_removed(tmp_path):
    log = a_log(tmp_path, *(row for n in range(20) for row in cleared(f"d{n}", 0, 0, 500 if n == 0 else 5 + n % 3)))
    found = study(read_log(log)).interval("arrival_to_release").figures
    assert (found.count, found.extremes, found.longest) == (20, 1, 500)
    assert found.mean_without_extremes == pytest.approx(6, abs=0.1)
    assert found.mean.value > 30


def test_kaplan_meier_matches_published_remission_curve():
    """Kaplan meier gives the published curve of the remission data."""
    # Freireich et al. 1963, the 6-MP arm, as in every textbook of survival analysis: S(6) .857, S(10) .753, median 23.
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    watched = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    hours = np.array([*ended, *watched], dtype=float)
    seen = np.array([True] * len(ended) + [False] * len(watched))
    assert kaplan_meier(hours, seen, 6).within_target.value == pytest.approx(1 - 0.857, abs=5e-4)
    found = kaplan_meier(hours, seen, 10)
    assert found.within_target.value == pytest.approx(1 - 0.753, abs=5e-4)
    assert (found.median, found.p90, found.censored) == (23, None, 12)


def test_open_cases_are_kept_and_move_the_estimate(tmp_path):
    rows = [row for n in range(10) for row in cleared(f"d{n}", 0, 0, n + 1)]
    waiting = [(f"w{n}", "arrived", 0) for n in range(10)] + [("last", "arrived", 100)]
    found = study(read_log(a_log(tmp_path, *rows, *waiting))).interval("arrival_to_release")
    assert (found.figures.count, found.survival.censored) == (10, 11)
    assert found.figures.median.value == 5.5
    assert found.survival.median == 10
    assert found.survival.p90 is None


def test_kaplan_meier_without_censoring_matches_plain_share(tmp_path):
    """Without open cases kaplan meier and the plain share agree."""
    rows = [row for n in range(10) for row in cleared(f"d{n}", 0, 0, n + 1)]
    found = study(read_log(a_log(tmp_path, *rows)), Question(target_hours=4)).interval("arrival_to_release")
    assert found.survival.within_target.value == pytest.approx(found.figures.within_target.value)


def test_peak_hours_follow_the_offices_zone(tmp_path):
    """Splits and peak hours in the office s own zone."""
    rows = [*cleared("a", 0, 0, 4, "YIWU"), *cleared("b", 11, 11, 23, "NINGBO")]
    found = study(read_log(a_log(tmp_path, *rows), zone="Asia/Shanghai"), Question(by=("office",)))
    got = {i.group: i.figures.mean.value for i in found.intervals if i.name == "arrival_to_release"}
    assert got == {"all": 8, "office=NINGBO": 12, "office=YIWU": 4, "peak=off-peak": 12, "peak=peak": 4}
    assert [hour.hour for hour in found.hours if hour.cases] == [9, 20]


# Simulated traces


def test_trace_brings_its_start_clocks_and_parties(tmp_path):
    """A trace tells its own start clocks and parties."""
    trace = a_trace(
        tmp_path,
        [[("ship", 1, 1, 3, 2), ("desk", 2, 5, 6)]],
        start="2026-03-02T00:00:00",
        zone="Asia/Shanghai",
        clocks={
            "arrival → release": [["due:ship"], "leave:desk"],
            "lodgement → release": [["enter:desk", "start:desk"], "exit"],
        },
        parties={"desk": "customs"},
    )
    found = study(read_log(trace))
    assert found.first_event == "2026-03-02T01:00:00+08:00"
    assert found.interval("arrival_to_release").figures.mean.value == 4
    assert found.interval("lodgement_to_release").figures.mean.value == 1  # of two beginnings the later counts
    desk, ship = found.stages
    assert (desk.name, desk.party, desk.mean, desk.mean_waiting) == ("desk", "customs", 4, 3)
    assert (ship.name, ship.party, ship.mean, ship.mean_waiting) == ("ship", None, 2, 0)


def test_csv_trace_counts_first_entry_to_last_end(tmp_path):
    """A trace as csv counts from the first entry to the last end."""
    found = study(read_log(a_trace(tmp_path, [[("a", 1, 1, 2), ("b", 2, 5, 6)], [("a", 3, 3, 4)]], "trace.csv")))
    assert [found.interval("arrival_to_release").figures.shortest, found.released] == [1, 2]


def test_visits_of_one_stage_add_up(tmp_path):
    (stage,) = study(read_log(a_trace(tmp_path, [[("desk", 0, 1, 2), ("desk", 5, 5, 8)]]))).stages
    assert (stage.mean, stage.mean_waiting) == (5, 1)


def test_case_inside_at_end_is_open(tmp_path):
    """A case still inside at the end of a trace is open."""
    trace = a_trace(tmp_path, [[("desk", 0, 1, 2)], [("desk", 1, 2, 3), ("lab", 3, None, None)]])
    found = study(read_log(trace))
    assert (found.released, found.open) == (1, 1)


@pytest.mark.parametrize(
    ("visit", "told"),
    [(("desk", 5, 6, 4), "end before they begin (row 2)"), (("desk", float("nan"), 6, 7), "without an entry (row 2)")],
)
def test_impossible_visits_are_refused_with_their_row(tmp_path, visit, told):
    with pytest.raises(LogError) as refused:
        read_log(a_trace(tmp_path, [[("desk", 0, 1, 2)], [visit]]))
    assert told in str(refused.value)


# Doubtful cases


def test_doubtful_cases_are_counted_and_named_by_row(tmp_path):
    rows = [
        *cleared("good", 0, 1, 2),
        *cleared("backwards", 0, 5, 3),
        ("rootless", "released", 4),
        *cleared("early", 6, 1, 4),
        ("good", "released", 2),
        ("good", "lodged", 1.5),
    ]
    found = study(read_log(a_log(tmp_path, *rows)))
    told = {str(fault.what): (fault.rows, fault.count) for fault in found.findings}
    assert told == {
        "events that are in the log twice": ((11,), 1),
        "declarations lodged more than once": ((12,), 1),
        "declarations with neither arrival nor lodgement": ((7,), 1),
        "declarations released before they were lodged": ((4,), 1),
        "goods released before they arrived": ((8,), 1),
    }
    assert found.set_aside == 2
    assert found.interval("arrival_to_release").figures.mean.value == 1  # 2 h and, released before arrival, 0 h


def test_ordinary_log_has_nothing_doubtful(tmp_path):
    assert study(read_log(a_log(tmp_path, *cleared("good", 0, 1, 2)))).findings == ()


# Unreadable logs


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2026-01-05T09:00:00", "times without a zone (row 2)"),
        ("yesterday", "times that cannot be read (row 2)"),
        ("", "times that cannot be read (row 2)"),
    ],
)
def test_unplaceable_time_is_refused_with_row(tmp_path, time, told):
    """A time that nobody can place is refused with its row."""
    rows = cleared("a", 0, 1, 2)
    rows[1] = ("a", "lodged", time)
    with pytest.raises(LogError) as refused:
        read_log(a_log(tmp_path, *rows))
    assert told in str(refused.value)


def test_parquet_time_without_zone_is_refused(tmp_path):
    frame = pd.DataFrame({"declaration": ["a"], "step": ["lodged"], "occurred_at": [datetime(2026, 1, 5)]})
    frame.to_parquet(tmp_path / "naive.parquet")
    with pytest.raises(LogError, match="no zone"):
        read_log(tmp_path / "naive.parquet")


def test_many_wrong_rows_are_counted(tmp_path):
    with pytest.raises(LogError) as refused:
        read_log(a_log(tmp_path, *(("a", "lodged", "soon") for _ in range(40))))
    assert "rows 1, 2, 3, 4, 5 and 35 more" in str(refused.value)


def test_log_without_fitting_map_names_columns(tmp_path):
    """A log that no map fits names its columns."""
    (tmp_path / "x.csv").write_text("id,what\n1,2\n")
    with pytest.raises(LogError, match=r"--columns MAP.toml what id, what hold"):
        read_log(tmp_path / "x.csv")


def test_log_without_events_or_release_is_refused(tmp_path):
    with pytest.raises(LogError, match="holds no event"):
        read_log(a_log(tmp_path))
    with pytest.raises(LogError, match="nothing in the log is a release"):
        study(read_log(a_log(tmp_path, ("a", "lodged", 1))))


def test_unknown_split_is_refused(tmp_path):
    """A split that the log does not know is refused."""
    with pytest.raises(LogError, match="cannot split by channel: this log tells apart office, peak"):
        study(read_log(a_log(tmp_path, *cleared("a", 0, 1, 2))), Question(by=("channel",)))


# Column maps


MAP = """case = "no"
event = "what"
time = "at"
zone = "Asia/Shanghai"
channel = "lane"
[events]
arrived = "IN"
released = ["OUT", "FREE"]
"""


def test_foreign_log_is_read_by_map(tmp_path):
    """Another system s log is read by a map."""
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "log.csv").write_text(
        "no,what,at,lane\n1,IN,2026-01-05T09:00:00+08:00,red\n1,FREE,2026-01-05T02:00:00Z,red\n"
    )
    log = read_log(tmp_path / "log.csv", read_column_map(tmp_path / "map.toml"))
    found = study(log, Question(by=("channel",)))
    assert found.interval("arrival_to_release", "channel=red").figures.mean.value == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("case", "cases"), "does not know cases"),
        (('time = "at"', ""), "needs either time"),
        (('time = "at"', 'hours = "at"'), "add start"),
        (("Asia/Shanghai", "China"), "no time zone"),
        (("arrived", "came"), r"\[events\] does not know came"),
        (('released = ["OUT", "FREE"]', ""), r"\[events\] needs released"),
        (("[events]", "[events"), "cannot be read as TOML"),
    ],
)
def test_wrong_map_says_what_to_fix(tmp_path, change, told):
    (tmp_path / "map.toml").write_text(MAP.replace(*change))
    with pytest.raises(MapError, match=told):
        read_column_map(tmp_path / "map.toml")


def test_documented_column_map_is_valid(tmp_path):
    """The example in the documentation of maps is a map."""
    from clearance_sim.trs import column_map

    example = "\n".join(line[4:] for line in column_map.__doc__.splitlines() if line.startswith("    "))
    (tmp_path / "map.toml").write_text(example)
    assert read_column_map(tmp_path / "map.toml").ignored == ("anchored",)


# Exchange


def test_xes_holds_every_event_once_in_order(tmp_path):
    log = read_log(a_log(tmp_path, *cleared("a<b", 0, 1, 2), *cleared("c", 1, 2, 3)))
    space = {"x": "http://www.xes-standard.org/"}
    root = ET.fromstring("".join(xes(log)).encode())
    traces = root.findall("x:trace", space)
    assert [len(trace.findall("x:event", space)) for trace in traces] == [3, 3]
    assert traces[0].find("x:string", space).attrib == {"key": "concept:name", "value": "a<b"}
    times = [date.attrib["value"] for date in traces[0].iterfind(".//x:date", space)]
    assert times == sorted(times)


def test_ocel_relates_events_to_their_declaration_and_office(tmp_path):
    read = ocel(read_log(a_log(tmp_path, *cleared("a", 0, 1, 2))))
    assert {thing["id"] for thing in read["objects"]} == {"a", "office:YIWU"}
    assert {kind["name"] for kind in read["eventTypes"]} == {"arrived", "lodged", "released"}
    known = {thing["id"] for thing in read["objects"]}
    assert all({r["objectId"] for r in event["relationships"]} <= known for event in read["events"])


# The command


def test_command_prints_writes_and_exports(tmp_path):
    log = a_log(tmp_path, *(row for n in range(12) for row in cleared(f"d{n}", 24 * n, 24 * n + 1, 24 * n + 3)))
    asked = [str(log), "--by", "office", "--target", "120min", "--json", str(tmp_path / "trs.json")]
    done = CliRunner().invoke(trs_command, [*asked, "--export", str(tmp_path / "log.xes")])
    assert done.exit_code == 0, done.output
    assert "office=YIWU" in done.output
    assert "95% bootstrap by day" in done.output
    told = json.loads((tmp_path / "trs.json").read_text())
    assert told["question"]["target_hours"] == 2
    assert {interval["name"] for interval in told["intervals"]} >= {"arrival_to_release", "lodgement_to_release"}
    assert (tmp_path / "log.xes").read_text().count("<trace>") == 12


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--target", "soon"], "write it like 8h"),
        (["--target", "-3h"], "write it like 8h"),
        (["--peak", "18-8"], "write it like 8-18"),
        (["--zone", "Mars"], "no time zone"),
        (["--by", "colour"], "choose from channel"),
        (["--export", "x.pdf"], "choose such a name"),
    ],
)
def test_command_refuses_in_one_line_with_fix(tmp_path, option, told):
    """The command refuses in one line and says what to fix."""
    done = CliRunner().invoke(trs_command, [str(a_log(tmp_path, *cleared("a", 0, 1, 2))), *option])
    assert done.exit_code == 1
    assert told in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(("text", "hours"), [("8h", 8), ("90min", 1.5), ("2d", 48), ("8", 8)])
def test_lengths_of_time_as_people_write_them(text, hours):
    assert hours_asked(text) == hours
