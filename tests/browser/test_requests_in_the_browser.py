"""Merchant, chamber and laboratory over one pair of papers: what the merchant clicks and types, what each sees."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SignIn
from tests.journeys.conftest import Server

pytestmark = pytest.mark.browser
Picture = Callable[[Page, str], None]
VALID = {"en": "Valid", "zh": "有效"}
MOST_CLICKS, MOST_FIELDS = 18, 14
"""What a merchant may need from a new product to two issuers' papers."""
WIDTHS = [("zh", 390), ("en", 1280)]


@dataclass
class Counted:
    """A page whose clicks and typed fields are counted."""

    page: Page
    clicks: int = 0
    fields: int = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1

    def type(self, name: str, value: str) -> None:
        self.page.fill(f"[name='{name}']", value)
        self.fields += 1


def main(page: Page) -> Locator:
    return page.locator("main")


def fits(page: Page) -> None:
    """The page is no wider than its window."""
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, page.url


def path_of(page: Page) -> str:
    found = re.search(r"/(requests|records)/[0-9a-f-]{36}", page.url)
    assert found is not None, page.url
    return found[0]


@pytest.mark.parametrize(("language", "width"), WIDTHS)
def test_two_papers_take_few_clicks(
    server: Server, signed_in: SignIn, picture: Picture, language: str, width: int
) -> None:
    """From the list of products to the chamber's and the laboratory's papers, both valid."""
    merchant = Counted(signed_in("merchant", "/products", language=language, width=width))
    page = merchant.page
    merchant.click(main(page).locator("a[href='/products/new']").first)
    merchant.type("name", f"Desk lamp {language}")
    merchant.type("hs_code", "940521")
    merchant.type("description", "LED desk lamp, 8 W")
    merchant.click(main(page).locator("form button.btn-primary").last)
    product = page.url

    merchant.click(main(page).locator("a[href$='/certificate-of-origin/new']"))
    merchant.type("quantity", "75")
    merchant.type("import_country", "SG")
    merchant.click(main(page).locator("form button.btn-primary").last)
    statement = path_of(page)
    chamber = signed_in("chamber", language=language, width=width)
    chamber.goto(statement)
    chamber.goto(str(main(chamber).locator("a[href^='/requests/']").first.get_attribute("href")))
    expect(main(chamber).locator(".signing-checks .state-good")).to_have_count(6)
    fits(chamber)
    picture(chamber, f"request-checked-{language}")
    main(chamber).locator("form[action$='/confirm'] button").click()
    expect(chamber).to_have_url(re.compile("/records/"))
    certificate = path_of(chamber)

    page.goto(product)
    merchant.clicks += 2  # the list of products, and this one
    merchant.click(main(page).locator("a[href$='/inspection-report/new']"))
    merchant.type("item_identification", "LOT-26-014")
    merchant.type("tests_wanted", "Leakage current")
    merchant.type("specification", "EN IEC 60598-1:2021")
    merchant.type("fee_note", "Quotation Q-26-0311")
    fits(page)
    picture(page, f"order-{language}")
    merchant.click(main(page).locator("form button.btn-primary").last)
    ordered = path_of(page)
    picture(page, f"ordered-{language}")
    report = carried_out(signed_in("laboratory", language=language, width=width), ordered, picture, language)

    for paper in (certificate, report):
        page.goto(paper)
        expect(page.locator("[data-live=proof][data-settled=yes]")).to_be_visible(timeout=20_000)
        page.reload()
        assert page.locator(".verdict .conclusion").inner_text() == VALID[language]
        merchant.clicks += 2  # the list of papers, and this one
    print(f"{language}: {merchant.clicks} clicks, {merchant.fields} fields")
    assert merchant.clicks <= MOST_CLICKS
    assert merchant.fields <= MOST_FIELDS


