"""A real Chromium in front of a really started server; it may ask that server and nobody else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.journeys.conftest import Server, start

FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
# A shop on the internet may ask a server on this machine here, which people are asked about.
FLAGS.append("--disable-features=LocalNetworkAccessChecks")
PICTURES = Path(__file__).resolve().parents[2] / "build" / "pictures"

SignIn = Callable[..., Page]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all browser tests."""
    started = start(tmp_path_factory.mktemp("browser") / "data")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one that CHROMIUM names."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=FLAGS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(server: Server, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages in a language and width; fails the test where one asks another host or complains in its console."""
    contexts: list[BrowserContext] = []
    strangers: list[str] = []
    complaints: list[str] = []

    def open_one(path: str = "/", language: str = "en", width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(
            locale={"zh": "zh-CN", "en": "en-GB"}[language],
            timezone_id="Asia/Shanghai",
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
            base_url=server.url,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: strangers.append(request.url) if not _is_ours(server, request.url) else None)
        page.on("console", lambda line: complaints.append(line.text) if _is_complaint(line) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert strangers == []
    assert complaints == []


def _is_complaint(line: ConsoleMessage) -> bool:
    # Chromium reports a form that came back, with its faults (422) or with what others did (412), like a missing file.
    return line.type == "error" and not any(f"status of {meant}" in line.text for meant in (412, 422))


def _is_ours(server: Server, url: str) -> bool:
    return url.startswith(("data:", "blob:")) or urlsplit(url).netloc == urlsplit(server.url).netloc


@pytest.fixture(scope="session")
def sessions(server: Server, browser: Browser) -> dict[str, list[Any]]:
    """Everybody's cookies after they have signed in once, by hand and password."""
    return {role: _sign_in(server, browser, role) for role in server.people}


def _sign_in(server: Server, browser: Browser, role: str) -> list[Any]:
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/sign-in")
    page.fill("input[name=email]", server.people[role].email)
    page.fill("input[name=password]", server.people[role].password)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("form[action='/sign-out']")
    cookies = context.cookies()
    context.close()
    return list(cookies)


@pytest.fixture
def signed_in(sessions: dict[str, list[Any]], open_page: Callable[..., Page]) -> SignIn:
    """A page of the person with this role, signed in."""

    def signed_in(role: str, path: str = "/", **how: object) -> Page:
        page = open_page("/p", **how)
        page.context.add_cookies(sessions[role])
        page.goto(path)
        return page

    return signed_in


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keeps a picture of a page under build/pictures, for people to look at."""

    def take(page: Page, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    return take
