"""A server whose attachments lie in an object store: it goes away and comes back, is copied, put back and audited."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.object_stores import Store, started
from tests.journeys.conftest import Server, start
from tests.journeys.papers import a_certificate
from tests.journeys.test_backup import provenport

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


@pytest.fixture
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, started(patch) as running:
        patch.setenv("FILES_URL", running.url)
        yield running


def a_pdf(text: str) -> bytes:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica")
    pdf.cell(text=text)
    return bytes(pdf.output())


def upload(server: Server, content: bytes) -> requests.Response:
    return server.call("POST", "/files", "chamber", files={"file": ("lamp.pdf", content, "application/pdf")})


def certificate_with(server: Server, content: bytes) -> tuple[str, str]:
    """Issue a certificate that binds a file; its id, and the file's digest."""
    stored = upload(server, content)
    assert stored.status_code == 201, stored.text
    digest, size = stored.json()["sha256"], stored.json()["size"]
    fields = a_certificate(server.people["merchant"].organisation)
    bound = {**fields, "attachments": [{"fileName": "lamp.pdf", "size": size, "sha256": digest}]}
    return server.post("/certificates-of-origin", "chamber", bound)["id"], digest


def attachments_check(server: Server, record: str) -> Any:
    checks = server.get(f"/records/{record}", "merchant")["verdict"]["checks"]
    return next(check for check in checks if check["code"] == "ATTACHMENTS")


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[Server]:
    running = start(tmp_path / "data")
    yield running
    if running.process.poll() is None:
        running.stop()


def test_server_keeps_attachments_in_an_object_store(server: Server, store: Store, tmp_path: Path) -> None:
    kept, digest = certificate_with(server, a_pdf("kept"))
    erased, gone = certificate_with(server, a_pdf("erased"))
    assert not (server.folder / "files").exists()
    assert {key[-64:] for key in store.objects()} >= {digest, gone}
    server.until(lambda: server.get(f"/records/{erased}", "merchant")["proofState"] == "final")
    assert attachments_check(server, kept)["outcome"] == "pass"

    store.stop()
    refused = upload(server, a_pdf("refused"))
    assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
    assert "does not answer" in refused.json()["detail"]
    assert refused.headers["Retry-After"]
    assert attachments_check(server, kept)["outcome"] == "indeterminate"
    erasure = {"confirm": "erase for good"}
    assert server.call("POST", f"/records/{erased}/erasure", "merchant", json=erasure).status_code == 503
    assert server.get(f"/records/{erased}", "merchant")["erasedAt"] is None
    store.start()
    server.until(lambda: attachments_check(server, kept)["outcome"] == "pass")
    assert upload(server, a_pdf("refused")).status_code == 201

    safe = tmp_path / "safe"
    made = provenport(server.folder, "backup", str(safe))
    assert made.returncode == 0, made.stderr
    (copy,) = (path for path in safe.iterdir() if path.is_dir())
    assert (copy / "files" / gone[:2] / gone).exists()
    server.post(f"/records/{erased}/erasure", "merchant", erasure)
    assert gone not in {key[-64:] for key in store.objects()}
    made = provenport(server.folder, "backup", str(safe))  # brings the newest keys
    assert made.returncode == 0, made.stderr
    assert server.stop() == 0
    audited = provenport(server.folder, "audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FILES_URL", f"{store.url}-again")
        into = tmp_path / "again"
        put_back = provenport(into, "restore", str(copy))
        assert put_back.returncode == 0, put_back.stderr
        again = start(into)
        assert again.get(f"/records/{erased}", "merchant")["erasedAt"] is not None
        assert attachments_check(again, kept)["outcome"] == "pass"
        assert [path for path in (into / "files").rglob("*") if path.is_file()] == []
        there = [key for key in store.objects() if re.search(f"-again/files/../{digest}", key)]
        assert len(there) == 1
        assert again.stop() == 0
        store.client().delete_object(Bucket="papers", Key=there[0])
        audited = provenport(into, "audit")
        assert (audited.returncode, "attachment-missing" in audited.stdout + audited.stderr) == (1, True)