def carried_out(laboratory: Page, ordered: str, picture: Picture, language: str) -> str:
    """The laboratory carries an order out, with results from a table; the path of its report."""
    laboratory.goto(f"{ordered}/record")
    table = "Characteristic,Result,Unit,Limit,Within limit\nLeakage current,0.08,mA,≤ 0.7,yes\n".encode()
    laboratory.fill("[name=performed_from]", "2026-02-20")
    laboratory.fill("[name=performed_to]", "2026-02-25")
    laboratory.fill("[name=method]", "IEC 60598-2-4:2017")
    laboratory.set_input_files("[name=table]", {"name": "results.csv", "mimeType": "text/csv", "buffer": table})
    main(laboratory).locator("form button.btn-primary").last.click()
    expect(laboratory.locator("[name='results-0-value']")).to_have_value("0.08")
    laboratory.check("input[name=conforms][value=true]")
    fits(laboratory)
    picture(laboratory, f"results-read-{language}")
    main(laboratory).locator("form button.btn-primary").last.click()
    expect(laboratory).to_have_url(re.compile("/records/"))
    return path_of(laboratory)


@pytest.mark.parametrize(("language", "width"), WIDTHS)
def test_marked_field_is_corrected_and_signed_together(
    signed_in: SignIn, picture: Picture, language: str, width: int
) -> None:
    """Sent back with a marked field, asked about, corrected, seen as changed, and signed from the list."""
    merchant = signed_in("merchant", "/products", language=language, width=width)
    merchant.goto(str(main(merchant).locator("th a").first.get_attribute("href")) + "/certificate-of-origin/new")
    merchant.fill("[name=quantity]", "80")
    merchant.fill("[name=import_country]", "SG")
    main(merchant).locator("form button.btn-primary").last.click()
    statement = merchant.url
    merchant.goto(str(main(merchant).locator("a[href^='/requests/']").first.get_attribute("href")))
    asked = path_of(merchant)

    chamber = signed_in("chamber", asked, language=language, width=width)
    main(chamber).locator("details summary").first.click()
    chamber.check("input[name=fields][value=quantity]")
    chamber.fill("[name=reason]", "Is that all?")
    main(chamber).locator("form[action$='/send-back'] button").click()

    merchant.goto(f"{asked}")
    merchant.fill("[name=text]", "Forty more came today.")
    main(merchant).locator("form[action$='/messages'] button").click()
    fits(merchant)
    picture(merchant, f"thread-{language}")
    main(merchant).locator("a[href$='/correct']").first.click()
    expect(main(merchant).locator(".is-doubtful [name=quantity]")).to_have_value("80")
    expect(main(merchant).locator(".is-doubtful")).to_have_count(1)
    picture(merchant, f"marked-{language}")
    merchant.fill("[name=quantity]", "120")
    main(merchant).locator("form button.btn-primary").last.click()
    expect(merchant).not_to_have_url(statement)
    merchant.goto(str(main(merchant).locator("a[href^='/requests/']").first.get_attribute("href")))
    corrected = path_of(merchant)

    chamber.goto(corrected)
    expect(main(chamber).locator(".changes ins")).to_have_text("120")
    expect(main(chamber).locator(".thread li")).to_have_count(2)
    fits(chamber)
    picture(chamber, f"changed-{language}")
    chamber.goto("/requests")
    chamber.check(f"input[name=request][value='{corrected.rsplit('/', 1)[1]}']")
    picture(chamber, f"chosen-{language}")
    main(chamber).locator("form[action$='/requests/sign'] button").click()
    expect(main(chamber).locator(".state-good")).to_have_count(1)
    fits(chamber)
    picture(chamber, f"signed-together-{language}")
    main(chamber).locator("td a[href^='/records/']").click()
    main(chamber).locator("a[href$='/amend']").click()
    chamber.fill("[name=quantity]", "110")
    chamber.fill("[name=reason]", "Ten were broken.")
    fits(chamber)
    picture(chamber, f"amend-{language}")
    main(chamber).locator("form button.btn-primary").last.click()
    expect(main(chamber).locator(".changes ins").filter(has_text="110")).to_have_count(1)
    picture(chamber, f"amended-{language}")
