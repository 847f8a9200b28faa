"""A merchant's badge on a shop's page, in a real browser, and labels that are scanned from the screen."""

import io
from collections.abc import Callable
from datetime import date, timedelta

import pytest
import zxingcpp
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SignIn
from tests.journeys.conftest import Server

pytestmark = pytest.mark.browser
LISTED = "https://shop.example/goods/lamp"


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 1280)])
def test_badge_is_proven_where_listed_only(
    server: Server,
    browser: Browser,
    signed_in: SignIn,
    picture: Callable[[Page, str], None],
    language: str,
    width: int,
) -> None:
    merchant = signed_in("merchant", "/products", language=language, width=width)
    merchant.locator("a[href^='/products/']:not([href$='/new'])").last.click()
    merchant.locator("a[href^='/papers/new/listing']").click()
    merchant.fill("[name=listing_reference]", f"SHOP-{language}")
    merchant.fill("[name=listing_url]", LISTED)
    merchant.fill("[name=listed_from]", date.today().isoformat())
    merchant.fill("[name=listed_until]", (date.today() + timedelta(days=365)).isoformat())
    picture(merchant, f"listing-form-{language}-{width}")
    merchant.locator("main form button.btn-primary").click()
    snippet = merchant.locator("#snippet").input_value()
    address = str(merchant.locator("a[href^='/p/']").first.get_attribute("href"))
    assert Axe().run(merchant).violations_count == 0

    said = {"zh": ("有证明", "徽标属于其他页面"), "en": ("proven", "Badge of another page")}[language]
    tongue = {"Accept-Language": {"zh": "zh-CN", "en": "en-GB"}[language]}
    for _ in range(60):  # until the listing is recorded on the ledger
        if said[0] in merchant.request.get(f"{address}/badge.svg", headers=tongue).text():
            break
        merchant.wait_for_timeout(500)
    merchant.reload()
    picture(merchant, f"listing-{language}-{width}")

    context = browser.new_context(locale={"zh": "zh-CN", "en": "en-GB"}[language])
    context.route("**/goods/**", lambda route: route.fulfill(body=f"<h1>Lamp</h1>{snippet}", content_type="text/html"))
    # Over http, as from https to our http a browser would tell nothing of the page.
    listed = LISTED.replace("https", "http")
    for shop, words in ((listed, said[0]), ("http://copycat.example/goods/lamp", said[1])):
        page = context.new_page()
        with page.expect_response("**/badge.svg") as shown:
            page.goto(shop)
        assert words in shown.value.text()
        page.wait_for_function("document.images[0].complete && document.images[0].naturalWidth > 0")
        picture(page, f"shop-{'listed' if shop == listed else 'copied'}-{language}")
        page.locator("a").click()
        expect(page.locator("main")).to_contain_text(LISTED)
        expect(page.locator("h1")).to_contain_text(
            words if shop != listed else {"zh": "有证明", "en": "Proven"}[language]
        )
        assert Axe().run(page).violations_count == 0
        picture(page, f"badge-{'listed' if shop == listed else 'copied'}-{language}-{width}")
    context.close()


def test_label_on_the_screen_is_scanned(server: Server, signed_in: SignIn) -> None:
    merchant = signed_in("merchant", "/products")
    merchant.locator("a[href^='/products/']:not([href$='/new'])").last.click()
    merchant.locator("main table a[href^='/records/']").last.click()
    public = str(merchant.locator("a[href^='/p/']").first.get_attribute("href"))
    shown = merchant.locator("img.sheet-label").screenshot()
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(shown)))
    merchant.goto(found.text)
    assert merchant.url.endswith(public)
