"""Pictures of docs/guide/page.md: the page as a browser shows it, over the sample videos.

    python scripts/make_screenshots.py [FRAMEHOUSE_HOME]

The home is one in which the sample videos were run:

    framehouse run bikes.mp4 --model detector --model tags --model clip --model persons
    framehouse run carphone_pristine.mp4 --model detector --model faces --model gaze --fps 10
    framehouse presence bikes.mp4 --class person; framehouse lines bikes.mp4 --line 0.5,0,0.5,1

Needs Chromium.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PICTURES = ROOT / "docs" / "pictures"
MADE = ["ui-video.jpg", "ui-gaze-dark.jpg", "ui-videos.jpg", "ui-search.jpg", "ui-jobs.jpg", "ui-sql.jpg",
        "ui-stored.jpg", "ui-narrow.jpg"]  # fmt: skip
WIDE, TALL = {"width": 1200, "height": 860}, {"width": 390, "height": 844}
MOST_BYTES = 200_000
QUERY = "SELECT class_name, n_frames_with, max_in_frame\nFROM objects_per_video\nORDER BY n_frames_with DESC"


def main(home: Path) -> int:
    """Write them all; returns the exit code."""
    from api_server import serving
    from browser import chromium
    from framehouse.config import Settings

    with serving(Settings(home=home)) as served, chromium() as browser:
        seen = served.ask("GET", "/v1/videos").json()["videos"]
        ids = {video["uri"].rsplit("/", 1)[-1]: video["video_id"] for video in seen}
        bikes, phone = f"/ui/videos/{ids['bikes.mp4']}?t=4.6", f"/ui/videos/{ids['carphone_pristine.mp4']}?t=3.97"
        for name, path, scheme, size in (
            ("ui-video", bikes, "light", WIDE), ("ui-gaze-dark", phone, "dark", WIDE),
            ("ui-videos", "/ui/videos", "light", WIDE), ("ui-search", "/ui/search?q=automobile", "light", WIDE),
            ("ui-jobs", "/ui/jobs", "light", WIDE), ("ui-sql", "/ui/sql", "dark", WIDE),
            ("ui-stored", "/ui/stored", "light", WIDE), ("ui-narrow", bikes, "light", TALL),
        ):  # fmt: skip
            with browser.page(served.url, viewport=size, color_scheme=scheme) as page:
                page.goto(path)
                ready(page, path)
                size_bytes = save(page.screenshot(), PICTURES / f"{name}.jpg")
                sys.stdout.write(f"{name}.jpg: {size_bytes} bytes\n")
    return 0


def ready(page: Page, path: str) -> None:
    """Wait until all is there that is to be shown."""
    from browser import settled

    if "/videos/v_" in path:
        page.wait_for_selector("[data-player][data-state=ready]")
        page.wait_for_selector(".lane canvas")
        settled(page)
    if path == "/ui/sql":
        page.fill("#sql", QUERY)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".bar-chart")
    page.wait_for_function("() => [...document.images].every((one) => one.complete || one.loading === 'lazy')")
    page.wait_for_load_state("networkidle") if "/jobs" not in path else page.wait_for_timeout(500)


def save(shot: bytes, out: Path) -> int:
    """As a JPEG small enough for the repository; returns its bytes."""
    picture = Image.open(BytesIO(shot)).convert("RGB")
    for quality in (85, 75, 65, 50):
        picture.save(out, "JPEG", quality=quality, optimize=True)
        if out.stat().st_size <= MOST_BYTES:
            break
    return out.stat().st_size


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".framehouse"))
