"""A merchant with papers in hand lodges a declaration: search, pre-check, lodging, and a draft that nothing loses."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import SignIn
from tests.helpers.builders import certificate_fields, invoice_fields, order_fields, report_fields, waybill_fields
from tests.journeys.conftest import Server

pytestmark = pytest.mark.browser
Picture = Callable[[Page, str], None]
TAKE = {"en": "Take with all that belongs to it", "zh": "连同相关单证一起选"}
LODGE = {"en": "Sign and lodge", "zh": "签署并申报"}
IN_SPITE = {"en": "Lodge in spite of the differences", "zh": "仍按此申报"}
SEARCH = {"en": "Search", "zh": "搜索"}
NONE_DIFFERS = {"en": "No differences", "zh": "单证一致"}
ONE_DIFFERS = {"en": "1 difference", "zh": "1 处不一致"}
OTHER = {"en": "中文", "zh": "English"}


def shipment(server: Server, **ordered: object) -> str:
    """Five papers of one order, of which the ledger knows; the order's number."""
    number = uuid4().hex[:8]
    me = {"name": server.get("/me", "merchant")["organisation"]}
    order = f"ORDER-{number}"
    lamp = {"description": "LED desk lamp", "hsCode": "940521", "quantity": "200", "unitCode": "H87", "amount": "1300"}
    invoice = invoice_fields(invoiceNumber=f"INV-{number}", seller=me, items=[lamp], orderReference=order)
    certificate = certificate_fields(
        certificateNumber=f"C-{number}", exporter=me, invoiceReference=f"INV-{number}", grossWeightMeasure="96"
    )
    waybill = waybill_fields(waybillReference=f"AWB-{number}", orderReference=order, consignor=me)
    server.post("/orders", "merchant", order_fields(orderReference=order, seller=me, items=[lamp], **ordered))
    server.post("/invoices", "merchant", invoice)
    server.post("/waybills", "merchant", waybill)
    server.post("/certificates-of-origin", "chamber", certificate)
    report = server.post(
        "/inspection-reports",
        "laboratory",
        report_fields(reportNumber=f"R-{number}", customer=me, itemDescription="LED desk lamp"),
    )
    server.until(lambda: server.get(f"/records/{report['id']}", "merchant")["proofState"] == "final")
    return order


def main(page: Page) -> Locator:
    return page.locator("main")


def value(page: Page, name: str) -> str:
    return page.locator(f"[name='{name}']").input_value()


def start_anew(page: Page) -> None:
    """Delete a draft that another test has left."""
    page.goto("/declarations/new")
    if (delete := main(page).locator("button[value=discard]")).count():
        delete.click()


def search(page: Page, order: str, language: str) -> None:
    page.fill("#q", order)
    page.get_by_role("button", name=SEARCH[language], exact=True).click()


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_papers_in_hand_are_lodged_by_search(
    server: Server, signed_in: SignIn, picture: Picture, language: str, width: int
) -> None:
    """Four clicks, and nothing is typed but the order's number."""
    order = shipment(server)
    page = signed_in("merchant", "/declarations", language=language, width=width)
    start_anew(page)
    page.goto("/declarations")
    main(page).locator("a[href='/declarations/new']").click()
    picture(page, f"declaration-choose-{language}-{width}")
    search(page, order, language)
    expect(main(page).locator("input[name=records]")).to_have_count(3)  # certificate and report do not name the order
    main(page).get_by_role("button", name=re.compile(TAKE[language])).first.click()
    expect(main(page).locator("input[name=records]:checked")).to_have_count(5)
    expect(page.locator("#findings-title")).to_have_text(NONE_DIFFERS[language])
    stated = {name: value(page, name) for name in ("order_reference", "package_quantity", "gross_weight_measure")}
    assert stated == {"order_reference": order, "package_quantity": "10", "gross_weight_measure": "96"}
    assert value(page, "waybill_reference") == order.replace("ORDER", "AWB")
    assert (value(page, "items-0-unit_price"), value(page, "items-0-quantity")) == ("6.5", "200")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    picture(page, f"declaration-checked-{language}-{width}")
    page.get_by_role("button", name=LODGE[language], exact=True).click()
    expect(page).to_have_url(re.compile(r"/declarations/[0-9a-f-]{36}$"))
    declaration = server.get(f"/declarations/{page.url.rsplit('/', 1)[1]}", "merchant")
    assert declaration["document"]["orderReference"] == order
    assert [one for one in declaration["verdict"]["checks"] if one["outcome"] == "fail"] == []
    page.goto("/declarations/new")
    expect(main(page).locator("button[value=discard]")).to_have_count(0)


@pytest.mark.parametrize(("language", "width"), [("zh", 1280), ("en", 390)])
def test_differences_are_seen_before_they_are_lodged(
    server: Server, signed_in: SignIn, picture: Picture, language: str, width: int
) -> None:
    order = shipment(server)
    page = signed_in("merchant", "/declarations/new", language=language, width=width)
    start_anew(page)
    search(page, order, language)
    main(page).get_by_role("button", name=re.compile(TAKE[language])).first.click()
    page.fill("[name=package_quantity]", "11")
    page.get_by_role("button", name=LODGE[language], exact=True).click()
    expect(page.locator("#findings-title")).to_have_text(ONE_DIFFERS[language])
    expect(page.locator("#findings")).to_contain_text("11")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    picture(page, f"declaration-differs-{language}-{width}")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.get_by_role("button", name=IN_SPITE[language], exact=True).click()
    expect(page).to_have_url(re.compile(r"/declarations/[0-9a-f-]{36}$"))


