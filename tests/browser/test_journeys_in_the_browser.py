"""Journeys through the pages that change what others read: reports, accreditations, decisions, offices, accounts.

Every page that the url map knows and somebody can come to is looked at by axe, on a phone and in the dark too.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Locator, Page, expect
from werkzeug.exceptions import HTTPException

from backend.web.pages import blueprint
from tests.browser.conftest import SignIn
from tests.helpers.builders import laboratory_order_fields, lodgement_fields, report_fields
from tests.journeys.conftest import Server

pytestmark = pytest.mark.browser
Picture = Callable[[Page, str], None]
VALID = {"en": "Valid", "zh": "有效"}
ORDER = {
    "item_identification": "LOT-7",
    "tests_wanted": "Leakage current",
    "specification": "EN IEC 60598-1:2021",
}
"""What a merchant types to order a report; the rest stands there already."""
REPORT = {
    "performed_from": "2026-02-20",
    "performed_to": "2026-02-25",
    "method": "IEC 60598-2-4:2017",
    "results-0-characteristic": "Leakage current",
    "results-0-value": "0.08",
}
"""What the laboratory types; goods, sample and standard stand there already."""


def main(page: Page) -> Locator:
    return page.locator("main")


def press(page: Page, action: str) -> None:
    """The button of the form that is sent there."""
    page.locator(f"main form[action$='{action}'] button").last.click()


def settle(server: Server) -> None:
    """Wait until the authority's changes are on the ledger."""
    server.until(lambda: not any(one["pending"] for one in server.get("/issuers", "authority")["issuers"]))


