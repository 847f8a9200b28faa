"""Many documents in one request: each line gets an answer of its own, and what is too much is refused in order."""

import json
from dataclasses import replace

import pytest

from backend.domain.kinds import KINDS, Kind
from backend.services import bulk
from backend.services.ports import AdmissionLimits, ServiceSettings
from backend.web.api import records
from tests.helpers.builders import Api, certificate_fields

PATH = "/certificates-of-origin:bulk"
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture
def small(monkeypatch):
    """Units of two lines, so that a few lines are several units."""
    monkeypatch.setattr(bulk, "UNIT_LINES", 2)


def send(api, lines, key=None, who="chamber", **options):
    body = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines)
    headers = {"Idempotency-Key": key} if key else {}
    return api.post(PATH, who, data=body, headers=headers, **{"content_type": NDJSON} | options)


def told(answer):
    assert (answer.status_code, answer.mimetype) == (200, NDJSON), answer.get_data(as_text=True)
    *lines, total = [json.loads(line) for line in answer.get_data().splitlines()]
    assert total == {
        "lines": len(lines),
        "stored": sum(line["status"] == 201 for line in lines),
        "refused": sum(line["status"] >= 400 for line in lines),
    }
    return lines


def certificate(api, **changes):
    return certificate_fields(**{"certificateNumber": api.fresh("B"), **changes})


@pytest.mark.usefixtures("small")
def test_each_line_gets_its_own_answer(api):
    good, twice = certificate(api), certificate(api)
    lines = [good, twice, b"", twice, b"no json", [], certificate(api, hsCode="999999"), certificate(api, quantity=5)]
    found = told(send(api, lines))
    assert [(line["line"], line["status"]) for line in found] == [
        *((1, 201), (2, 201), (4, 409), (5, 400), (6, 422), (7, 422), (8, 422))
    ]
    stored = api.get(f"/records/{found[0]['record']['id']}", "chamber").get_json()
    assert {name: found[0]["record"][name] for name in ("kind", "digest", "recordedAt", "url")} == {
        name: stored[name] for name in ("kind", "digest", "recordedAt", "url")
    }
    problems = [line["problem"]["code"] for line in found[2:]]
    assert problems == ["conflict", "malformed-json", "invalid", "invalid", "invalid"]
    alone = api.post("/certificates-of-origin", "chamber", twice).get_json()
    assert found[2]["problem"]["detail"] == alone["detail"]


@pytest.mark.usefixtures("small")
def test_same_body_under_one_key_stores_nothing_twice(api):
    lines, key = [certificate(api) for _ in range(5)], api.fresh("k")
    first = send(api, lines, key)
    again = send(api, lines, key)
    assert again.get_data() == first.get_data()
    assert [line["status"] for line in told(first)] == [201] * 5
    longer = told(send(api, [*lines[:4], certificate(api)], key))
    assert [line["status"] for line in longer] == [201, 201, 201, 201, 422]
    assert send(api, [certificate(api), *lines[1:]], key).status_code == 422


@pytest.mark.usefixtures("small")
def test_lines_beyond_the_most_are_not_stored(api, monkeypatch):
    monkeypatch.setattr(records, "MOST_LINES", 3)
    found = told(send(api, [certificate(api) for _ in range(6)]))
    assert [(line["line"], line["status"]) for line in found] == [(1, 201), (2, 201), (3, 201), (4, 413)]


def test_line_too_long_is_refused_alone(api, monkeypatch):
    monkeypatch.setattr(records, "LARGEST_BODY", 2000)
    found = told(send(api, [certificate(api), {"description": "x" * 5000}, certificate(api)]))
    assert [line["status"] for line in found] == [201, 413, 201]


@pytest.mark.parametrize(
    ("lines", "options", "status"),
    [
        ([], {}, 422),
        ([b"", b" "], {}, 422),
        ([{}], {"content_type": "application/json"}, 415),
        ([{}], {"who": "merchant"}, 403),
    ],
)
def test_whole_body_is_refused_as_a_problem(api, lines, options, status):
    answer = send(api, lines, **options)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_body_larger_than_allowed_is_refused(api, monkeypatch):
    monkeypatch.setattr("backend.web.api.views.LARGEST_BULK", 1000)
    assert send(api, [{"description": "x" * 5000}]).status_code == 413


def test_closed_intake_refuses_all_with_its_pause(app, api, system, monkeypatch):
    closed = ServiceSettings(admission=AdmissionLimits(most_waiting=0))
    ctx, instance = app.extensions["provenport"]
    monkeypatch.setitem(app.extensions, "provenport", (replace(ctx, settings=closed), instance))
    answer = send(api, [certificate(api)])
    assert (answer.status_code, answer.get_json()["code"]) == (429, "too-much-waiting")
    assert int(answer.headers["Retry-After"]) > 0


def test_more_at_once_than_places_are_turned_away(api):
    places = 0
    while records._PLACES.acquire(blocking=False):
        places += 1
    try:
        answer = send(api, [certificate(api)])
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    finally:
        records._PLACES.release(places)
    for _ in range(places + 1):
        assert len(told(send(api, [certificate(api)]))) == 1, "each gives its place back"
    for _ in range(places + 1):
        assert send(api, []).status_code == 422
    assert len(told(send(api, [certificate(api)]))) == 1, "so does one that is refused"


def test_every_kind_takes_many_lines(app):
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert {f"/api/v1/{KINDS[kind].collection}:bulk" for kind in Kind} <= rules
