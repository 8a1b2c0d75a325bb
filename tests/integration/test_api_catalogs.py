"""/v1/catalogs on the application itself: who may, what is told, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from framehouse.api.app import create_app
from framehouse.config import Settings
from framehouse.jobs.catalogs import scan_catalog
from framehouse.state import State
from framehouse.state.catalogs import Catalogs
from framehouse.state.keys import Keys


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings)
    yield TestClient(app)
    app.state.api.state.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "videos"
    made.mkdir()
    (made / "a.mp4").write_bytes(b"x")
    return made


def state_of(client: TestClient) -> State:
    state: State = client.app.state.api.state  # type: ignore[attr-defined]
    return state


def test_a_catalogue_from_its_making_to_its_end(client: TestClient, folder: Path, settings: Settings) -> None:
    body = {
        "source": str(folder),
        "models": ["detector"],
        "infer_fps": "2",
        "include": ["*.mp4"],
        "schedule": "0 * * * *",
    }
    made = client.post("/v1/catalogs", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["source"], made.json()["scanned_at"]) == (
        "videos",
        f"file://{folder}",
        None,
    )
    assert client.post("/v1/catalogs", json=body).json()["error"]["code"] == "job.catalog_exists"
    assert client.post("/v1/catalogs/videos/scan").status_code == 202
    assert [c.name for c in Catalogs(state_of(client).engine).scans_wanted()] == ["videos"]
    settings.catalog.settle_s = 0.0
    scan_catalog(state_of(client), "videos", settings, owner="test")
    found = client.get("/v1/catalogs/videos").json()
    assert (found["counts"]["here"], found["counts"]["queued"], found["scan_report"]["n_new"]) == (1, 1, 1)
    assert found["entries"][0]["uri"] == f"file://{folder}/a.mp4"
    assert client.get("/v1/catalogs/videos?limit=0").json()["entries"] == []
    assert [c["name"] for c in client.get("/v1/catalogs").json()["catalogs"]] == ["videos"]
    assert client.put("/v1/catalogs/videos/schedule", json={"schedule": ""}).json()["schedule"] == ""
    assert client.put("/v1/catalogs/videos/schedule", json={"schedule": "61 * * * *"}).status_code == 400
    assert found["max_running"] is None
    changed = client.patch("/v1/catalogs/videos", json={"max_running": 3}).json()
    assert (changed["max_running"], changed["priority"]) == (3, 0)
    changed = client.patch("/v1/catalogs/videos", json={"max_running": 0, "priority": 7}).json()
    assert (changed["max_running"], changed["priority"]) == (None, 7)
    assert client.patch("/v1/catalogs/videos", json={"max_running": -1}).status_code == 422
    assert client.patch("/v1/catalogs/none", json={"max_running": 1}).status_code == 404
    assert client.delete("/v1/catalogs/videos").status_code == 204
    assert client.get("/v1/catalogs/videos").status_code == 404
    assert len(state_of(client).list_jobs()) == 1, "its jobs stay"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"source": "/no/such/folder"}, 404, "source.not_found"),
        ({"models": ["none"]}, 400, "config.unknown_model"),
        ({"confidence": 0.001}, 400, "config.confidence"),
        ({"confidence": 2}, 422, "api.invalid"),
        ({"name": "a/b"}, 400, "config.catalog_name"),
        ({"unknown": 1}, 422, "api.invalid"),
    ],
)
def test_refusals(client: TestClient, folder: Path, changes: dict[str, object], status: int, code: str) -> None:
    answer = client.post("/v1/catalogs", json={"source": str(folder), **changes})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_only_admins(client: TestClient, folder: Path) -> None:
    keys = Keys(state_of(client).engine)
    user, _ = keys.create("user", ["submit", "read"])
    admin, key = keys.create("admin", ["admin"])
    mine, theirs = [{"Authorization": f"Bearer {text}"} for text in (admin, user)]
    body = {"source": str(folder)}
    assert client.post("/v1/catalogs", json=body, headers=mine).status_code == 201
    assert Catalogs(state_of(client).engine).get("videos").wish.owner == key.key_id
    for method, path in (
        ("GET", "/v1/catalogs"), ("POST", "/v1/catalogs"), ("GET", "/v1/catalogs/videos"),
        ("POST", "/v1/catalogs/videos/scan"), ("PUT", "/v1/catalogs/videos/schedule"),
        ("DELETE", "/v1/catalogs/videos"),
    ):  # fmt: skip
        sent = body if path == "/v1/catalogs" else {"schedule": ""}
        json = sent if method in ("POST", "PUT") and not path.endswith("scan") else None
        assert client.request(method, path, json=json, headers=theirs).status_code == 403, (method, path)
        assert client.request(method, path, json=json).status_code == 401
