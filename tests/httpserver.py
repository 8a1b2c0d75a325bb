"""A small web server on 127.0.0.1 that misbehaves as told, one `mode` at a time.

Modes: ok, no_range, no_validator, chunked, 404, 403, 503, redirect, redirect_loop, redirect_to, stall, early_end_once,
early_end_always, changed_midway, changed_midway_ignores_if_range, wrong_length, gzip. HEAD is
refused, as signed URLs do.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

LAST_MODIFIED = "Mon, 02 Nov 2026 10:00:00 GMT"


@dataclass
class Site:
    """What is served, and what was asked."""

    content: bytes
    mode: str = "ok"
    etag: str = '"one"'
    next_content: bytes = b""
    location: str = ""
    reason: bytes = b""  # body of a mode that is a status
    requests: list[dict[str, str]] = field(default_factory=list)
    n_sent: int = 0
    port: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def url(self, name: str = "video.mp4", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{quote(name)}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *_args: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(405)

    def do_GET(self) -> None:
        site = self.site
        site.requests.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        if site.mode.isdecimal():
            self._answer(int(site.mode), body=site.reason)
        elif site.mode == "redirect" and not self.path.startswith("/final"):
            self._answer(302, {"Location": "/final.mp4?signature=secret"})
        elif site.mode == "redirect_loop":
            self._answer(302, {"Location": self.path})
        elif site.mode == "redirect_to" and site.location not in (
            self.path,
            f"http://{self.headers['Host']}{self.path}",
        ):
            self._answer(302, {"Location": site.location})
        else:
            self._serve()

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(body)

    def _send(self, body: bytes) -> None:
        self.wfile.write(body)
        self.site.n_sent += len(body)

    def _serve(self) -> None:
        site, content = self.site, self.site.content
        validators = {} if site.mode == "no_validator" else {"ETag": site.etag, "Last-Modified": LAST_MODIFIED}
        if "ETag" in validators and self.headers.get("If-None-Match") == site.etag:
            self.send_response(304)
            self.end_headers()
            return
        start = self._start(content)
        if start is not None and start >= len(content):
            self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        if site.mode == "chunked":
            self._serve_chunked(content)
            return
        end = len(content)
        if self.headers.get("Range", "").endswith("-0"):
            end = 1 if start is not None else end
        body = content[start or 0 : end]
        self.send_response(200 if start is None else 206)
        for name, value in validators.items():
            self.send_header(name, value)
        if site.mode == "gzip":
            self.send_header("Content-Encoding", "gzip")
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        extra = 100 if site.mode == "wrong_length" else 0
        self.send_header("Content-Length", str(len(body) + extra))
        self.end_headers()
        self._body(body)

    def _start(self, content: bytes) -> int | None:
        """First byte asked for, or None when the whole file is the answer."""
        asked = self.headers.get("Range")
        if asked is None or self.site.mode in ("no_range", "no_validator"):
            return None
        ignores = self.site.mode == "changed_midway_ignores_if_range"
        if not ignores and self.headers.get("If-Range") not in (None, self.site.etag, LAST_MODIFIED):
            return None
        return int(asked.removeprefix("bytes=").partition("-")[0])

    def _body(self, body: bytes) -> None:
        site, half = self.site, len(body) // 2
        if site.mode == "stall":
            self._send(body[:half])
            self.wfile.flush()
            site.release.wait(20)
            self.close_connection = True
        elif site.mode.startswith("early_end"):
            once = site.mode == "early_end_once"
            self._send(body[:half] if once else body[: len(site.content) // 10] if body == site.content else b"")
            site.mode = "ok" if once else site.mode
            self.close_connection = True
        elif site.mode.startswith("changed_midway") and site.next_content:
            self._send(body[:half])
            site.content, site.next_content, site.etag = site.next_content, b"", '"two"'
            self.close_connection = True
        else:
            self._send(body)
            self.close_connection = site.mode == "wrong_length"

    def _serve_chunked(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(content), 50_000):
            piece = content[at : at + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: object) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def serve(content: bytes, mode: str = "ok", tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve `content` under every path until the block ends."""
    site = Site(content, mode)
    handler = type("Handler", (_Handler,), {"site": site})
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.release.set()
            server.shutdown()
            thread.join()
