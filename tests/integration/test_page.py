"""The page in a real browser, over made videos whose pictures say their number and rows that are a function of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from api_server import Served, serving
from browser import Chromium, open_video, painted_number, settled
from framehouse.config import Settings
from framehouse.state import JobRequest
from framehouse.video.pictures import read_still
from media import read_frame_number
from page_home import FPS, GAP, SIZE, PageHome, box_x, make_page_home

pytestmark = pytest.mark.real("browser")
STEP = 30 // FPS
LOOK = (Path(__file__).parents[1] / "data" / "look.js").read_text()
NARROW = {"width": 390, "height": 844}
PAGES = ("videos", "jobs", "search?q=person", "catalogs", "sql", "models", "models/gaze/1", "stored", "login")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> PageHome:
    return make_page_home(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def served(home: PageHome) -> Iterator[Served]:
    with serving(home.settings) as running:
        yield running


@pytest.fixture
def page(browser: Chromium, served: Served) -> Iterator[Page]:
    with browser.page(served.url) as found:
        yield found


def overlay_colours(page: Page, x: float, y: float) -> int:
    """How many pixels of the marks' canvas are painted within 3 pixels of a place of the source."""
    return int(
        page.evaluate(
            """([x, y, width]) => {
                const canvas = document.querySelector("[data-marks]"), scale = canvas.width / width;
                const { data } = canvas.getContext("2d").getImageData(x * scale - 3, y * scale - 3, 7, 7);
                return data.filter((value, i) => i % 4 === 3 && value > 200).length;
            }""",
            [x, y, SIZE[0]],
        )
    )


# ---------------------------------------------------------------- the right frame


def test_a_search_leads_to_the_very_frame_with_its_marks(page: Page, served: Served) -> None:
    page.goto("/ui/")
    expect(page.locator(".tile .name")).to_have_text(["needs a copy.mp4", "numbers.mp4"])
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.fill("#q", "cat")
    page.keyboard.press("Enter")
    moment = page.locator("[data-moment]").filter(has_text="numbers.mp4")
    frame = int(moment.get_attribute("data-frame") or -1)
    assert frame > 75
    image = moment.locator("img")
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") == SIZE[0]
    moment.click()
    page.wait_for_selector("[data-player][data-state=ready]")
    settled(page)
    assert painted_number(page) == frame
    assert page.get_attribute("[data-player]", "data-frames") == str(frame)
    assert overlay_colours(page, box_x(frame) - 25, 110) > 5, "the left edge of the box"
    assert overlay_colours(page, box_x(frame) + 60, 150) == 0, "nothing beside it"
    expect(page.locator("[data-now]")).to_contain_text("person")
    expect(page.locator("[data-now]")).to_contain_text("cat")


def test_every_looked_at_frame_is_the_one_on_the_screen(page: Page, home: PageHome) -> None:
    """By keys: a step is a frame that a model looked at; a gap is told and not passed over."""
    open_video(page, f"/ui/videos/{home.plain}?t=1.1")
    assert painted_number(page) == 33
    page.locator("h1").click()
    for frame in (36, 39, GAP, 45):
        page.keyboard.press(".")
        page.wait_for_function(
            "frame => document.querySelector('[data-player]').dataset.frames == frame", arg=str(frame)
        )
        settled(page)
        assert painted_number(page) == frame
        expect(page.locator("[data-now]")).to_contain_text("no answer" if frame == GAP else "person")
    page.keyboard.press(",")
    page.wait_for_function("frame => document.querySelector('[data-player]').dataset.frames == frame", arg=str(GAP))
    page.keyboard.press("]")
    page.wait_for_function("() => Math.abs(document.querySelector('[data-player]').dataset.shown - 1.6) < 0.02")
    page.keyboard.press("[")
    page.wait_for_function("() => Math.abs(document.querySelector('[data-player]').dataset.shown - 1.0) < 0.02")


