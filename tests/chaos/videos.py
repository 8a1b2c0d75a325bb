"""The videos of a chaos run: short, each with its own content; some poisoned, some in a store that throttles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from media import B_FRAMES, CFR, OPEN_GOP, RECIPES, Recipe, damaged, no_video, sound_only, write

SOUND = (CFR, B_FRAMES, OPEN_GOP, RECIPES["vfr.mkv"], RECIPES["turned_90.mp4"])
LONG = Recipe("long", n_frames=400, rate=Fraction(10), gop=30)
"""Forty seconds in two chunks."""


@dataclass(frozen=True, slots=True)
class Videos:
    """Files in a folder; those in `far` are asked for through the throttling store."""

    folder: Path
    near: list[Path]
    far: list[Path]


def make_videos(folder: Path, n_videos: int) -> Videos:
    """Make so many files: one deadly, one hanging, one in ten damaged in some way, the others sound."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [_long(folder, "deadly", 1), _long(folder, "hanging", 2)][: max(0, n_videos - 1)]
    made += [_sound(folder, i) for i in range(len(made), n_videos)]
    for i in range(10, n_videos, 10):
        made[i] = _spoiled(folder, i, made[i])
    far = [path for i, path in enumerate(made) if i % 5 == 3]
    return Videos(folder, [path for path in made if path not in far], far)


def _sound(folder: Path, i: int) -> Path:
    recipe = SOUND[i % len(SOUND)]
    name = f"video {i:04d} ü{Path(recipe.name).suffix}"
    return write(folder, replace(recipe, name=name, first_number=17 * i))


def _long(folder: Path, what: str, i: int) -> Path:
    return write(folder, replace(LONG, name=f"{what}.mp4", first_number=60_000 + 1000 * i))


def _spoiled(folder: Path, i: int, sound: Path) -> Path:
    kind = (i // 10) % 5
    if kind == 0:
        target = sound_only(folder).rename(folder / f"video {i:04d} sound only.mp4")
    elif kind == 1:
        target = no_video(folder, "text").rename(folder / f"video {i:04d} text.mp4")
    else:
        target = damaged(sound, ("flip", "hole", "lost")[kind - 2], f"video {i:04d} damaged{sound.suffix}")
    sound.unlink(missing_ok=True)
    return target


@dataclass
class Store:
    """Serves a folder and refuses one in `refuses` requests, the first too: 503 and 429 in turns."""

    port: int = 0
    refuses: int = 3
    n_requests: int = 0
    n_refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: Path) -> str:
        return f"http://127.0.0.1:{self.port}/{quote(path.name)}"

    def refused(self) -> int | None:
        """Status of the refusal, or None."""
        with self.lock:
            self.n_requests += 1
            if self.n_requests % self.refuses != 1:
                return None
            self.n_refused += 1
            return 503 if self.n_refused % 2 else 429


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, store: Store, **kwargs: object) -> None:
        self.store = store
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def log_message(self, *_args: object) -> None: ...

    def do_GET(self) -> None:
        if (status := self.store.refused()) is not None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: object) -> None:
        """A client that is killed hangs up."""


@contextmanager
def throttling_store(folder: Path) -> Iterator[Store]:
    """Serve a folder over HTTP until the block ends."""
    store = Store()
    with _Server(("127.0.0.1", 0), partial(_Handler, store=store, directory=str(folder))) as server:
        store.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()
