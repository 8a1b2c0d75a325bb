"""A gate before a real store's server: lets every request through, or refuses, slows down or breaks off as told.

So the same tests of throttling, missing permission and broken connections hold for all stores, over the servers' own
answers to everything else.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE_BYTES = 64 * 1024
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}


@dataclass
class Refusal:
    """An answer that the store itself would give."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Gate:
    """What passes.

    Attributes:
        backend: port of the server behind.
        refusal: what the next `n_refused` requests get; -1 refuses all.
        cut_bytes: the next body of an answer ends after so many bytes, and the connection with it.
        aside: paths of requests that always pass and are not counted.
        on_request: called with method and path before a request passes.
    """

    backend: int = 0
    port: int = 0
    refusal: Refusal | None = None
    n_refused: int = 0
    cut_bytes: int | None = None
    aside: re.Pattern[str] = re.compile(r"$^")
    on_request: Callable[[str, str], None] = lambda _method, _path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    n_sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refuse(self, refusal: Refusal, n: int = -1) -> None:
        """The next n requests get this answer."""
        self.refusal, self.n_refused = refusal, n

    def open(self) -> None:
        """Everything passes again; what was counted is forgotten."""
        self.refusal, self.n_refused, self.cut_bytes, self.n_sent = None, 0, None, 0
        self.on_request = lambda _method, _path: None
        self.requests.clear()

    def take_refusal(self) -> Refusal | None:
        with self.lock:
            if self.n_refused == 0:
                return None
            self.n_refused -= self.n_refused > 0
            return self.refusal

    def take_cut(self) -> int | None:
        with self.lock:
            cut, self.cut_bytes = self.cut_bytes, None
            return cut


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate

    def log_message(self, *_args: object) -> None: ...

    def _pass(self) -> None:
        gate = self.gate
        if gate.aside.match(self.path):  # what an SDK asks beside, in a thread of its own
            self._forward()
            return
        if self.path == "/token":  # where a service account's signature becomes a token
            self._drop_body()
            self._answer(
                Refusal(200, b'{"access_token": "t", "expires_in": 3600}', {"Content-Type": "application/json"})
            )
            return
        gate.requests.append((self.command, self.path))
        gate.on_request(self.command, self.path)
        refusal = gate.take_refusal()
        if refusal is not None:
            self._drop_body()
            self._answer(refusal)
            return
        self._forward()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _pass  # noqa: N815

    def _answer(self, refusal: Refusal) -> None:
        self.send_response(refusal.status)
        for name, value in refusal.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(refusal.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(refusal.body)

    def _drop_body(self) -> None:
        for _ in self._body():
            pass

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, _PIECE_BYTES))
            left -= len(piece)
            yield piece

    def _forward(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.backend, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            for name, value in self.headers.items():
                if name.lower() not in _HOP_HEADERS | {"expect"}:
                    connection.putheader(name, value)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            for piece in self._body():
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                connection.send(b"0\r\n\r\n")
            self._relay(connection.getresponse())
        finally:
            connection.close()

    def _relay(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_HEADERS:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        is_long = response.length is None and not bodiless
        if is_long:  # the end of the connection ends it
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if bodiless:
            return
        cut = self.gate.take_cut() if self.command == "GET" else None
        sent = 0
        while piece := response.read(_PIECE_BYTES):
            if cut is not None and sent + len(piece) > cut:
                self.wfile.write(piece[: cut - sent])
                self.close_connection = True
                return
            self.wfile.write(piece)
            sent += len(piece)
            self.gate.n_sent += len(piece)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_args: object) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def gate() -> Iterator[Gate]:
    """A gate on a free port of the loopback address; name its `backend` before the first request."""
    opened = Gate()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"gate": opened}))
    opened.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