def test_a_mask_tints_what_it_covers_and_nothing_else(page: Page, home: PageHome) -> None:
    open_video(page, f"/ui/videos/{home.plain}?t=1.1")
    tint = """([x, y, width]) => {
        const canvas = document.querySelector("[data-marks]"), scale = canvas.width / width;
        return canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data[3];
    }"""
    inside, outside = (page.evaluate(tint, [box_x(33) + away, 110, SIZE[0]]) for away in (-15, 15))
    assert 90 <= inside <= 115, "two fifths of the colour over the left half"
    assert outside == 0


def test_a_copy_shows_the_same_frames_and_says_that_it_is_one(page: Page, home: PageHome) -> None:
    """HEVC: this browser does not play it. The copy has the original's times, so the frames are the same."""
    open_video(page, f"/ui/videos/{home.other}?t=0.7")
    expect(page.locator("[data-note]")).to_contain_text("H.264 copy with the same frame times")
    assert painted_number(page) == 21
    page.locator("h1").click()
    page.keyboard.press(".")
    page.wait_for_function("() => document.querySelector('[data-player]').dataset.frames == '24'")
    settled(page)
    assert painted_number(page) == 24


def test_marks_move_with_playback(page: Page, home: PageHome) -> None:
    """While it plays, the marks are those of the frame that is nearest to the one on the screen."""
    open_video(page, f"/ui/videos/{home.plain}")
    page.locator("h1").click()
    page.keyboard.press("Space")
    seen = page.evaluate(
        """() => new Promise((done) => {
            const video = document.querySelector("video"), page = document.querySelector("[data-player]"), seen = [];
            const note = () => {
                video.requestVideoFrameCallback((_, frame) => setTimeout(() => {
                    seen.push([frame.mediaTime * 30, Number(page.dataset.frames)]);
                    seen.length < 20 ? note() : done(seen);
                }, 0));
            };
            note();
        })"""
    )
    page.keyboard.press("Space")
    assert len({frame for _, frame in seen}) > 3
    assert all(abs(shown - frame) <= STEP for shown, frame in seen), seen


def test_tracks_scenes_events_and_the_threshold(page: Page, home: PageHome) -> None:
    open_video(page, f"/ui/videos/{home.plain}?t=1.5")
    expect(page.locator(".times li")).to_have_count(4)
    expect(page.locator(".lane.strip")).to_have_count(1)
    expect(page.locator("[data-lanes] .u-over")).to_have_count(4)
    page.get_by_role("button", name="0:01.60").click()
    page.wait_for_function("() => document.querySelector('[data-player]').dataset.frames == '48'")
    marks = page.evaluate("() => fetch(location.pathname + '/marks.json?start_s=1.5&end_s=1.7').then((a) => a.json())")
    assert marks["d" * 32]["boxes"]["tracker_id"] == [7, 7, None], "the person; a faint car is not tracked"
    expect(page.locator("[data-now] li")).to_have_count(3)  # person, face, red car; the faint car is below 0.4
    page.locator("[data-threshold]").fill("0.2")
    page.locator("[data-threshold]").dispatch_event("change")
    expect(page.locator("[data-lanes] .u-over")).to_have_count(5)
    expect(page.locator("[data-timeline-words]")).to_contain_text("5 classes")
    lane = page.locator("[data-lanes] .u-over").first
    lane.click(position={"x": lane.evaluate("lane => lane.clientWidth") * 0.6, "y": 10})
    page.wait_for_function("() => Math.abs(document.querySelector('[data-player]').dataset.shown - 3.0) < 0.1")


# ---------------------------------------------------------------- jobs, SQL


