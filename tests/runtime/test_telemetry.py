"""Traces: a request, its units of work and the batch that takes its record to the ledger; and none unless asked for."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backend.runtime.app import System, create_app, running, traced
from backend.runtime.telemetry import Traces
from backend.services.anchoring import run_once
from backend.settings import Settings, WrongSetting
from tests.conftest import copied, people_in
from tests.journeys.conftest import start
from tests.journeys.papers import a_certificate

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def issue(system: System) -> str:
    """Issue a certificate through the application; its id."""
    people = people_in(system.folder.path)
    answer = (
        create_app(system)
        .test_client()
        .post(
            "/api/v1/certificates-of-origin",
            json=a_certificate(people["merchant"].organisation),
            headers={
                **people["chamber"].bearer,
                "X-Request-Id": "traced-1",
                "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
            },
        )
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def test_request_units_and_batch_are_traced(demonstration: Path, tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    with running(copied(demonstration, tmp_path / "data")) as system, traced(system, Traces("1", exporter)) as followed:
        record = issue(followed)
        while run_once(followed.ctx):
            continue
    spans = exporter.get_finished_spans()
    (request,) = (span for span in spans if span.attributes.get("provenport.request_id") == "traced-1")
    assert request.name == "POST /api/v1/certificates-of-origin"
    assert request.attributes["http.response.status_code"] == 201
    assert request.attributes["provenport.created"] == record
    assert request.parent is None  # what a stranger says of a trace is not taken over
    units = [span for span in spans if span.parent and span.parent.span_id == request.context.span_id]
    assert {span.name for span in units} == {"unit of work"}
    assert any(span.attributes["provenport.outcome"] == "commit" for span in units)
    assert all(span.attributes["provenport.statements"] > 0 for span in units)

    (sealing,) = (span for span in spans if span.name == "seal")
    ((root, records),) = (
        (name.removeprefix("provenport.batch."), ids)
        for name, ids in sealing.attributes.items()
        if name.startswith("provenport.batch.")
    )
    assert record in records
    (anchoring,) = (span for span in spans if span.name == "anchor batch")
    assert anchoring.attributes["provenport.batch.root"] == root
    (round_,) = (span for span in spans if span.context.span_id == anchoring.parent.span_id)
    assert round_.name == "anchoring round"
    assert sealing.parent.span_id == round_.context.span_id


def test_traces_hold_no_person_nor_text(demonstration: Path, tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    with running(copied(demonstration, tmp_path / "data")) as system, traced(system, Traces("1", exporter)) as followed:
        issue(followed)
        run_once(followed.ctx)
        people = people_in(system.folder.path)
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "traced-1" in told
    for secret in (people["chamber"].email, people["chamber"].token, people["chamber"].password, "lamp", "INSERT"):
        assert secret not in told


@contextmanager
def collector(bodies: list[bytes]) -> Iterator[str]:
    """A collector of traces over OTLP/HTTP; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                bodies.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.sqlite
def test_started_server_sends_traces_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[bytes] = []
    with collector(bodies) as url:
        monkeypatch.setenv(ENDPOINT, url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "port-of-ningbo")
        server = start(tmp_path / "data")
        issued = a_certificate(server.people["merchant"].organisation)
        server.post("/certificates-of-origin", "chamber", issued)
        assert server.stop() == 0
    sent = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    resources = [resource for one in sent for resource in one.resource_spans]
    names = {span.name for one in resources for scope in one.scope_spans for span in scope.spans}
    assert {"POST /api/v1/certificates-of-origin", "unit of work"} <= names
    services = {
        pair.value.string_value for one in resources for pair in one.resource.attributes if "service.name" in pair.key
    }
    assert services == {"port-of-ningbo"}


@pytest.mark.slow
@pytest.mark.sqlite
def test_collector_that_is_away_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    server = start(tmp_path / "data")
    server.post("/certificates-of-origin", "chamber", a_certificate(server.people["merchant"].organisation))
    assert server.stop() == 0


def test_without_setting_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from backend.runtime.app import create_app, running; "
        "from backend.settings import Settings\n"
        "with running(Settings.from_environment({'DATA_DIR': sys.argv[1]})) as system:\n"
        "    assert create_app(system).test_client().get('/readyz').status_code == 200\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('opentelemetry')]))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    made = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("environment", "sends"),
    [
        ({}, False),
        ({ENDPOINT: " "}, False),
        ({ENDPOINT: "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, True),
    ],
)
def test_only_a_named_collector_gets_traces(environment: dict[str, str], sends: bool) -> None:
    assert Settings.from_environment(environment).sends_traces is sends


def test_missing_packages_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(WrongSetting, match=r"provenport\[telemetry\]"):
        Traces("1")
