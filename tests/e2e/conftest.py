"""A running Cordon and a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from stack import CHROMIUM_FLAGS, PHONE, Stack, start_stack

WEB_ROOT = Path(__file__).resolve().parents[2] / "webapp" / "dist" / "index.html"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("NOT RUN: needs Chromium. Enable with: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    assert WEB_ROOT.is_file(), "The web app is not built: make webapp/dist/.ready"
    running = start_stack(tmp_path_factory.mktemp("stack"))
    yield running
    running.stop()


@pytest.fixture
def sign_in(chromium: Browser, stack: Stack) -> Iterator[Callable[..., Page]]:
    """Signs a demonstration user in, in a browser of their own, and returns the page."""
    contexts = []

    def open_page(username: str, size: dict[str, int]) -> Page:
        context = chromium.new_context(
            viewport=size,
            geolocation={"longitude": -3.1764, "latitude": 51.4806},
            permissions=["geolocation"],
            has_touch=size is PHONE,
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(stack.url)
        page.get_by_test_id("sign-in-username").fill(username)
        page.get_by_test_id("sign-in-password").fill(stack.passwords[username])
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("menu-button").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
