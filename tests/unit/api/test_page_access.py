"""The page's session: what the cookie proves, for how long, and which forms are taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from framehouse.api.app import create_app
from framehouse.api.context import Api
from framehouse.api.ui.access import COOKIE, SESSION_S, inner_path, new_session, session_key
from framehouse.config import Settings
from framehouse.errors import Unauthorised

HTML = {"Accept": "text/html"}
VENDOR = Path(__file__).parents[3] / "framehouse" / "api" / "ui" / "static" / "vendor"


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    made = create_app(settings)
    yield made
    made.state.api.state.close()


@pytest.fixture
def api(app: FastAPI) -> Api:
    found: Api = app.state.api
    return found


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8800", follow_redirects=False)


def test_a_session_names_its_key_until_it_ends(api: Api) -> None:
    text, key = api.keys.create("me", ("read",))
    cookie = new_session(api, text, now_s=1000.0)
    assert text not in cookie
    assert session_key(api, cookie, now_s=1000.0 + SESSION_S - 1) == key.key_id
    assert session_key(api, cookie, now_s=1000.0 + SESSION_S) is None


@pytest.mark.parametrize("text", ["", "fh_wrong"])
def test_a_session_needs_a_right_key(api: Api, text: str) -> None:
    api.keys.create("me", ("read",))
    with pytest.raises(Unauthorised):
        new_session(api, text)


@pytest.mark.parametrize(
    "how", ["", "x", "a.b.c", "{key}.9999999999.{sig}", "{key}.{end}.0", "k_other.{end}.{sig}", "{key}.é.{sig}"]
)
def test_what_was_not_signed_is_no_session(api: Api, how: str) -> None:
    text, _ = api.keys.create("me", ("read",))
    key, end, sig = new_session(api, text).split(".")
    assert session_key(api, how.format(key=key, end=end, sig=sig)) is None


def test_a_key_is_asked_for_by_a_page_and_refused_to_a_script(client: TestClient, api: Api) -> None:
    api.keys.create("me", ("read",))
    asked = client.get("/ui/search?q=a&by=clip", headers=HTML)
    assert (asked.status_code, asked.headers["location"]) == (303, "/ui/login?next=/ui/search%3Fq%3Da%26by%3Dclip")
    assert client.get("/ui/events").json()["error"]["code"] == "api.unauthorised"


def test_a_revoked_key_is_out_at_once_and_scopes_hold(client: TestClient, api: Api) -> None:
    text, key = api.keys.create("me", ("read",))
    client.cookies.set(COOKIE, new_session(api, text))
    assert client.get("/ui/jobs", headers=HTML).status_code == 200
    assert client.get("/ui/videos", headers=HTML).status_code == 403
    assert client.get("/ui/", headers=HTML).headers["location"] == "/ui/jobs"
    api.keys.revoke(key.key_id)
    assert client.get("/ui/jobs", headers=HTML).status_code == 303


def test_the_api_does_not_take_the_cookie(client: TestClient, api: Api) -> None:
    text, _ = api.keys.create("me", ("read", "admin"))
    client.cookies.set(COOKIE, new_session(api, text))
    assert client.get("/v1/jobs").status_code == 401


def test_beyond_loopback_a_page_without_keys_says_how_to_make_one(settings: Settings) -> None:
    settings.api.host = "0.0.0.0"
    app = create_app(settings)
    client = TestClient(app, base_url="http://10.0.0.5:8800", follow_redirects=False)
    assert client.get("/ui/videos", headers=HTML).headers["location"].startswith("/ui/login")
    assert "framehouse keys create" in client.get("/ui/login", headers=HTML).text
    app.state.api.state.close()


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ("/ui/jobs", "/ui/jobs"), ("", "/ui/"), ("https://evil.example/ui/", "/ui/"), ("//evil.example/ui/", "/ui/"),
        ("/ui/\\evil", "/ui/"), ("/ui/a\nb", "/ui/"), ("/ui/../v1", "/ui/"), ("/uiother", "/ui/"),
    ],
)  # fmt: skip
def test_after_logging_in_one_stays_here(asked: str, taken: str) -> None:
    assert inner_path(asked) == taken


def test_the_first_page_is_found_without_its_slash(client: TestClient) -> None:
    assert client.get("/ui").headers["location"] == "/ui/"


def test_what_others_made_is_what_the_notice_says() -> None:
    notice = (VENDOR.parents[4] / "NOTICE").read_text()
    for file in VENDOR.iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() in notice, file.name
