"""The events handed to a time release study: complete, without names, and worth the same figures as our own."""

import csv
import io
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from backend.cli.trs import write_events
from backend.domain.consignment import ClearanceEvent, Decision, Step
from backend.domain.errors import Invalid
from backend.services import decisions, declarations, release_times
from clearance_sim.trs import read_log, study


@pytest.fixture
def busy(installation):
    """Six consignments: one came before lodgement, one was cleared before it came, one is open, one was refused."""
    for number, (before, after) in enumerate([(50, 7), (3, 31), (1, 2), (9, 13), (2, 1), (4, 5)]):
        arrived = installation.clock.time - timedelta(hours=before, minutes=7 * number, microseconds=number)
        consignment = installation.lodge(
            [
                installation.issue_certificate(certificateNumber=f"N{number}"),
                installation.issue_report(reportNumber=f"N{number}"),
            ],
            declarationReference=f"R{number}",
            **({"arrivalDateTime": arrived.isoformat()} if number != 3 else {}),
        )
        installation.settle()
        installation.clock.pass_by(timedelta(hours=after, seconds=number))
        if number == 4:
            decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.REJECT, "not these")
        elif number != 5:
            decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
            installation.settle()
            installation.clock.pass_by(timedelta(hours=1))
            decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.RELEASE, "fits")
    return installation


@pytest.mark.parametrize("name", ["events.csv", "events.parquet"])
def test_study_of_exported_events_has_the_same_figures(busy, tmp_path, name):
    written = write_events(busy.ctx, tmp_path / name)
    ours = release_times.study(busy.ctx)
    theirs = study(read_log(tmp_path / name))
    assert written == theirs.events
    for clock in ("arrival_to_release", "lodgement_to_release"):
        mine, figures = getattr(ours, clock), theirs.interval(clock).figures
        assert (mine.count, mine.mean_hours, mine.median_hours, mine.p90_hours) == (
            figures.count,
            figures.mean.value,
            figures.median.value,
            figures.p90.value,
        )
    assert (theirs.released, theirs.open, theirs.ended_otherwise) == (4, 1, 1)
    assert {(stage.name, stage.party) for stage in theirs.stages} == {
        ("arrived", "trader"),
        ("lodged", "customs"),
        ("examination", "customs"),
    }


def test_events_tell_no_names_goods_or_references(busy):
    text = "".join(release_times.as_csv(release_times.events(busy.ctx)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["party"] for row in rows} == {"merchant", "officer", ""}  # the ledger's own events are nobody's
    for secret in (busy.merchant.organisation.name, busy.officer.organisation.name, "R1", "not these"):
        assert secret not in text
    assert "examination" in text  # the search would have found something


def test_events_since_a_time_start_with_that_record(busy):
    every = list(release_times.events(busy.ctx))
    since = every[7].recorded_at
    assert list(release_times.events(busy.ctx, since)) == [event for event in every if event.recorded_at >= since]
    assert every != list(release_times.events(busy.ctx, since))


def test_office_named_like_a_formula_is_neutralised(busy):
    now = busy.clock.time
    event = ClearanceEvent("d", Step.LODGED, now, now, "=HYPERLINK(1)", "merchant")
    assert release_times.event_row(event)[4] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("name", ["events.txt", "no-such-folder/events.csv"])
def test_unwritable_file_is_refused_with_its_reason(installation, tmp_path, name):
    with pytest.raises(Invalid, match=r"choose such a name|cannot be written"):
        write_events(installation.ctx, tmp_path / name)


def test_a_large_export_comes_in_pieces(busy):
    pieces = list(release_times.as_csv(release_times.events(busy.ctx), rows_a_piece=2))
    assert len(pieces) > 5
    assert "".join(pieces) == "".join(release_times.as_csv(release_times.events(busy.ctx)))


def test_parquet_keeps_times_as_times(busy, tmp_path):
    write_events(busy.ctx, tmp_path / "events.parquet")
    schema = pq.read_schema(tmp_path / "events.parquet")
    assert str(schema.field("occurred_at").type) == "timestamp[us, tz=UTC]"


def test_goods_released_early_wait_nothing_in_both_studies(installation, tmp_path):
    """Released before they came."""
    consignment = installation.lodge()
    installation.settle()
    installation.clock.pass_by(timedelta(hours=2))
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.EXAMINE, "look")
    installation.settle()
    declarations.report_arrival(
        installation.ctx, installation.officer, consignment.id, installation.clock.time + timedelta(minutes=4)
    )
    decisions.decide(installation.ctx, installation.officer, consignment.id, Decision.RELEASE, "fits")
    write_events(installation.ctx, tmp_path / "events.csv")
    theirs = study(read_log(tmp_path / "events.csv"))
    assert release_times.study(installation.ctx).arrival_to_release.mean_hours == 0
    assert theirs.interval("arrival_to_release").figures.mean.value == 0
    assert theirs.interval("arrival_to_release").before == 1
    assert any("before they arrived" in str(found.what) for found in theirs.findings)
