"""The HTTP server on a real socket, in this process, with no engine behind it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from framehouse.api.app import create_app
from framehouse.config import Settings
from framehouse.state.keys import Keys


@dataclass
class Served:
    """A running server; `ask` is one request with a key."""

    url: str
    settings: Settings
    keys: Keys
    state: Any

    def ask(self, method: str, path: str, key: str = "any", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} | options.pop("headers", {})
        return httpx.request(method, self.url + path, headers=headers, timeout=20, **options)

    def promise(self, name: str = "v.mp4", key: str = "any") -> str:
        answer = self.ask("POST", "/video_upload_signed_url", key, json={"file_name": name})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["signed_url"])

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in (self.settings.home / "uploads").rglob("*") if path.is_file())


@contextmanager
def serving(settings: Settings) -> Iterator[Served]:
    app = create_app(settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)  # streams have no end
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        api = app.state.api
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", settings, api.keys, api.state)
        server.should_exit = True
        thread.join()
        api.state.close()
        api.media.close()


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])