def test_a_failed_job_has_its_cause_and_is_retried_by_its_button(page: Page, served: Served) -> None:
    job_id = served.state.submit(JobRequest("http://example.org/street.mp4", ("detector",)))
    served.state.settle_published(
        served.state.conclude(job_id, "failed", [], error=("media.truncated", "the file ends early", "upload it again"))
    )
    page.goto("/ui/jobs?status=failed")
    row = page.locator(f"[data-job={job_id}]")
    expect(row).to_contain_text("the file ends early")
    expect(row).to_contain_text("upload it again")
    row.get_by_role("button", name="Retry").click()
    page.wait_for_url("**/ui/jobs?status=failed")
    assert served.state.job(job_id).status == "queued"
    page.goto("/ui/jobs")
    expect(page.locator(f"[data-job={job_id}] .status")).to_have_text("queued")
    served.state.request_cancel(job_id)


def test_a_job_that_is_under_way_moves_by_itself(page: Page, served: Served) -> None:
    job_id = served.state.submit(JobRequest("http://example.org/moves.mp4", ("detector",)))
    lease = served.state.acquire(f"job/{job_id}", "test", 60.0)
    assert lease is not None
    served.state.begin_attempt(lease, job_id)
    served.state.note(lease, job_id, n_planned=200, hop="infer")
    page.goto(f"/ui/jobs/{job_id}")
    expect(page.locator("[data-share]")).to_have_text("0 %")
    served.state.note_settled(lease, job_id, 50)
    expect(page.locator("[data-settled]")).to_have_text("50")
    assert page.locator("[data-share]").inner_text() != "0 %"


def test_the_sql_box_answers_with_a_table_a_chart_and_a_file(page: Page) -> None:
    page.goto("/ui/sql")
    page.get_by_role("link", name="What is in each video?").click()
    expect(page.locator("#sql")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer th")).to_have_text(["uri", "class_name", "max_in_frame", "n_detections"])
    expect(page.locator(".bar-chart .length")).to_have_count(2)
    page.fill("#sql", "SELECT second, n_detections FROM detections_per_second WHERE class_name = 'person' ORDER BY 1")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("[data-plot] canvas")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert Path(download.value.path()).read_text().startswith("second,n_detections\n0,")


def test_a_wrong_query_says_what_is_wrong_and_data_is_never_markup(browser: Chromium, served: Served) -> None:
    with browser.page(served.url) as page:
        page.goto("/ui/sql")
        page.fill("#sql", "SELECT '<img src=x onerror=alert(1)></script><b>bold</b>' AS uri, 1 AS n")
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#answer td").first).to_have_text("<img src=x onerror=alert(1)></script><b>bold</b>")
        expect(page.locator("#answer b, #answer img")).to_have_count(0)
    with browser.page(served.url) as page:
        page.goto("/ui/sql")
        page.fill("#sql", "DROP TABLE videos")
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("alert")).to_contain_text("store.query_rejected")
        expect(page.locator("#sql")).to_have_value("DROP TABLE videos")
        browser.complaints.clear()  # the answer's status, 400, is what the console tells of


# ---------------------------------------------------------------- keys, keyboard, looks


def test_a_key_is_asked_for_and_kept_in_a_cookie_that_scripts_do_not_see(browser: Chromium, tmp_path: Path) -> None:
    with serving(Settings(home=tmp_path / "home")) as fresh:
        text, key = fresh.keys.create("me", ("read", "submit", "admin"))
        with browser.page(fresh.url) as page:
            page.goto("/ui/search?q=x")
            assert "/ui/login?next=" in page.url
            page.fill("#key", "fh_wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("no such key")
            browser.complaints.clear()  # 401
            page.fill("#key", text)
            page.keyboard.press("Enter")
            page.wait_for_url("**/ui/search?q=x")
            [cookie] = page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/ui")
            assert text not in cookie["value"]
            assert page.evaluate("document.cookie") == ""
            fresh.keys.revoke(key.key_id)
            page.goto("/ui/jobs")
            assert "/ui/login" in page.url


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.goto("/ui/videos")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null && document.activeElement.id !== 'main'")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("numbers")
    page.keyboard.press("Enter")
    expect(page.locator(".tile .name")).to_have_text(["numbers.mp4"])
    page.locator(".tile > a").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-player][data-state=ready]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_telephone_name_their_fields_and_can_be_read(
    browser: Chromium, served: Served, home: PageHome, scheme: str
) -> None:
    """Nothing is wider than the screen; every field and button has a name; text has a contrast of 4.5 to its ground."""
    with browser.page(served.url, viewport=NARROW, color_scheme=scheme) as page:
        for path in (*PAGES, f"videos/{home.plain}"):
            page.goto(f"/ui/{path}")
            found = page.evaluate(LOOK)
            assert found == {"wide": 0, "nameless": [], "faint": []}, path
            assert page.locator("h1").count() == 1, path


