"""What every answer carries besides its body: who may keep it, which request it answers, which methods there are."""

import logging
import re
from dataclasses import replace

import pytest
import structlog
from flask import abort

from backend.runtime.app import create_app
from tests.helpers.builders import Api

KEPT_BY_ANYBODY = {"static", "bootstrap.static", "downloads.documentation_asset", "downloads.file_schema",
                   "downloads.record_schema", "public.label_image"}  # fmt: skip
"""Answers that are the same for everybody and change with a release only."""


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


def address(rule):
    """An address of a route, with something in each of its places; whether that exists is no matter."""
    one_of = re.sub(r"<any\('([^']+)'[^>]*>", r"\1", rule.rule)
    return re.sub(r"<(?:[a-z]+(?:\([^)]*\))?:)?[a-z_]+>", "1", one_of)


def addresses(app):
    """Every address that can be read."""
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint not in KEPT_BY_ANYBODY:
            yield rule.endpoint, address(rule)


def refusals_of_wrong_methods(app):
    """(route, answer, the methods that it has) of every route, asked by a method that it lacks."""
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        right = set(app.url_map.bind("").allowed_methods(address(rule)))
        wrong = next(method for method in ("PUT", "DELETE", "PATCH") if method not in right)
        yield rule.rule, client.open(address(rule), method=wrong), right


def test_every_route_names_its_methods(app):
    refused = list(refusals_of_wrong_methods(app))
    assert len(refused) > 100
    assert [
        (route, answer.status)
        for route, answer, right in refused
        if answer.status_code != 405 or set(answer.headers["Allow"].split(", ")) != right
    ] == []


def test_every_write_is_numbered_and_not_kept(app, people):
    client, headers = app.test_client(), people["officer"].bearer
    writes = [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    assert len(writes) > 60
    answers = [(rule.rule, client.post(address(rule), headers=headers)) for rule in writes]
    assert [
        (route, answer.status)
        for route, answer in answers
        if "no-store" not in answer.headers.get("Cache-Control", "") or not answer.headers.get("X-Request-Id")
    ] == []


def test_pages_of_somebody_signed_in_are_not_kept(app, people):
    """Where the page exists and is shown, not refused."""
    client = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)[1]
    typed = {"csrf_token": token, "email": people["merchant"].email, "password": people["merchant"].password}
    assert client.post("/sign-in", data=typed).status_code == 302
    shown = [path for endpoint, path in addresses(app) if endpoint.startswith("pages.") and "1" not in path]
    answers = {path: client.get(path) for path in shown}
    assert sum(answer.status_code == 200 for answer in answers.values()) > 8
    assert [path for path, answer in answers.items() if "no-store" not in answer.headers["Cache-Control"]] == []


def test_no_answer_is_kept_without_leave(app, people):
    client, headers = app.test_client(), people["officer"].bearer
    kept = {
        endpoint: answer.headers.get("Cache-Control")
        for endpoint, path in addresses(app)
        if "no-store" not in (answer := client.get(path, headers=headers)).headers.get("Cache-Control", "")
    }
    assert len(list(addresses(app))) > 40
    assert kept == {}


def test_private_answers_are_not_kept(app, api, people):
    """Such as exist, not their errors."""
    certificate = api.certificate()
    for path in ("/me", f"/records/{certificate['id']}", f"/records/{certificate['id']}/evidence"):
        answer = api.get(path, "merchant")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("name", ["icon.svg", "rows.js"])
def test_files_of_the_pages_may_be_kept(app, name):
    assert "no-store" not in app.test_client().get(f"/static/{name}").headers["Cache-Control"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/declarations", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("GET", "/api/v1/verify", {"OPTIONS", "POST"}),
        ("GET", "/rpc", {"OPTIONS", "POST"}),
        ("PUT", "/sign-in", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method_is_told_the_right_ones(client, method, path, allowed):
    answer = client.open(path, method=method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    if path != "/sign-in":
        assert all(name in answer.get_json()["detail"] for name in allowed), "in words as well"


def test_each_request_has_a_number_of_its_own(client):
    first, second = (client.get("/healthz").headers["X-Request-Id"] for _ in range(2))
    assert first != second
    assert re.fullmatch("[0-9a-f]{32}", first)


@pytest.mark.parametrize("given", ["a", "trace-42.b:c_d", "x" * 128])
def test_sane_request_id_is_kept(client, given):
    answer = client.get("/api/v1/me", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == answer.get_json()["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a,b", "é", '"><script>', "{}"])
def test_odd_request_id_is_replaced(client, given):
    answer = client.get("/api/v1/me", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == answer.get_json()["requestId"] != given


def test_request_id_stands_in_the_log(client, caplog):
    with caplog.at_level(logging.INFO, logger="backend.web.context"):
        client.get("/api/v1/me", headers={"X-Request-Id": "in-the-log"})
        client.get("/api/v1/a%0Ab")
    first, second = (record.getMessage() for record in caplog.records if record.name == "backend.web.context")
    assert first.startswith("GET '/api/v1/me' 401 in ")
    assert first.endswith(" request in-the-log")
    assert "\n" not in second


def test_other_lines_of_a_request_name_it(app, client, monkeypatch):
    def telling():
        structlog.get_logger().warning("planted")
        return {}

    monkeypatch.setitem(app.view_functions, "downloads.record_schemas", telling)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        client.get("/schemas", headers={"X-Request-Id": "line-7"})
    assert [line["request_id"] for line in lines if line["event"] == "planted"] == ["line-7"]


def test_unforeseen_error_names_its_request(app, client, caplog, monkeypatch):
    def broken():
        raise RuntimeError("planted")

    monkeypatch.setitem(app.view_functions, "downloads.record_schemas", broken)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/schemas", headers={"X-Request-Id": "broken-1"})
    assert (answer.status_code, answer.get_json()["requestId"]) == (500, "broken-1")
    assert any("broken-1" in record.getMessage() for record in caplog.records)


# ---- figures


def figures(app, address="127.0.0.1", **headers):
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    return client.get("/metrics", headers=headers)


def test_figures_are_given_to_the_machine_itself(app):
    assert figures(app).status_code == figures(app, "::1").status_code == 200


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("198.51.100.1", {}),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.1"}),
        ("127.0.0.1", {"Forwarded": "for=198.51.100.1"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("198.51.100.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("198.51.100.1", {"Authorization": "Bearer guessed-guessed-guessed"}),
    ],
    ids=str,
)
def test_figures_are_refused_to_strangers(app, address, headers):
    answer = figures(app, address, **headers)
    assert (answer.status_code, answer.content_type) == (403, "application/problem+json")
    assert "provenport_" not in answer.text
    assert "METRICS_TOKEN" in answer.get_json()["detail"]


def test_figures_are_given_for_the_token_only(system):
    token = "0123456789abcdefghij"
    app = create_app(replace(system, settings=replace(system.settings, metrics_token=token)))
    assert figures(app, "198.51.100.1", Authorization=f"Bearer {token}").status_code == 200
    for answer in (figures(app), figures(app, Authorization=f"Bearer {token}x"), figures(app, Authorization="é")):
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_planted_abort_keeps_its_headers(app, client, monkeypatch):
    """What a view raises reaches the client in its own words, over the interface as on the pages."""
    monkeypatch.setitem(app.view_functions, "downloads.record_schemas", lambda: abort(503))
    assert client.get("/schemas").get_json()["detail"].startswith("The server is temporarily unable")
