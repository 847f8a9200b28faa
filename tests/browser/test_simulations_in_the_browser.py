"""An analyst at the pages for simulations, in a real browser, with the real simulator behind them."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn

pytestmark = pytest.mark.browser
PATIENCE = 180_000
"""Milliseconds: the first run on a machine compiles the simulator."""
FAULTY = (
    'name = "mine"\n\n[stations.review]\nservers = -1\nnext = "exit"\n'
    'service = { distribution = "exponential", mean_h = 1 }\n'
)


def _obstacles(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found if v["impact"] in ("serious", "critical")]


def _overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def _order(page: Page, mean_hours: str) -> None:
    page.goto("/simulations/new?scenario=office")
    page.fill("[name=replications]", "4")
    page.fill("[name='parameter:stations.prepare.service.mean_h']", mean_hours)
    page.locator("main form button.btn-primary").click()


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("en", 1280)])
def test_an_analyst_runs_a_scenario_changed_and_compares(
    signed_in: SignIn, language: str, width: int, picture: Callable[[Page, str], None]
) -> None:
    page = signed_in("analyst", "/simulations", language=language, width=width)
    expect(page.locator(".scenarios")).to_contain_text({"zh": "轮班制海关", "en": "shifts"}[language])
    picture(page, f"simulations-{language}-{width}")

    _order(page, "99")
    expect(page.locator(".fault")).to_contain_text({"zh": "1 至 12", "en": "from 1 to 12"}[language])
    expect(page.locator("[name='parameter:stations.prepare.service.mean_h']")).to_have_value("99")
    assert _obstacles(page) == []
    assert _overflow(page) <= 0
    picture(page, f"simulation-form-{language}-{width}")

    _order(page, "2")
    expect(page.locator("[data-live=simulation]")).to_be_visible()
    picture(page, f"simulation-running-{language}-{width}")
    # The page looks again by itself and, once it is done, shows the figures and the files.
    expect(page.locator("a[href$='/files/result.json']")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("table.figures").first).to_contain_text({"zh": "中位数", "en": "median"}[language])
    assert _obstacles(page) == []
    assert _overflow(page) <= 0
    picture(page, f"simulation-{language}-{width}")
    expect(page.locator(f"a[href$='/files/report.{language}.html']")).to_be_visible(timeout=PATIENCE)
    with page.expect_download() as download:
        page.locator(f"a[href$='/files/report.{language}.html']").click()
    assert "<html" in download.value.path().read_text()[:2000]

    _order(page, "8")
    expect(page.locator("a[href$='/files/result.json']")).to_be_visible(timeout=PATIENCE)
    page.goto("/simulations")
    for box in page.locator("input[name=run]").all()[:2]:
        box.check()
    page.locator("form[action$='/simulations/compare'] button").click()
    expect(page.locator("main")).to_contain_text("stations.prepare.service.mean_h")
    assert _obstacles(page) == []
    assert _overflow(page) <= 0
    picture(page, f"simulation-compare-{language}-{width}")


def test_faulty_scenario_file_is_refused_with_its_lines(
    signed_in: SignIn, picture: Callable[[Page, str], None]
) -> None:
    """The form keeps what was typed."""
    page = signed_in("analyst", "/simulations/new", language="en")
    page.set_input_files("#file", {"name": "mine.toml", "mimeType": "text/plain", "buffer": FAULTY.encode()})
    page.locator("main form button.btn-primary").click()
    expect(page.locator(".notice-bad")).to_contain_text(re.compile(r"Line 4.*servers = -1", re.DOTALL))
    expect(page.locator("#text")).to_have_value(FAULTY.replace("\r", ""))
    assert _obstacles(page) == []
    picture(page, "simulation-faults")
    page.fill(
        "#text",
        FAULTY.replace("-1", "2") + '\n[arrivals.all]\nrate_per_h = 1\nto = "review"\n[run]\ndeclarations = 50\n',
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[name=replications]")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/simulations", "/simulations/new?scenario=office", "/release-times"])
def test_analysts_pages_have_no_serious_obstacles(signed_in: SignIn, path: str, scheme: str) -> None:
    assert _obstacles(signed_in("analyst", path, scheme=scheme)) == []


def test_without_scripts_the_page_looks_again_by_itself(server: object, browser, sessions) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(base_url=server.url, java_script_enabled=False)  # type: ignore[attr-defined]
    context.add_cookies(sessions["analyst"])
    page = context.new_page()
    _order(page, "3")
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)
    page.locator("form[action$='/cancel'] button").click()
    expect(page.locator(".notice").first).to_be_visible()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
    context.close()