def test_the_page_lacks_nothing_when_there_is_nothing(browser: Chromium, tmp_path: Path) -> None:
    with serving(Settings(home=tmp_path / "home")) as fresh, browser.page(fresh.url) as page:
        for path, words in (
            ("", "No video yet"), ("jobs", "No job yet"), ("search", "From words to moments"),
            ("catalogs", "No catalogue yet"), ("sql", "Ask something"), ("stored", "Nothing yet"),
        ):  # fmt: skip
            page.goto(f"/ui/{path}")
            expect(page.locator("main")).to_contain_text(words)
        page.goto("/ui/search?q=car")
        expect(page.get_by_role("alert")).to_contain_text("framehouse run")


# ---------------------------------------------------------------- without a browser


def test_media_come_in_ranges_and_stills_are_exact(served: Served, home: PageHome) -> None:
    path = f"{served.url}/ui/videos/{home.plain}"
    whole = httpx.get(f"{path}/media")
    part = httpx.get(f"{path}/media", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 100-199/{len(whole.content)}")
    assert part.content == whole.content[100:200]
    still = httpx.get(f"{path}/still.jpg?frame=77&side=320")
    assert read_frame_number(read_still(still.content)) == 77


@pytest.mark.parametrize(
    "path",
    ["videos/..%2f..%2fetc/media", f"videos/v_{'0' * 24}/media", "static/../site.py", "static/%2e%2e/site.py"],
)  # fmt: skip
def test_only_known_videos_and_our_own_files_are_to_be_had(served: Served, path: str) -> None:
    answer = httpx.get(f"{served.url}/ui/{path}")
    assert answer.status_code in (404, 422)
    assert "import" not in answer.text


def test_a_form_of_another_site_or_session_is_refused(served: Served) -> None:
    job_id = served.state.submit(JobRequest("http://example.org/form.mp4", ("detector",)))
    url, html = (
        f"{served.url}/ui/jobs/{job_id}/cancel",
        httpx.get(f"{served.url}/ui/jobs", headers={"Accept": "text/html"}).text,
    )
    token = re.search(r'name="token" value="([0-9a-f]{64})"', html)
    assert token is not None
    for headers, form in (
        ({}, {}),
        ({}, {"token": "0" * 64}),
        ({"Origin": "https://evil.example"}, {"token": token[1]}),
        ({"Sec-Fetch-Site": "cross-site"}, {"token": token[1]}),
        ({"Host": "evil.example"}, {"token": token[1]}),
    ):
        assert httpx.post(url, data=form or {"x": "1"}, headers=headers).status_code in (401, 403), headers
    assert not served.state.job(job_id).cancel_requested
    assert httpx.post(url, data={"token": token[1]}).status_code == 303
    assert served.state.job(job_id).cancel_requested


def test_every_answer_has_the_policy(served: Served, home: PageHome) -> None:
    for path in (*PAGES, "static/page.js", "nothing", f"videos/{home.plain}/media", "events?x"):
        with httpx.stream("GET", f"{served.url}/ui/{path}", headers={"Accept": "text/html"}) as answer:
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'self'; object-src 'none'")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
