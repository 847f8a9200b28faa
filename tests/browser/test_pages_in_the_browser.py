"""Merchant, chamber, laboratory, officer and buyer at their pages, in a real browser."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from backend.runtime.demo import a_pdf
from tests.browser.conftest import SignIn
from tests.journeys.conftest import Server

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]


def _fill(page: Page, values: dict[str, str]) -> None:
    for name, value in values.items():
        field = page.locator(f"[name='{name}']")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def _first_product(page: Page) -> str:
    page.goto("/products")
    link = page.locator("a[href^='/products/']:not([href$='/new'])").first
    return str(link.get_attribute("href"))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_paper_goes_from_merchants_form_to_issuers_signature(
    server: Server, signed_in: SignIn, tmp_path: Path, language: str, picture: Callable[[Page, str], None]
) -> None:
    merchant = signed_in("merchant", language=language)
    product = _first_product(merchant)
    merchant.goto(f"{product}/certificate-of-origin/new")
    pdf = tmp_path / "certificate.pdf"
    pdf.write_bytes(a_pdf())
    _fill(merchant, {"quantity": "many", "import_country": "SG", "origin_criteria": "CTH"})
    merchant.set_input_files("input[type=file]", pdf)
    picture(merchant, f"certificate-form-{language}")
    merchant.locator("main form button.btn-primary").click()

    faults = merchant.locator(".fault, [aria-invalid=true]")
    expect(faults.first).to_be_visible()
    expect(merchant.locator("[name=import_country]")).to_have_value(re.compile("SG"))
    _fill(merchant, {"quantity": "750"})
    merchant.locator("main form button.btn-primary").click()
    expect(merchant.locator("main")).to_contain_text({"zh": "声明", "en": "statement"}[language])

    chamber = signed_in("chamber", "/requests", language=language)
    chamber.locator("main a[href^='/requests/']").last.click()  # the oldest come first
    expect(chamber.locator("main")).to_contain_text("750")
    expect(chamber.locator("main")).to_contain_text("certificate.pdf")
    picture(chamber, f"request-{language}")
    chamber.fill("[name=number]", f"ZJ-{language}-0001")
    chamber.locator("form[action$='/confirm'] button").click()

    merchant.goto("/records")
    expect(merchant.locator("main")).to_contain_text(f"ZJ-{language}-0001")


def test_request_sent_back_is_corrected_without_retyping(server: Server, signed_in: SignIn) -> None:
    merchant = signed_in("merchant")
    merchant.goto(f"{_first_product(merchant)}/certificate-of-origin/new")
    _fill(merchant, {"quantity": "33", "import_country": "SG", "invoice_reference": "INV-SENT-BACK"})
    merchant.locator("main form button.btn-primary").click()
    chamber = signed_in("chamber", "/requests")
    chamber.locator("main a[href^='/requests/']").last.click()  # the oldest come first
    chamber.locator("details summary").click()
    chamber.fill("[name=reason]", "Wrong country")
    chamber.locator("form[action$='/send-back'] button").click()

    merchant.goto("/")
    merchant.locator("a[href$='/correct']").last.click()
    expect(merchant.locator("main")).to_contain_text("Wrong country")
    expect(merchant.locator("[name=invoice_reference]")).to_have_value("INV-SENT-BACK")
    expect(merchant.locator("[name=quantity]")).to_have_value("33")


def test_officers_release_is_seen_by_the_merchant(
    server: Server, signed_in: SignIn, picture: Callable[[Page, str], None]
) -> None:
    officer = signed_in("officer", "/desk?status=LODGED")
    officer.get_by_role("link", name="MS-DEMO-002").click()
    expect(officer.locator("main")).to_contain_text("Valid")
    picture(officer, "dossier")
    officer.locator("input[value=release]").check()
    officer.locator("textarea[name=reason]").fill("Papers in order")
    officer.locator("form[action$='/decide'] button.btn-primary").click()
    expect(officer.locator("main")).to_contain_text("Released")

    merchant = signed_in("merchant", "/declarations")
    merchant.get_by_role("link", name="MS-DEMO-002").click()
    expect(merchant.locator("main")).to_contain_text("Released")
    picture(merchant, "declaration")
    if os.environ.get("PROVENPORT_PICTURES"):
        merchant.screenshot(path=ROOT / "docs" / "images" / "declaration.png")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_buyer_sees_whether_a_label_is_genuine(
    server: Server, open_page: Callable[..., Page], language: str, width: int, picture: Callable[[Page, str], None]
) -> None:
    shown = server.get("/declarations", "officer")["declarations"]
    declaration = server.get(f"/declarations/{shown[-1]['id']}", "officer")
    certificate = next(r for r in declaration["records"] if r["kind"] == "certificate-of-origin")
    page = open_page(_label(server, certificate["id"]), language=language, width=width)
    expect(page.locator("main")).to_contain_text({"zh": "真实有效", "en": "Genuine"}[language])
    text = page.locator("body").inner_text()
    assert "Lim Household" not in text
    assert "INV-" not in text
    picture(page, f"label-{language}-{width}")


def _label(server: Server, record: str) -> str:
    import sqlite3

    with sqlite3.connect(server.folder / "provenport.sqlite", timeout=20) as database:
        (code,) = database.execute("select label_code from record where id = ?", (record,)).fetchone()
    return f"/p/{code}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("merchant", "/"),
        ("merchant", "/declarations"),
        ("merchant", "/products/new"),
        ("chamber", "/requests"),
        ("officer", "/desk"),
        ("authority", "/accreditations"),
    ],
)
def test_main_pages_have_no_serious_obstacles(signed_in: SignIn, role: str, path: str, scheme: str) -> None:
    page = signed_in(role, path, scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found if v["impact"] in ("serious", "critical")] == []


def test_the_accessibility_check_finds_a_planted_obstacle(signed_in: SignIn) -> None:
    page = signed_in("merchant", "/")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<input type=\"text\">')")
    assert "label" in {violation["id"] for violation in Axe().run(page).response["violations"]}


def test_no_page_is_wider_than_a_phone(signed_in: SignIn) -> None:
    page = signed_in("merchant", "/", language="zh", width=390)
    for path in ("/", "/declarations", "/products", "/records", "/declarations/new"):
        page.goto(path)
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, (path, overflow)


def test_the_documentation_page_shows_the_interface(open_page: Callable[..., Page]) -> None:
    page = open_page("/api/docs")
    expect(page.get_by_text("/api/v1/certificates-of-origin", exact=True)).to_be_visible()