def test_enter_checks_and_never_lodges(server: Server, signed_in: SignIn) -> None:
    order = shipment(server)
    page = signed_in("merchant", "/declarations/new")
    start_anew(page)
    page.fill("#q", order)
    page.press("#q", "Enter")
    main(page).get_by_role("button", name=re.compile(TAKE["en"])).first.click()
    page.fill("[name=package_quantity]", "12")
    page.press("[name=package_quantity]", "Enter")
    expect(page.locator("#findings-title")).to_have_text(ONE_DIFFERS["en"])
    expect(page).to_have_url(re.compile("check=1"))


def sign_in(server: Server, page: Page) -> None:
    page.fill("input[name=email]", server.people["merchant"].email)
    page.fill("input[name=password]", server.people["merchant"].password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("form[action='/sign-out']")


def sessions_of(account: Page) -> set[str]:
    """The other sessions that the account's page can end, by the addresses of their forms."""
    account.goto("/account")
    return {str(one.get_attribute("action")) for one in account.locator("td form[action*='/sessions/']").all()}


def test_draft_outlives_language_tab_and_session(
    server: Server, open_page: Callable[..., Page], signed_in: SignIn
) -> None:
    order = shipment(server)
    account = signed_in("merchant", "/account")
    before = sessions_of(account)
    page = open_page("/sign-in")
    sign_in(server, page)
    start_anew(page)
    search(page, order, "en")
    main(page).get_by_role("button", name=re.compile(TAKE["en"])).first.click()

    page.fill("[name=carrier_name]", "Slow Boats Ltd.")  # the language is chosen before a second has passed
    page.get_by_role("button", name=OTHER["en"]).click()
    expect(page.get_by_role("button", name=OTHER["zh"])).to_be_visible()
    assert value(page, "carrier_name") == "Slow Boats Ltd."
    assert main(page).locator("input[name=records]:checked").count() == 5
    page.get_by_role("button", name=OTHER["zh"]).click()
    expect(page.get_by_role("button", name=OTHER["en"])).to_be_visible()

    page.fill("[name=carrier_name]", "Slower Boats Ltd.")
    expect(page.locator("[data-draft-state]")).to_have_text("Kept as a draft")
    tab = page.context.new_page()
    page.close()
    tab.goto("/declarations/new")
    assert value(tab, "carrier_name") == "Slower Boats Ltd."

    tab.fill("[name=platform_name]", "Some Market")
    expect(tab.locator("[data-draft-state]")).to_have_text("Kept as a draft")
    (ours,) = sessions_of(account) - before
    account.locator(f"form[action='{ours}'] button").click()
    main(tab).locator("form[data-draft] > button.btn-primary").click()
    sign_in(server, tab)
    tab.goto("/declarations/new")
    assert (value(tab, "carrier_name"), value(tab, "platform_name")) == ("Slower Boats Ltd.", "Some Market")
    assert main(tab).locator("input[name=records]:checked").count() == 5


def test_reader_is_told_what_is_not_kept(server: Server, browser: Browser, sessions: dict[str, list]) -> None:
    context = browser.new_context(base_url=server.url, locale="en-GB")  # whose console may tell of the refusal
    context.add_cookies(sessions["merchant"])
    page = context.new_page()
    start_anew(page)
    search(page, shipment(server), "en")
    main(page).get_by_role("button", name=re.compile(TAKE["en"])).first.click()
    page.context.clear_cookies()
    page.fill("[name=carrier_name]", "Lost Boats Ltd.")
    expect(page.locator("[data-draft-state]")).to_contain_text("Not kept")
    assert value(page, "carrier_name") == "Lost Boats Ltd."
    context.close()


def test_declaration_is_lodged_without_scripts(server: Server, browser: Browser, sessions: dict[str, list]) -> None:
    """What is chosen stays chosen over searches; other papers fill in what nobody typed."""
    first, second = shipment(server), shipment(server)
    context = browser.new_context(base_url=server.url, java_script_enabled=False, locale="en-GB")
    context.add_cookies(sessions["merchant"])
    page = context.new_page()
    start_anew(page)
    search(page, first, "en")
    main(page).locator("input[name=records]").first.check()
    search(page, second, "en")
    assert main(page).locator("input[name=records]:checked").count() == 1
    main(page).locator("button.btn-primary").first.click()
    page.fill("[name=platform_name]", "Typed by hand")
    main(page).locator("button[value=choose]").click()
    search(page, first, "en")
    for box in main(page).locator("input[name=records]").all():
        box.check()
    main(page).locator("button.btn-primary").first.click()
    assert value(page, "platform_name") == "Typed by hand"
    assert value(page, "waybill_reference") == first.replace("ORDER", "AWB")
    main(page).locator("button[value=keep]").click()
    page.goto("/declarations/new")
    assert value(page, "platform_name") == "Typed by hand"
    context.close()
