"""A copy made while the server runs can be put back, and what was erased since does not come back with it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.journeys.conftest import Server, command, start
from tests.journeys.papers import a_certificate

pytestmark = pytest.mark.sqlite  # PostgreSQL is copied by its own tools


def provenport(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATA_DIR": str(folder)}
    return subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=60, check=False)


def final(server: Server, record: str) -> bool:
    return bool(server.get(f"/records/{record}", "merchant")["proofState"] == "final")


@pytest.mark.slow
def test_restored_backup_lacks_only_what_was_erased_since(tmp_path: Path) -> None:
    server = start(tmp_path / "data")
    merchant = server.people["merchant"].organisation
    papers = [server.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"] for _ in range(2)]
    for paper in papers:
        server.until(lambda paper=paper: final(server, paper))
    safe = tmp_path / "safe"
    made = provenport(server.folder, "backup", str(safe))
    assert made.returncode == 0, made.stderr
    (copy,) = (path for path in safe.iterdir() if path.is_dir())
    assert str(copy) in made.stdout

    server.post(f"/records/{papers[0]}/erasure", "merchant", {"confirm": "erase for good"})
    later = server.post("/certificates-of-origin", "chamber", a_certificate(merchant))["id"]
    made = provenport(server.folder, "backup", str(safe))
    assert made.returncode == 0, made.stderr
    assert server.stop() == 0

    into = tmp_path / "again"
    put_back = provenport(into, "restore", str(copy))
    assert put_back.returncode == 0, put_back.stderr
    refused = provenport(into, "restore", str(copy))
    assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)
    again = start(into)
    assert again.get(f"/records/{papers[0]}", "merchant")["erasedAt"] is not None
    bundle = again.get(f"/records/{papers[1]}/evidence", "merchant")
    assert again.post("/verify", None, bundle, 200)["verdict"] == "VALID"
    assert again.call("GET", f"/records/{later}", "merchant").status_code == 404  # came after this copy
    assert again.stop() == 0
    audited = provenport(into, "audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr

    (into / "record.keys").unlink()
    stopped = provenport(into, "serve")
    assert stopped.returncode == 1
    assert "put its newest copy back" in stopped.stderr


def test_backup_of_nothing_or_into_itself_is_refused(tmp_path: Path) -> None:
    nothing = provenport(tmp_path / "none", "backup", str(tmp_path / "safe"))
    assert (nothing.returncode, "holds no installation yet" in nothing.stderr) == (1, True)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "provenport.json").write_text('{"format": 1}')
    nothing = provenport(tmp_path / "some", "backup", str(tmp_path / "safe"))
    assert (nothing.returncode, "provenport.sqlite is missing" in nothing.stderr) == (1, True)
    (tmp_path / "some" / "provenport.sqlite").touch()
    inside = provenport(tmp_path / "some", "backup", str(tmp_path / "some" / "copies"))
    assert (inside.returncode, "belongs on another disk" in inside.stderr) == (1, True)
    assert provenport(tmp_path / "other", "restore", str(tmp_path)).returncode == 1
