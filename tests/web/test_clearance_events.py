"""The export of events over the interface: for customs and analysts, as CSV, with problems in the usual form."""

import csv
import io
import re

import pytest

from backend.domain.consignment import ClearanceEvent, Step
from backend.services import release_times
from clearance_sim.trs import read_log, study
from tests.helpers.builders import NOON, Api

AN_EVENT = ClearanceEvent("d", Step.LODGED, NOON, NOON, "CNYIU", "merchant")


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


@pytest.mark.parametrize("path", ["/release-times/events.csv", "/api/v1/clearance-events"])
def test_events_are_sent_in_pieces(app, people, api, monkeypatch, path):
    """However many there are: none is read before the reader takes the first piece."""
    read = []

    def events(*args, **options):
        for number in range(1_200):
            read.append(number)
            yield AN_EVENT

    monkeypatch.setattr(release_times, "events", events)
    client = app.test_client()
    analyst = people["analyst"]
    if not path.startswith("/api"):
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)[1]
        form = {"email": analyst.email, "password": analyst.password, "csrf_token": token}
        assert client.post("/sign-in", data=form).status_code == 302
    answer = client.get(path, headers=analyst.bearer if path.startswith("/api") else {}, buffered=False)
    assert answer.is_streamed
    pieces = answer.iter_encoded()
    next(pieces)
    assert len(read) < 1_000
    assert sum(piece.count(b"\r\n") for piece in pieces) > 0
    answer.close()


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=1764400000",
        "since=2026-01-01",
        "since=2026-01-01T00:00:00",
        "until=2026-01-01T00:00:00Z",
    ],
)
def test_zoneless_time_or_unknown_parameter_is_a_problem(api, query):
    answer = api.get(f"/clearance-events?{query}", "officer")
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    assert answer.get_json()["errors"]
