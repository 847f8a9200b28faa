"""The export of events over the interface: for customs and analysts, as CSV, with problems in the usual form."""

import csv
import io

import pytest

from clearance_sim.trs import read_log, study
from tests.helpers.builders import Api


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


def test_release_times_equal_the_study_of_the_events(api, tmp_path):
    """The API's figures are those that the simulator works out from the downloaded events."""
    answer = api.get("/clearance-events", "officer")
    assert answer.content_type.startswith("text/csv")
    (tmp_path / "events.csv").write_bytes(answer.get_data())
    theirs = study(read_log(tmp_path / "events.csv"))
    told = api.get("/release-times", "officer").get_json()
    assert told["lodgementToRelease"]["count"] > 0
    for clock, name in (("arrivalToRelease", "arrival_to_release"), ("lodgementToRelease", "lodgement_to_release")):
        figures = theirs.interval(name).figures
        assert told[clock] == {
            "count": figures.count,
            "meanHours": figures.mean.value,
            "medianHours": figures.median.value,
            "p90Hours": figures.p90.value,
        }


def test_events_since_the_future_are_a_heading_only(api):
    text = api.get("/clearance-events?since=2999-01-01T00:00:00Z", "officer").get_data(as_text=True)
    assert list(csv.reader(io.StringIO(text))) == [
        ["declaration", "step", "occurred_at", "recorded_at", "customs_office", "party"]
    ]


@pytest.mark.parametrize("query", ["since=yesterday", "since=2026-01-01T00:00:00", "until=2026-01-01T00:00:00Z"])
def test_zoneless_time_or_unknown_parameter_is_a_problem(api, query):
    answer = api.get(f"/clearance-events?{query}", "officer")
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    assert answer.get_json()["errors"]
