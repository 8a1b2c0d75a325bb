"""/docs works where there is no internet: the page, its files and what they ask for come from the server itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from framehouse.api.app import create_app
from framehouse.config import Settings

ELSEWHERE = re.compile(r"(https?:)?//\w")


class Links(HTMLParser):
    """Every address that a page names in an attribute, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        self.found += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = create_app(Settings(home=tmp_path_factory.mktemp("home")))
    yield TestClient(app)
    app.state.api.state.close()


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_page_and_its_files_are_the_servers_own(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert not ELSEWHERE.search(page.text), "something is asked of elsewhere"
    links = Links(page.text)
    types = {client.get(link).headers["content-type"].split(";")[0] for link in links.found}
    assert types == {"text/javascript", "text/css", "image/png"}
    (script,) = [text for text in links.scripts if "SwaggerUIBundle(" in text]
    (asked,) = re.findall(r"url: '([^']+)'", script)
    assert client.get(asked).json()["openapi"].startswith("3.1")
    assert '"validatorUrl": null' in script, "else Swagger UI shows the document to a validator elsewhere"


def test_the_page_can_read_the_document(client: TestClient) -> None:
    """Swagger UI 4 shows an error instead of an OpenAPI 3.1 document."""
    script = client.get("/docs/assets/swagger-ui-bundle.js").text
    assert len(script) > 1_000_000
    assert "openapi: 3.1.x" in script
    style = client.get("/docs/assets/swagger-ui.css").text
    assert not re.search(r"url\(['\"]?(https?:)?//|@import", style)


def test_the_page_can_ask_for_a_key(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].items()
    assert scheme[1]["scheme"] == "bearer"
    asking = [path for path, how in document["paths"].items() if any("security" in one for one in how.values())]
    assert "/v1/jobs" in asking and "/videoinfer" in asking
    assert "/health" not in asking


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2f__init__.py", "../core.py", "%2e%2e/core.py", "x"])
def test_nothing_else_is_served_from_there(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/assets/{name}").status_code in (401, 404, 422)


def test_the_page_needs_no_key_even_beyond_loopback(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.api.host = "0.0.0.0"
    app = create_app(settings)
    client = TestClient(app)
    for path in ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json"):
        assert client.get(path).status_code == 200
    assert client.get("/v1/jobs").status_code == 401
    app.state.api.state.close()
