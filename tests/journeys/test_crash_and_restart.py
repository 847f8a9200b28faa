"""What was answered with 2xx is there, whatever happens to the server."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.helpers.postgres import installation_at
from tests.journeys.conftest import Server, command, free_port, start
from tests.journeys.papers import a_certificate, a_declaration


@pytest.mark.slow
def test_server_killed_during_submissions_loses_nothing_answered(tmp_path: Path) -> None:
    server = start(tmp_path / "data")
    deployment = (server.folder / "deployment.json").read_text()
    answered: list[str] = []
    for _ in range(2):
        threads = [threading.Thread(target=_submit, args=(server, answered)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
        server = start(server.folder)
    assert len(answered) > 10
    assert (server.folder / "deployment.json").read_text() == deployment
    for record in answered:
        server.until(lambda record=record: server.get(f"/records/{record}", "chamber")["proofState"] == "final", 60)
        bundle = server.get(f"/records/{record}/evidence", "chamber")
        assert server.post("/verify", None, bundle, 200)["verdict"] == "VALID"
    assert server.stop() == 0


def _submit(server: Server, answered: list[str]) -> None:
    merchant = server.people["merchant"].organisation
    while True:
        try:
            response = server.call("POST", "/certificates-of-origin", "chamber", json=a_certificate(merchant))
        except requests.RequestException:
            return
        assert response.status_code == 201, response.text
        answered.append(response.json()["id"])


def test_server_stopped_and_started_again_goes_on(tmp_path: Path) -> None:
    """SIGTERM and SIGINT both end it cleanly; what was lodged and the people's access are kept."""
    server = start(tmp_path / "data")
    declaration = server.post("/declarations", "merchant", a_declaration([]))["id"]
    before = (server.folder / "deployment.json").read_text(), server.people
    assert server.stop() == 0
    assert "Everything is kept" in server.output.read_text()
    interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script starts what it runs in the background
    try:
        again = start(server.folder)
    finally:
        signal.signal(signal.SIGINT, interrupts)
    assert ((again.folder / "deployment.json").read_text(), again.people) == before
    assert again.get(f"/declarations/{declaration}", "merchant")["status"] == "LODGED"
    again.settled_verdict(declaration)
    assert again.stop(signal.SIGINT) == 0


def test_credentials_are_for_their_owner_only(server: Server) -> None:
    mode = (server.folder / "demo-credentials.json").stat().st_mode & 0o777
    assert mode == 0o600
    assert set(server.people) == {
        "merchant",
        "chamber",
        "laboratory",
        "plant-protection",
        "officer",
        "officer-ningbo",
        "authority",
        "analyst",
    }


def _refusal(folder: Path, port: int) -> str:
    environment = {**os.environ, **installation_at(folder), "PORT": str(port)}
    ended = subprocess.run(command("serve"), env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_port_in_use_is_told(server: Server, tmp_path: Path) -> None:
    assert "PORT=" in _refusal(tmp_path / "other", server.port)


def test_a_folder_that_another_server_uses_is_told(server: Server) -> None:
    assert f"process {server.process.pid}" in _refusal(server.folder, free_port())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "DATA_DIR=" in _refusal(tmp_path / "file" / "data", free_port())


@pytest.mark.parametrize("marker", ['{"format": 99, "version": "9.9"}', "not JSON"])
def test_a_folder_of_another_version_is_told(tmp_path: Path, marker: str) -> None:
    (tmp_path / "provenport.json").write_text(marker)
    assert "provenport.json is damaged" in (told := _refusal(tmp_path, free_port())) or "format 99" in told


def test_trs_command_runs_beside_the_running_server(server: Server) -> None:
    environment = {**os.environ, **installation_at(server.folder)}
    told = subprocess.run(command("trs"), env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "arrival → release" in told.stdout
    assert told.stdout.count("\n") == 3
