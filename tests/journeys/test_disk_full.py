"""A full disk: nothing is answered that is not kept, what is there can be read, and it goes on with new room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journeys.conftest import Server, start
from tests.journeys.papers import a_certificate

MEGABYTES = 24


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds only a little; needs the right to mount one."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=False)


@pytest.mark.sqlite
@pytest.mark.slow
def test_full_disk_loses_no_record_and_recovers(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_LEAST_FREE_MB", "0")
    server = start(small_disk / "data")
    try:
        _fill_and_free(server, small_disk)
    finally:
        server.stop()


def _fill_and_free(server: Server, disk: Path) -> None:
    merchant = server.people["merchant"].organisation
    answered = [server.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"]]
    filler = disk / "filler"
    with suppress(OSError):  # the server writes meanwhile: what is left may be less than a moment ago
        filler.write_bytes(b"\0" * max(0, shutil.disk_usage(disk).free - 96 * 1024))
    statuses = []
    for _ in range(400):
        response = server.call("POST", "/certificates-of-origin", "chamber", json=a_certificate(merchant))
        statuses.append(response.status_code)
        if response.status_code == 201:
            answered.append(response.json()["id"])
        else:
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["code"] in ("storage-full", "storage-unavailable")
        if statuses[-5:].count(507) == 5:
            break
    assert set(statuses) <= {201, 503, 507}, statuses
    assert 507 in statuses, "the disk never was full"
    assert all(server.get(f"/records/{record}", "chamber")["id"] == record for record in answered[-20:])
    filler.unlink()
    answered.append(server.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"])
    for record in answered:
        server.until(lambda record=record: server.get(f"/records/{record}", "chamber")["proofState"] == "final", 60)
