"""What a script with nothing but HTTP does against the stack: upload, submit, wait, read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True)
class ApiClient:
    """One caller of the server at `url`."""

    url: str

    def get(self, path: str) -> Any:
        answer = httpx.get(self.url + path, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = httpx.post(self.url + path, json=body, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()

    def upload(self, path: Path) -> str:
        url = str(self.post("/video_upload_signed_url", {"file_name": path.name})["signed_url"])
        assert httpx.put(url, content=path.read_bytes(), timeout=60).is_success
        return url

    def infer(self, url: str, models: Sequence[str | dict[str, Any]], fps: float) -> str:
        wanted = [{"model_id": model, "model_version": "1"} if isinstance(model, str) else model for model in models]
        return str(self.post("/videoinfer", {"input_url": url, "infer_fps": fps, "models": wanted})["job_id"])

    def wait(self, job_id: str) -> dict[str, Any]:
        """The poll's body once the job is over."""
        deadline = time.monotonic() + PATIENCE_S
        while (body := self.get(f"/videoinfer?job_id={job_id}"))["status"] == 1:
            assert time.monotonic() < deadline, body
            time.sleep(0.3)
        return dict(body)

    def results(self, job_id: str) -> dict[str, Any]:
        body = self.wait(job_id)
        assert body["status"] == 0, body
        return dict(httpx.get(body["output_signed_url"], timeout=60).json())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@contextmanager
def web_server(folder: Path, host: str = "127.0.0.2") -> Iterator[str]:
    """A web server over a folder. The stack of the tests may fetch from 127.0.0.2 and from no other private address."""
    with ThreadingHTTPServer((host, 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()


def copy_of(original: Path, to: Path, note: str) -> Path:
    """An mp4 with the same pictures that is a video of its own: players pass over the box at its end."""
    box = (8 + len(note)).to_bytes(4, "big") + b"free" + note.encode()
    to.write_bytes(original.read_bytes() + box)
    return to
