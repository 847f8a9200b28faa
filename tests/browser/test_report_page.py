"""The simulator's report in a real browser without any network."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from clearance_sim.report import write_html
from tests.clearance_sim.report.builders import a_claim, a_context

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["en", "zh"])
def report(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / f"report.{request.param}.html"
    file.write_text(write_html(a_claim(contexts=[a_context()]), request.param), encoding="utf-8")
    return file


@pytest.fixture
def opened(browser, report):
    """Opens the report where no network is; everything that it asks for is noted."""
    contexts, asked, complaints = [], [], []

    def open_at(width, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda line: complaints.append(line.text))
        page.goto(report.as_uri())
        page.evaluate("document.fonts.ready")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert set(asked) == {report.as_uri()}
    assert complaints == []


@pytest.mark.parametrize("width", [1280, 390])
def test_report_sends_no_request_and_fits_the_screen(opened, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shown, hidden = ("wide", "narrow") if width > 640 else ("narrow", "wide")
    assert page.locator(f"figure .{shown} svg").first.is_visible()
    assert not page.locator(f"figure .{hidden} svg").first.is_visible()


def test_planted_request_is_noticed_and_refused_by_policy(browser, report, tmp_path):
    """The page's own content security policy refuses it."""
    planted = report.read_text("utf-8").replace("</main>", '<img src="https://example.org/x.png" alt=""></main>')
    without_policy = re.sub("<meta http-equiv[^>]*>", "", planted)
    asked = {}
    for name, text in (("with", planted), ("without", without_policy)):
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        page = browser.new_context(offline=True).new_page()
        asked[name] = []
        page.on("requestfailed", lambda request, name=name: asked[name].append(request.failure))
        page.goto((tmp_path / f"{name}.html").as_uri())
        page.context.close()
    assert [len(asked[name]) for name in ("with", "without")] == [1, 1]
    assert "csp" in asked["with"][0].lower()
    assert "INTERNET_DISCONNECTED" in asked["without"][0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_has_no_faults_of_accessibility(opened, scheme):
    page = opened(1280, scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_words_in_charts_stay_inside_their_picture(opened):
    page = opened(1280)
    outside = page.evaluate(
        """() => [...document.querySelectorAll("figure .wide svg")].flatMap(svg => {
             const room = svg.getBoundingClientRect();
             return [...svg.querySelectorAll("text")].filter(text => {
               const box = text.getBoundingClientRect();
               return box.left < room.left - 2 || box.right > room.right + 2;
             }).map(text => text.textContent);
           })"""
    )
    assert outside == []
