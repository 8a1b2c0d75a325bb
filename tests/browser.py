"""Debian's Chromium, driven by Playwright. A page that breaks its own rules fails the test that looked at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 20_000


class BrowserMissing(Exception):
    """There is no Chromium here."""


@dataclass
class Chromium:
    """A browser, and what it complained about: console errors, violations of the policy, exceptions of scripts."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith("Canvas2D: Multiple readback"):  # we read, not the page
            self.complaints.append(text)

    @contextmanager
    def page(self, url: str, **options: Any) -> Iterator[Page]:
        """A page in a context of its own; afterwards nothing must have been complained about."""
        with self.browser.new_context(base_url=url, reduced_motion="reduce", **options) as context:
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.on("console", lambda said: self._note(said.type, said.text))
            page.on("pageerror", lambda error: self.complaints.append(str(error)))
            yield page
        complaints, self.complaints = self.complaints, []
        assert not complaints, complaints


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A headless browser.

    Raises:
        BrowserMissing: none is installed.
    """
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise BrowserMissing(f"none of {', '.join(PROGRAMS)} is installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Chromium(browser)
        browser.close()


def painted_number(page: Page) -> int:
    """The number that the picture on the screen carries (`media.picture`), read from the pixels of the player."""
    return int(page.evaluate(_READ))


def open_video(page: Page, path: str) -> None:
    """Go to a video's page and wait until it shows a frame and its marks."""
    page.goto(path)
    page.wait_for_selector("[data-player][data-state=ready]")
    settled(page)


def settled(page: Page) -> None:
    """Wait until the frame that was asked for is on the screen, and its marks have come."""
    page.wait_for_function(_SETTLED)
    page.wait_for_timeout(100)


_SETTLED = """() => {
    const video = document.querySelector("video"), { frames, shown } = document.querySelector("[data-player]").dataset;
    return !video.seeking && frames && Math.abs(video.currentTime - shown) < 0.05;
}"""
_READ = """() => {
    const video = document.querySelector("video"), canvas = document.createElement("canvas");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const pen = canvas.getContext("2d"); pen.drawImage(video, 0, 0);
    const mean = (row, column) => {
        const x = Math.floor((column + 0.5) * canvas.width / 4), y = Math.floor((row + 0.5) * canvas.height / 5);
        const { data } = pen.getImageData(x - 3, y - 3, 7, 7);
        return data.reduce((sum, value, i) => i % 4 === 3 ? sum : sum + value, 0) / (49 * 3);
    };
    let number = 0;
    for (let i = 0; i < 16; i++) if (mean(1 + Math.floor(i / 4), i % 4) > 127) number |= 1 << i;
    return number;
}"""
