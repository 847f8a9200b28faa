"""The one-file verifier in a real browser: from a disk without a network, and served with one."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.helpers.builders import certificate_fields, lodgement_fields, report_fields
from tests.journeys.conftest import Server

pytestmark = pytest.mark.browser
UNREACHABLE = "http://192.0.2.1/rpc"
"""What a test types in; there is no network."""
VERIFIER = Path(__file__).resolve().parents[2] / "verifier" / "verifier.html"


@pytest.fixture(scope="module")
def files(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A consignment's bundle, a certificate's, an altered one, and the server's trust file."""
    folder = tmp_path_factory.mktemp("evidence")
    name = server.get("/me", "merchant")["organisation"]
    certificate = server.post(
        "/certificates-of-origin", "chamber", certificate_fields(certificateNumber="OFFLINE-1", exporter={"name": name})
    )
    report = server.post(
        "/inspection-reports", "laboratory", report_fields(reportNumber="OFFLINE-2", customer={"name": name})
    )
    papers = [certificate["id"], report["id"]]
    lodged = server.post(
        "/declarations", "merchant", lodgement_fields(declarationReference="OFFLINE-3", records=papers)
    )
    server.until(lambda: server.get(f"/records/{lodged['id']}", "merchant")["proofState"] == "final")
    contents = {
        "certificate": server.call("GET", f"/records/{certificate['id']}/evidence", "merchant").content,
        "dossier": server.call("GET", f"/declarations/{lodged['id']}/evidence", "officer").content,
        "trust": requests.get(f"{server.url}/trust.json", timeout=10).content,
    }
    altered = json.loads(contents["certificate"])
    altered["records"][0]["entry"]["quantity"] = "900000"
    contents["altered"] = json.dumps(altered).encode()
    for stem, content in contents.items():
        (folder / f"{stem}.json").write_bytes(content)
    return {stem: folder / f"{stem}.json" for stem in contents}


@pytest.fixture
def from_disk(browser: Browser) -> Any:
    """The file opened from the disk in a browser without any network; nothing may be asked of one."""
    contexts, asked = [], []

    def opened(language: str = "en", width: int = 1280) -> Page:
        context = browser.new_context(
            locale={"zh": "zh-CN", "en": "en-GB"}[language], viewport={"width": width, "height": 900}, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
        page.goto(VERIFIER.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert set(asked) <= {UNREACHABLE}


def ruled(page: Page, conclusion: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-verdict", conclusion)
    expect(page.locator("#outcome")).to_be_visible()


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_bundle_is_verified_from_disk_without_network(
    from_disk: Callable[..., Page],
    files: dict[str, Path],
    language: str,
    width: int,
    picture: Callable[[Page, str], None],
) -> None:
    page = from_disk(language, width)
    page.set_input_files("#bundle", files["certificate"])
    ruled(page, "INDETERMINATE")
    page.set_input_files("#trust", files["trust"])
    ruled(page, "VALID")
    expect(page.locator("#outcome")).to_have_text({"en": "Valid", "zh": "有效"}[language])
    expect(page.locator("svg rect.root")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    report = Axe().run(page)
    assert report.violations_count == 0, report.generate_report()
    picture(page, f"verifier-{language}-{width}")
    page.set_input_files("#bundle", files["altered"])
    ruled(page, "INVALID")
    page.set_input_files("#bundle", files["dossier"])
    ruled(page, "VALID")
    picture(page, f"verifier-dossier-{language}-{width}")
    page.set_input_files("#bundle", files["trust"])
    ruled(page, "INDETERMINATE")
    page.fill("#rpc", UNREACHABLE)
    page.set_input_files("#bundle", files["certificate"])
    ruled(page, "INDETERMINATE")


def test_dropped_file_is_verified_and_language_changes(from_disk: Callable[..., Page], files: dict[str, Path]) -> None:
    page = from_disk()
    page.set_input_files("#trust", files["trust"])
    content = files["certificate"].read_text()
    transfer = page.evaluate_handle(
        "content => { const d = new DataTransfer(); d.items.add(new File([content], 'x.json')); return d; }", content
    )
    page.dispatch_event("#bundle-zone", "drop", {"dataTransfer": transfer})
    ruled(page, "VALID")
    page.click("#language")
    expect(page.locator("#outcome")).to_have_text("有效")


def test_served_verifier_starts_from_label_and_asks_ledger(
    server: Server, open_page: Callable[..., Page], files: dict[str, Path], picture: Callable[[Page, str], None]
) -> None:
    page = open_page("/verify-offline")
    expect(page.locator("#trusted")).to_contain_text("this site")
    page.fill("#rpc", f"{server.url}/rpc")
    page.set_input_files("#bundle", files["dossier"])
    ruled(page, "VALID")
    expect(page.locator("#result")).to_contain_text("Asked 127.0.0.1")
    picture(page, "verifier-served")
    with page.expect_download() as saved:
        page.click("#download")
    assert Path(saved.value.path()).read_bytes() == VERIFIER.read_bytes()


def test_label_leads_a_buyer_to_the_verifier(
    server: Server, open_page: Callable[..., Page], files: dict[str, Path], tmp_path: Path
) -> None:
    code = _label_code(server, files)
    page = open_page(f"/p/{code}")
    page.click(f"a[href*='/verify-offline?code={code}']")
    ruled(page, "VALID")
    expect(page.locator("#result")).to_contain_text("fields are not shown")


def _label_code(server: Server, files: dict[str, Path]) -> str:
    import sqlite3

    database = sqlite3.connect(f"file:{server.folder / 'provenport.sqlite'}?mode=ro", uri=True)
    jwt = json.loads(files["certificate"].read_text())["records"][0]["record"].partition("~")[0]
    ((code,),) = database.execute(
        "SELECT label_code FROM record WHERE digest = ?", (sha256(jwt.encode()).hexdigest(),)
    ).fetchall()
    assert re.fullmatch("[0-9a-z]+", code)
    return str(code)
