"""What the browser tests share: the chromium of the system, a page that tells of its errors, a place for screenshots."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The path of a chromium; the test is skipped where there is none."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: browser tests are skipped")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on PATH: browser tests are skipped")
    return found


@contextmanager
def started_chromium() -> Iterator:
    """A headless chromium that Playwright drives."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browser_page(pictures: Path, width: int = 1400, height: int = 1000) -> Iterator:
    """A page of a headless chromium at two dots a pixel; `page.said` gathers its errors. Where the test fails, the folder of
    pictures has one of it.
    """
    with started_chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=2)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        try:
            yield page
        except BaseException:
            page.screenshot(path=pictures / "failed.png")
            raise


def screenshots(tmp_path: Path) -> Path:
    """Where pictures of the screen go: the folder MIALIB_SCREENSHOTS, or the test's own."""
    folder = Path(os.environ.get("MIALIB_SCREENSHOTS") or tmp_path / "screenshots").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
