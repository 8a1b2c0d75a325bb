"""Who is let in: keys, scopes, the fresh local install; and the one shape of errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from framehouse import errors
from framehouse.api.app import create_app
from framehouse.api.context import Admin, Reader, Submitter
from framehouse.api.errors import STATUS, status_of
from framehouse.config import Settings
from framehouse.errors import ConfigError, FramehouseError, JobNotFound
from framehouse.state.keys import RESERVED, Keys


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    made = create_app(settings)

    @made.get("/t/read")
    def read(caller: Reader) -> dict[str, Any]:
        return {"owner": caller.owner, "workspace": caller.workspace}

    @made.get("/t/submit")
    def submit(caller: Submitter) -> str:
        return caller.owner

    @made.get("/t/admin")
    def admin(caller: Admin) -> str:
        return caller.owner

    @made.get("/t/fails")
    def fails(how: str, number: int = 0) -> None:
        if how == "named":
            raise JobNotFound("no job j_1", hint="look again")
        raise ValueError("secret detail")

    made.router.routes[:] = made.router.routes[-4:] + made.router.routes[:-4]  # before /{workspace}/{project}
    yield made
    made.state.api.state.close()


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def keys(app: FastAPI) -> Keys:
    found: Keys = app.state.api.keys
    return found


def test_a_fresh_local_install_lets_everybody_in(client: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer whatever"}):
        assert client.get("/t/admin", headers=headers).status_code == 200
    assert client.get("/t/read?api_key=anything").json() == {"owner": "", "workspace": "local"}


@pytest.mark.parametrize("way", ["header", "query"])
def test_with_a_key_made_only_keys_are_let_in(client: TestClient, app: FastAPI, way: str) -> None:
    text, key = keys(app).create("mine", ("read",), workspace="lab")

    def ask(path: str, key_text: str) -> Any:
        if way == "query":
            return client.get(path, params={"api_key": key_text})
        return client.get(path, headers={"Authorization": f"Bearer {key_text}"})

    assert ask("/t/read", text).json() == {"owner": key.key_id, "workspace": "lab"}
    assert ask("/t/submit", text).json()["error"]["code"] == "api.not_allowed"
    for wrong in ("", text + "0", text[:-1], text.upper(), "é"):
        if wrong == "é" and way == "header":
            continue  # a header holds no such letter
        answer = ask("/t/read", wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "api.unauthorised")
    keys(app).revoke(key.key_id)
    assert ask("/t/read", text).status_code == 401, "revoked, and nobody else is let in again"


def test_an_admin_may_do_everything(client: TestClient, app: FastAPI) -> None:
    text, key = keys(app).create("boss", ("admin",))
    for path in ("/t/read", "/t/submit", "/t/admin"):
        assert client.get(path, params={"api_key": text}).status_code == 200
    assert key.scopes == ("admin",)


def test_beyond_loopback_nobody_is_let_in_without_a_key(settings: Settings) -> None:
    settings.api.host = "0.0.0.0"
    app = create_app(settings)

    @app.get("/t/read")
    def read(caller: Reader) -> str:
        return caller.owner

    app.router.routes.insert(0, app.router.routes.pop())
    assert TestClient(app).get("/t/read", params={"api_key": "any"}).status_code == 401
    app.state.api.state.close()


def test_keys_are_hashed_at_rest_and_have_a_lower_case_letter(app: FastAPI) -> None:
    text, key = keys(app).create("mine")
    assert text.startswith("fh_")
    with app.state.api.state.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_keys").fetchall()
    assert text not in str(rows) and text[3:] not in str(rows)
    assert keys(app).find(text) is not None
    assert [found.key_id for found in keys(app).list()] == [key.key_id]
    with pytest.raises(ConfigError, match="unknown scope fly"):
        keys(app).create("mine", ("fly",))
    with pytest.raises(ConfigError, match="no key k_none"):
        keys(app).revoke("k_none")


@pytest.mark.parametrize("name", [*sorted(RESERVED), "V1", "", "a/b", "ü", "a" * 61, ".hidden"])
def test_no_workspace_bears_a_name_of_ours(app: FastAPI, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keys(app).create("mine", workspace=name)
    assert caught.value.code == "config.workspace"
    assert keys(app).list() == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/t/fails?how=named", 404, "job.not_found"),
        ("/t/fails?how=other", 500, "api.internal"),
        ("/t/fails", 422, "api.invalid"),
        ("/t/fails?how=named&number=x", 422, "api.invalid"),
        ("/t/nothing", 404, "api.not_found"),
    ],
)
def test_every_error_has_one_shape_and_no_detail_of_ours(client: TestClient, path: str, status: int, code: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message", "hint"}
    assert answer.json()["error"]["code"] == code
    assert "secret detail" not in answer.text


def test_every_class_of_error_has_a_status() -> None:
    def kinds(kind: type[FramehouseError]) -> Iterator[type[FramehouseError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from kinds(child)

    for kind in kinds(FramehouseError):
        status = status_of(kind("x"))
        assert 400 <= status < 600
        if kind.__module__ == errors.__name__ and kind is not FramehouseError:
            assert any(issubclass(kind, known) for known in STATUS if known is not FramehouseError), kind