def verdict_of(page: Page) -> str:
    return page.locator(".verdict .conclusion").inner_text()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_inspection_report_becomes_valid_through_the_pages(
    server: Server, signed_in: SignIn, picture: Picture, language: str
) -> None:
    """Ordered by the merchant, stated by the laboratory; the question whether the goods conform is answered once."""
    merchant = signed_in("merchant", "/products", language=language)
    merchant.goto(str(main(merchant).locator("th a").first.get_attribute("href")) + "/inspection-report/new")
    for name, value in ORDER.items():
        merchant.fill(f"[name='{name}']", value)
    main(merchant).locator("form button.btn-primary").click()
    expect(main(merchant).locator(".fault")).to_have_count(0)
    ordered = merchant.url

    laboratory = signed_in("laboratory", "/requests", language=language)
    laboratory.goto(ordered)
    expect(main(laboratory)).to_contain_text("LOT-7")
    main(laboratory).locator("a[href$='/record']").click()
    for name, value in REPORT.items():
        laboratory.fill(f"[name='{name}']", value)
    main(laboratory).locator("form button.btn-primary").click()
    expect(main(laboratory).locator("fieldset.has-fault input[name=conforms]")).to_have_count(2)
    laboratory.check("input[name=conforms][value=true]")
    picture(laboratory, f"results-{language}")
    main(laboratory).locator("form button.btn-primary").click()
    expect(laboratory).to_have_url(re.compile("/records/"))

    merchant.goto(ordered)
    main(merchant).locator("a.btn-primary[href^='/records/']").click()
    expect(merchant.locator("[data-live=proof][data-settled=yes]")).to_be_visible(timeout=20_000)
    merchant.reload()
    assert verdict_of(merchant) == VALID[language]
    picture(merchant, f"report-{language}")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_request_sent_back_is_found_in_list(signed_in: SignIn, picture: Picture, language: str) -> None:
    merchant = signed_in("merchant", "/products", language=language)
    merchant.goto(str(main(merchant).locator("th a").first.get_attribute("href")) + "/certificate-of-origin/new")
    merchant.fill("[name=quantity]", "75")
    merchant.fill("[name=import_country]", "SG")
    main(merchant).locator("form button.btn-primary").click()
    chamber = signed_in("chamber", "/requests", language=language)
    main(chamber).locator("th a").last.click()
    main(chamber).locator("details summary").click()
    chamber.fill("[name=reason]", f"The weight is missing ({language})")
    press(chamber, "/send-back")
    merchant.locator("nav.side a[href='/requests']").click()
    row = main(merchant).locator("tr").filter(has_text=f"The weight is missing ({language})")
    picture(merchant, f"sent-back-{language}")
    row.locator("a[href$='/correct']").click()
    expect(main(merchant).locator(".notice-wait")).to_contain_text(f"The weight is missing ({language})")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_renewed_accreditation_leaves_old_verdicts(
    server: Server, signed_in: SignIn, picture: Picture, language: str
) -> None:
    """The form shows the terms that stand; narrowed and given back, what was signed before stays VALID throughout."""
    name = server.get("/me", "merchant")["organisation"]
    fields = report_fields(reportNumber=f"QT-{language}-KEPT", customer={"name": name})
    report = server.post("/inspection-reports", "laboratory", fields)["id"]
    server.until(lambda: server.get(f"/records/{report}", "merchant")["proofState"] == "final")
    merchant = signed_in("merchant", f"/records/{report}", language=language)
    assert verdict_of(merchant) == VALID[language]
    authority = signed_in("authority", "/accreditations", language=language)
    for chapters in ("1-24", {"en": "all", "zh": "全部"}[language]):
        laboratory = authority.locator("section.standing").filter(has_text=re.compile("Qiantang|钱塘"))
        laboratory.locator("details:has([name=chapters]) > summary").click()
        assert laboratory.locator("[name=valid_from]").input_value() != ""
        before = laboratory.locator("[name=chapters]").input_value()
        laboratory.locator("[name=chapters]").fill(chapters)
        laboratory.locator("form[action$='/accredit'] button").click()
        row = main(authority).locator("tr").filter(has_text=chapters)
        expect(row).to_contain_text(before)
        picture(authority, f"accreditation-change-{language}")
        press(authority, "/accredit")
        expect(authority).to_have_url(re.compile("/accreditations$"))
        settle(server)
        merchant.reload()
        assert verdict_of(merchant) == VALID[language]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_history_of_a_key_fits_desk_and_phone(
    server: Server, signed_in: SignIn, picture: Picture, language: str
) -> None:
    # Forms offer the first issuer by name: that of the other tests stays the first.
    name = f"Zunyi Chamber With A Past {language}"
    body = {"role": "chamber", "name": name, "email": f"past-{language}@example.org"}
    joined = server.post("/organisations", "authority", body)
    for change in ("accreditation", "suspension", "reinstatement", "suspension"):
        server.post(f"/issuers/{joined['id']}/{change}", "authority", {}, expect=202)
        settle(server)
    for width in (1280, 390):
        authority = signed_in("authority", "/accreditations", language=language, width=width)
        authority.locator("section.standing").filter(has_text=name).locator("a[href$='/history']").click()
        tables = main(authority).locator("table")
        expect(tables).to_have_count(2)
        versions, suspensions = tables.all()
        expect(versions.locator("tbody tr")).to_have_count(4)
        expect(suspensions.locator("tbody tr")).to_have_count(2)
        picture(authority, f"key-history-{language}-{width}")
        assert authority.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        found = Axe().run(authority).response["violations"]
        assert [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_second_officer_decides_anew(server: Server, signed_in: SignIn, picture: Picture, language: str) -> None:
    """Who was too late reads who did what and why, keeps its words, and has no decision chosen."""
    declaration = server.post("/declarations", "merchant", lodgement_fields(declarationReference=f"TWO-{language}"))[
        "id"
    ]
    officers = [signed_in("officer", f"/desk/{declaration}", language=language) for _ in range(2)]
    for officer, decision, reason in zip(officers, ("detain", "examine"), ("Seal broken", "Look inside"), strict=True):
        officer.check(f"input[value={decision}]")
        officer.fill("textarea[name=reason]", reason)
        press(officer, "/decide")
    first, second = officers
    expect(first).to_have_url(re.compile("/desk$"))
    notice = main(second).locator(".notice-bad[role=alert]")
    expect(notice).to_contain_text("Seal broken")
    expect(notice).to_contain_text({"en": "Yiwu Customs Office (demo)", "zh": "义乌海关（演示）"}[language])
    expect(second.locator("input[name=decision]:checked")).to_have_count(0)
    expect(second.locator("textarea[name=reason]")).to_have_value("Look inside")
    picture(second, f"decided-meanwhile-{language}")
    second.check("input[value=examine]")
    press(second, "/decide")
    assert server.get(f"/declarations/{declaration}", "officer")["status"] == "EXAMINATION"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_office_delegates_and_takes_back(signed_in: SignIn, picture: Picture, language: str) -> None:
    officer = signed_in("officer", "/customs-offices", language=language)
    office = officer.locator("select[name=office]")
    expect(office.locator("option").first).to_have_text(re.compile("^2925 · .+"))
    officer.fill("[name=until]", "2020-01-01")
    press(officer, "/delegate")
    expect(main(officer).locator(".fault")).to_be_visible()
    picture(officer, f"customs-offices-{language}")
    officer.evaluate("document.querySelector('[name=until]').valueAsDate = new Date(Date.now() + 7 * 864e5)")
    press(officer, "/delegate")
    expect(main(officer).locator("p.notice")).to_be_visible()
    press(officer, "/end")
    expect(main(officer).locator("form[action$='/end']")).to_have_count(0)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_authority_changes_an_offices_ledger_account(
    server: Server, signed_in: SignIn, picture: Picture, language: str
) -> None:
    """Registered once it is confirmed, suspended, lifted, and replaced; each is on the page once the ledger has it."""
    code = {"zh": "7001", "en": "7002"}[language]
    offices = server.get("/customs-offices", "officer")["offices"]
    yiwu = next(one["organisation"] for one in offices if one["office"] == "CNYIU")
    server.post("/customs-offices", "authority", {"office": code, "organisation": yiwu})
    authority = signed_in("authority", "/customs-offices", language=language)
    main(authority).locator("a[href='/ledger-accounts']").click()
    shown = authority.locator(f"section.standing[id='{code}']")
    expect(shown).to_have_count(0)
    authority.select_option("select[name=office]", code)
    press(authority, "/register")
    expect(main(authority).locator("h2 + ul")).to_be_visible()
    picture(authority, f"ledger-account-confirm-{language}")
    press(authority, "/register")

    def until(form: str) -> None:
        """Read the page anew until it offers this, which the ledger has to take first."""
        for _ in range(40):
            if shown.locator(f"form[action$='{form}']").count():
                return
            authority.wait_for_timeout(250)
            authority.reload()
        raise AssertionError(f"{form} is not offered")

    until("/suspend")
    address = shown.locator("code.identifier").inner_text()
    assert re.fullmatch("0x[0-9A-Fa-f]{40}", address)
    button = shown.locator("form[action$='/suspend'] button")
    expect(button).to_be_hidden()
    shown.locator("details.danger summary").click()
    picture(authority, f"ledger-accounts-{language}")
    button.click()
    until("/lift")
    expect(shown.locator(".state-bad")).to_be_visible()
    shown.locator("form[action$='/lift'] button").click()
    until("/replace")
    shown.locator("form[action$='/replace'] button").click()
    expect(main(authority)).to_contain_text(address)
    press(authority, "/replace")
    until("/replace")
    assert shown.locator("code.identifier").inner_text() != address
    phone = signed_in("authority", "/ledger-accounts", language=language, width=390)
    picture(phone, f"ledger-accounts-{language}-390")
    assert phone.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    found = Axe().run(phone).response["violations"]
    assert [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")] == []


WIDTHS = {"zh": 390, "en": 1280}


def seen(page: Page, picture: Picture, name: str) -> None:
    """Take a picture, and look for what some readers could not use or would have to push sideways."""
    picture(page, name)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, name
    found = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")] == [], name


@pytest.mark.parametrize("language", ["zh", "en"])
def test_authority_pauses_the_ledger_and_gives_roles(signed_in: SignIn, picture: Picture, language: str) -> None:
    """Asked before each; renewed, ended; a role mistyped, announced, withdrawn; one tells why the last admin stays."""
    authority = signed_in("authority", "/ledger-accounts", language=language, width=WIDTHS[language])
    ledger = authority.locator("#pause")

    def until(locator: Locator) -> None:
        """Read the page anew until it shows this, which the ledger has to take first."""
        for _ in range(40):
            if locator.count():
                return
            authority.wait_for_timeout(250)
            authority.reload()
        raise AssertionError("it is not shown")

    press(authority, "/pause")
    expect(main(authority).locator("section.panel")).to_have_count(3)
    seen(authority, picture, f"ledger-pause-confirm-{language}")
    press(authority, "/pause")
    until(ledger.locator("form[action$='/resume']"))
    expect(ledger.locator(".state-bad")).to_be_visible()
    first = ledger.locator("time").get_attribute("datetime")
    seen(authority, picture, f"ledger-paused-{language}")
    press(authority, "/pause")
    press(authority, "/pause")
    until(ledger.locator(f"time:not([datetime='{first}'])"))
    press(authority, "/resume")
    expect(main(authority).locator("section.panel")).to_have_count(1)
    press(authority, "/resume")
    until(ledger.locator(".state-good"))
    expect(main(authority).locator("#requests .state-good").first).to_be_visible()

    main(authority).locator("a[href='/ledger-roles']").click()
    expect(main(authority).locator("#admin details")).to_have_count(0)
    expect(main(authority).locator("#removal details")).to_have_count(2)
    authority.select_option("select[name=role]", "REVOCATION")
    authority.fill("main input#account", "0x12")
    press(authority, "/grant")
    expect(main(authority).locator("#account-error")).to_be_visible()
    assert authority.input_value("main input#account") == "0x12"
    seen(authority, picture, f"ledger-roles-fault-{language}")
    account = "0x" + {"zh": "7c", "en": "7d"}[language] * 20
    authority.select_option("select[name=role]", "REVOCATION")
    authority.fill("main input#account", account)
    press(authority, "/grant")
    shown = main(authority).locator("code.identifier").inner_text()
    assert shown.lower() == account
    seen(authority, picture, f"ledger-role-confirm-{language}")
    press(authority, "/grant")
    row = main(authority).locator("#requests tr", has_text=shown)
    until(row.locator("form[action$='/withdraw']"))
    row.locator("details summary").click()
    expect(row.locator("code.identifier")).to_contain_text("--by guardian 0x")
    main(authority).locator("#removal details summary").last.click()
    seen(authority, picture, f"ledger-roles-{language}")
    row.locator("form[action$='/withdraw'] button").click()
    until(main(authority).locator("#requests tr", has_text=shown).locator(".state-bad"))
    authority.goto(f"/ledger-roles?account={shown}")
    seen(authority, picture, f"ledger-roles-withdrawn-{language}")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_role_is_taken_away_through_the_page(signed_in: SignIn, language: str) -> None:
    """Asked for twice: the summary, then the button; gone from the list once the ledger has taken it."""
    role = {"zh": "#removal", "en": "#revocation"}[language]
    authority = signed_in("authority", "/ledger-roles", language=language)
    holders = main(authority).locator(f"{role} details")
    count = holders.count()
    holders.last.locator("summary").click()
    holders.last.locator("button").click()
    for _ in range(40):
        if main(authority).locator(f"{role} details").count() == count - 1:
            return
        authority.wait_for_timeout(250)
        authority.reload()
    raise AssertionError("the role is still there")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_account_ends_what_it_lists(signed_in: SignIn, picture: Picture, language: str) -> None:
    """Token made, shown once, revoked in two steps; another browser is signed out from here."""
    plants = signed_in("plant-protection", "/account", language=language)
    plants.fill("[name=name]", f"Program {language}")
    press(plants, "/account/tokens")
    secret = main(plants).locator("code").first.inner_text()
    assert secret.startswith("pp_")
    plants.goto("/account")
    assert secret not in main(plants).inner_text()
    picture(plants, f"account-{language}")
    row = main(plants).locator("tr").filter(has_text=f"Program {language}")
    button = row.locator("form[action$='/revocation'] button")
    expect(button).to_be_hidden()
    row.locator("summary").click()
    button.click()
    expect(main(plants).locator("tr").filter(has_text=f"Program {language}")).to_have_count(0)


# ---- every page


def the_map() -> Flask:
    """The pages' url map, without a running system."""
    app = Flask("the_map")
    app.register_blueprint(blueprint)
    return app


DOWNLOADS = {
    *("pages.attached_file", "pages.consignment_evidence", "pages.evidence", "pages.presentation"),
    *("pages.declarations_file", "pages.products_file", "pages.records_file", "pages.release_events"),
    *("pages.requests_file", "pages.ordered_file"),
}
"""No pages, but files."""
ELSEWHERE = {"pages.simulation", "pages.simulation_file", "pages.compare_simulations"}
"""Looked at where simulations are run: test_simulations_in_the_browser.py."""
ROLES = ("", "merchant", "chamber", "laboratory", "plant-protection", "officer", "authority", "analyst")


def endpoint_of(path: str) -> str:
    try:
        return str(the_map().url_map.bind("").match(urlsplit(path).path, "GET")[0])
    except HTTPException:
        return ""


def come_by(page: Page, starts: list[str]) -> Iterator[str]:
    """Pages of each kind that a reader comes by, by following links; each is open when it is given out."""
    waiting, seen = list(starts), set()
    while waiting:
        path = waiting.pop(0)
        endpoint = endpoint_of(path)
        if not endpoint or endpoint in seen | DOWNLOADS:
            continue
        page.goto(path)
        # Whoever may not see a page is led to another one.
        seen |= {endpoint, shown := endpoint_of(page.url)}
        yield shown
        links = page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
        waiting += [urljoin(page.url, link) for link in links]


def obstacles(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found]


@pytest.fixture(scope="session")
def looked_at() -> set[str]:
    """The kinds of pages that were looked at so far."""
    return set()


@pytest.mark.parametrize("role", ROLES)
def test_every_page_is_without_obstacles(
    server: Server, signed_in: SignIn, open_page: Callable[..., Page], looked_at: set[str], role: str
) -> None:
    """By axe in light and dark, and no wider than a phone."""
    if role == "laboratory":  # its form is there only while an order waits
        laboratory = server.get("/me", role)["organisationId"]
        server.post(
            "/confirmation-requests",
            "merchant",
            {"kind": "inspection-report", "issuer": laboratory, "order": laboratory_order_fields()},
        )
    page = signed_in(role) if role else open_page("/")
    starts = ["/", "/account", *(["/simulations/new?scenario=office"] if role == "analyst" else [])]
    faults = {}
    for endpoint in come_by(page, [*starts, "/sign-in"] if not role else starts):
        looked_at.add(endpoint)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.reload()
            if found := obstacles(page):
                faults[endpoint, scheme] = found
        page.set_viewport_size({"width": 390, "height": 800})
        if (overflow := page.evaluate("document.documentElement.scrollWidth - window.innerWidth")) > 0:
            faults[endpoint, "phone"] = [f"{overflow} pixels too wide"]
        page.set_viewport_size({"width": 1280, "height": 900})
    assert faults == {}


def test_every_page_of_the_map_was_looked_at(looked_at: set[str]) -> None:
    if len(looked_at) < 5:
        pytest.skip("only with the tests above")
    known = {rule.endpoint for rule in the_map().url_map.iter_rules() if "GET" in (rule.methods or ())}
    pages = {endpoint for endpoint in known if endpoint.startswith("pages.")} - DOWNLOADS
    assert sorted(pages - ELSEWHERE - looked_at) == []
