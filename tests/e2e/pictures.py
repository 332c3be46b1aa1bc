"""`make pictures`: every screen at phone and desktop size, from the running demonstration, into docs/pictures.

The faces are those of insightface's sample photograph: the test photographs may not be published.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from cordon.deployments import service as deployments
from stack import CHROMIUM_FLAGS, DESKTOP, PHONE, Stack, start_stack

COLOURS = 128
# The people of the sample photograph never agreed to stand in these documents: every photograph is blurred.
BLUR_PEOPLE = """() => document.querySelectorAll('img').forEach(picture => {
  picture.style.filter = `blur(${Math.max(4, picture.clientWidth / 22)}px)`;
})"""


def main(folder: Path) -> None:
    os.environ.pop("CORDON_FACES", None)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        stack = start_stack(Path(place))
        try:
            for size, name in ((PHONE, "phone"), (DESKTOP, "desktop")):
                walk(browser, stack, size, folder / name)
        finally:
            stack.stop()
            browser.close()


def walk(browser: Browser, stack: Stack, size: dict[str, int], stem: Path) -> None:
    """One alert from the desk to the record, with a picture of each screen on the way."""

    def shoot(page: Page, name: str) -> None:
        page.wait_for_timeout(900)
        page.evaluate(BLUR_PEOPLE)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        small = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        small.save(f"{stem}-{name}.png", optimize=True)
        print(f"{stem.name}-{name}.png", flush=True)

    def signed_in(username: str) -> Page:
        context = browser.new_context(
            viewport=size,
            geolocation={"longitude": -3.1764, "latitude": 51.4807},
            permissions=["geolocation"],
            has_touch=size is PHONE,
        )
        page = context.new_page()
        page.goto(stack.url)
        if username == "officer":
            page.get_by_test_id("sign-in-username").wait_for()
            shoot(page, "sign-in")
        page.get_by_test_id("sign-in-username").fill(username)
        page.get_by_test_id("sign-in-password").fill(stack.passwords[username])
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("menu-button").wait_for()
        return page

    def opened(page: Page, name: str) -> None:
        link = page.get_by_test_id(f"nav-{name}")
        if not link.first.is_visible():
            page.get_by_test_id("menu-button").click()
            link = page.get_by_test_id(f"menu-{name}")
        link.first.click()

    officer, desk = signed_in("officer"), signed_in("operator")
    if officer.get_by_test_id("duty-on").is_visible():
        shoot(officer, "briefing")
        officer.get_by_test_id("duty-on").click()
    undecided = desk.locator("[data-testid=queue-row][data-state=raised]").first
    undecided.wait_for(timeout=240_000)
    undecided.click()
    shoot(desk, "desk")
    desk.get_by_test_id("decide-confirm").click()
    row = officer.locator("[data-testid=alert-row][data-state=dispatched]").first
    row.wait_for(timeout=10_000)
    shoot(officer, "feed")
    row.click()
    officer.get_by_test_id("alert-card").wait_for()
    shoot(officer, "alert")
    officer.get_by_test_id("action-claim").click()
    officer.get_by_test_id("action-engage").click()
    coordinator = signed_in("coordinator")
    coordinator.get_by_test_id("live-map").wait_for()
    coordinator.wait_for_timeout(2_500)
    shoot(coordinator, "map")
    officer.get_by_test_id("action-outcome").first.click()
    officer.get_by_test_id("outcome-safeguarded").click()
    shoot(officer, "outcome")
    officer.get_by_test_id("outcome-save").click()
    officer.get_by_test_id("outcome-shown").first.wait_for()
    shoot(officer, "closed")
    opened(coordinator, "record")
    coordinator.get_by_test_id("record").wait_for()
    shoot(coordinator, "record")
    opened(coordinator, "deployment")
    coordinator.get_by_test_id("terms").wait_for()
    shoot(coordinator, "deployment")
    for username, name in (("manager", "watchlist"), ("auditor", "audit"), ("admin", "users")):
        page = signed_in(username)
        page.wait_for_timeout(1_000)
        if page.get_by_test_id("choose").is_visible():
            page.locator("[data-testid^=choose-]").last.click()
        page.get_by_test_id(name).first.wait_for()
        shoot(page, name)
        page.context.close()
    notice = browser.new_context(viewport=size).new_page()
    with stack.installation().read() as work:
        deployment_id = deployments.running(work)[0].id
    notice.goto(f"{stack.url}/notice/{deployment_id}")
    shoot(notice, "notice")
    for page in (officer, desk, coordinator, notice):
        page.context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
