"""What an analyst does against the started server: probe it, and have the procedure simulated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Server, start

pytestmark = pytest.mark.slow

FILE = """
name = "desk"

[stations.desk]
servers = 2
service = { distribution = "exponential", mean_h = { value = 0.4, range = [0.1, 0.6] } }
next = "exit"

[arrivals.all]
rate_per_h = 3
to = "desk"

[clocks."lodgement to release"]
from = "enter:desk"
to = "leave:desk"
target_h = [8]

[run]
declarations = 500
"""
PATIENCE_SECONDS = 240
"""The first simulation on a machine compiles the simulator."""


def _simulator(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clearance_sim", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_probe_catches_every_forgery_and_passes_genuine_papers(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "probe.json"
    credentials = ["--credentials", str(server.folder / "demo-credentials.json")]
    pace = ["--count", "16", "--rate", "8", "--forged", "0.5", "--wrong", "0.25", "--out", str(file)]
    ended = _simulator("probe", "--url", server.url, *credentials, *pace)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "No forgery of 8 passed" in ended.stdout
    found = json.loads(file.read_text())
    forged, wrong, good = (found["detection"][family] for family in ("forged", "wrong", "good"))
    assert {kind: fates["caught"] == fates["tried"] > 0 for kind, fates in forged.items()} == dict.fromkeys(
        ("all", "never-issued", "self-signed", "altered-copy", "revoked", "unaccredited", "used-up"), True
    )
    assert wrong["all"]["caught"] == wrong["all"]["tried"] == 4
    assert (good["passed"], good["caught"]) == (4, 0)
    assert found["faults"] == []
    measures = found["measures"]
    assert measures["lodgeToVerdict"]["count"] == measures["decisionToFinal"]["count"] == 4
    assert 0 < measures["verify"]["p50"]["value"] < measures["lodgeToVerdict"]["p50"]["value"]


def _simulation(server: Server, **order: Any) -> Any:
    ordered = server.post("/simulations", "analyst", {"scenarioText": FILE, "replications": 20, **order})

    def ended() -> Any:
        found = server.get(f"/simulations/{ordered['id']}", "analyst")
        return found if found["state"] not in ("waiting", "running") else None

    return server.until(ended, PATIENCE_SECONDS)


def test_an_analysts_own_scenario_runs_in_the_background(server: Server) -> None:
    base = _simulation(server)
    assert base["state"] == "done", base["faults"]
    slower = _simulation(server, parameters={"stations.desk.service.mean_h": 0.55})
    mean = [run["result"]["clocks"]["lodgement to release"]["mean"] for run in (base, slower)]
    assert mean[0]["high"] < mean[1]["low"]
    again = _simulation(server)
    assert again["result"]["clocks"] == base["result"]["clocks"]
    figures = server.get(base["files"]["result.json"].removeprefix("/api/v1"), "analyst")
    assert figures["clocks"] == base["result"]["clocks"]

    refused = server.post("/simulations", "analyst", {"scenarioText": FILE.replace("= 2", "= -2")}, 422)
    assert refused["code"] == "wrong-scenario"
    assert "line 5" in {fault["field"] for fault in refused["errors"]}


def test_a_restart_goes_on_with_a_simulation(server: Server) -> None:
    long = FILE.replace("declarations = 500", "declarations = 3000000")
    ordered = server.post("/simulations", "analyst", {"scenarioText": long, "replications": 200})["id"]
    server.until(lambda: server.get(f"/simulations/{ordered}", "analyst")["state"] == "running", PATIENCE_SECONDS)
    assert server.stop() == 0
    again = start(server.folder)
    again.until(lambda: again.get(f"/simulations/{ordered}", "analyst")["state"] == "running", PATIENCE_SECONDS)
    again.stop()
