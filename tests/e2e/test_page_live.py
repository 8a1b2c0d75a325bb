"""The page over the whole stack: a file is put in, watched on its way and found; a failure is mended and retried."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser import Chromium, open_video
from local_stack import Stack

pytestmark = [pytest.mark.real("browser", "stack", "triton"), pytest.mark.timeout(600)]
WAIT_MS = 120_000


def test_a_file_is_run_from_the_page_and_found_there(
    browser: Chromium, stack: Stack, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    """Its pixels are not square: the marks lie over all of the picture all the same."""
    url = str(stack.facts()["endpoints"]["api_url"])
    mine = tmp_path / "a man in a car.mp4"
    shutil.copy(sample_videos["carphone_pristine.mp4"], mine)
    with browser.page(url) as page:
        page.goto("/ui/jobs")
        page.set_input_files("#file", mine)
        page.fill("#infer_fps", "2")
        page.get_by_role("button", name="Submit").click()
        row = page.locator(".job").filter(has_text="a_man_in_a_car.mp4").first
        expect(row.locator(".status")).to_have_text("done", timeout=WAIT_MS)
        row.get_by_role("link", name="a_man_in_a_car.mp4").click()
        expect(page.get_by_role("link", name=re.compile("Run in Prefect"))).to_have_attribute(
            "href", re.compile(r"/runs/flow-run/[0-9a-f-]{36}$")
        )
        page.get_by_role("link", name="Watch").click()
        open_video(page, page.url)
        shape = page.evaluate("""() => {
            const video = document.querySelector("video"), { width, height } = video.getBoundingClientRect();
            return [width / height, video.videoWidth / video.videoHeight];
        }""")
        assert shape[0] == pytest.approx(shape[1], rel=0.01)
        assert shape[1] != pytest.approx(176 / 144, rel=0.01), "square pixels would not show it"
        page.goto("/ui/search?q=person&by=tags")
        expect(page.locator("[data-moment]").first).to_be_visible()


def test_a_failed_video_is_mended_and_retried_by_its_button(browser: Chromium, stack: Stack, tmp_path: Path) -> None:
    from media import Recipe, write

    whole = write(tmp_path, Recipe("mended.mp4", n_frames=30)).read_bytes()
    (tmp_path / "mended.mp4").write_bytes(whole[: len(whole) // 2])
    assert stack.run("run", str(tmp_path / "mended.mp4"), "--fps", "2").returncode == 1
    with browser.page(str(stack.facts()["endpoints"]["api_url"])) as page:
        page.goto("/ui/jobs")
        row = page.locator(".job").filter(has_text="mended.mp4").first
        expect(row.locator(".status")).to_have_text("failed")
        expect(row).to_contain_text("media.truncated")
        (tmp_path / "mended.mp4").write_bytes(whole)
        row.get_by_role("button", name="Retry").click()
        expect(row.locator(".status")).to_have_text("done", timeout=WAIT_MS)
