"""Videos to look at: where the file is, the picture of a frame, and what a browser can play.

Everything that touches the bytes of a video runs in a process apart. What is made lies under `cache/media/<video_id>/`
and is made again when it is gone.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import structlog

from framehouse import ids
from framehouse.apart import Apart, Tell
from framehouse.config import Settings
from framehouse.errors import FramehouseError, NoRoom, ResultsError, SourceNotFound, TooMany
from framehouse.render.proxy import make_proxy
from framehouse.render.stills import FULL, as_jpeg, frame_at, still
from framehouse.results.files import make_folder, write_whole
from framehouse.results.indexes import read_index
from framehouse.results.opening import open_lake
from framehouse.storage.local import uri_path
from framehouse.store.query import run_query
from framehouse.video.encode import first_second
from framehouse.video.index import VideoIndex
from framehouse.video.playing import player_facts, why_not_played
from framehouse.video.probe import probe

log = structlog.get_logger(__name__)

State = Literal["original", "proxy", "making", "none", "failed"]
_PROXIES_AT_ONCE = 1
_PROXIES_WAITING = 20
_PROXY_STALL_S = 120.0
_TOUCH_EVERY_S = 600.0
_PLACES = """
SELECT v.size_bytes, l.uri
FROM videos v LEFT JOIN video_locations l USING (video_id)
WHERE v.video_id = $video_id
ORDER BY l.gone_at IS NOT NULL, l.uri
"""


@dataclass(frozen=True, slots=True)
class Player:
    """What a browser may play of a video.

    Attributes:
        state: "original": the file itself; "proxy": a copy is ready; "making": it is being made, or waits for its turn;
            "none": a copy is needed and nobody asked for it yet; "failed": it could not be made, `reason` says why.
        path: of the file to serve; None while there is none.
        media_type: MIME type to serve it as.
        reason: why the browser does not get the original; empty when it does.
        share: of a copy that is being made, 0..1.
        first_s: time of the first frame on the player's clock (`mediaTime`): add it to `frames.time_offset_s`.
    """

    state: State
    path: Path | None
    media_type: str
    reason: str
    share: float
    first_s: float


@dataclass(slots=True)
class _Making:
    """A proxy that was asked for."""

    n_frames: int
    n_done: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class _Task:
    """What the process apart is told. `frame` is a frame_offset or seconds; `side` 0: no picture, a proxy."""

    source: Path
    out: Path
    lake_place: tuple[str, Path]
    video_id: str
    max_pixels: int
    frame: int | float = 0
    side: int = FULL
    threads: int = 1


@dataclass(slots=True)
class Media:
    """Stills and players of one server process. Thread-safe; `close` ends what is being made."""

    settings: Settings
    _stills: Apart = field(default_factory=Apart)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _making: dict[str, _Making] = field(default_factory=dict)
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_PROXIES_AT_ONCE))
    _proxies: set[Apart] = field(default_factory=set)
    _known: dict[str, Player] = field(default_factory=dict)

    def still(self, video_id: str, frame: int | float, *, side: int = FULL) -> Path:
        """A JPEG of one frame, made now or before.

        Args:
            frame: an int is a frame_offset, a float seconds after the first frame (the nearest frame is taken).
            side: neither side is longer.

        Raises:
            SourceNotFound: the video is not known, or its file is not on this machine.
            MediaError: `media.no_such_frame`, `media.frame_gap`, or the file cannot be read (any more).
        """
        name = f"{frame}" if isinstance(frame, int) else f"at{frame:.4f}"
        out = self._folder(video_id) / "stills" / f"{name}-{side}.jpg"
        if not out.is_file():
            self._stills.do(_write_still, replace(self._task(video_id, out), frame=frame, side=side))
        self._used(video_id)
        return out

    def player(self, video_id: str) -> Player:
        """What a browser may play now; nothing is made. Raises SourceNotFound, MediaError."""
        original = self._known.get(video_id) or self._stills.do(_look, self._task(video_id, Path()))
        self._known[video_id] = original
        if original.state == "original":
            self._used(video_id)
            return replace(original, path=local_file(self.settings, video_id))
        proxy = self._folder(video_id) / "proxy.mp4"
        if proxy.is_file():
            self._used(video_id)
            return replace(original, state="proxy", path=proxy, media_type="video/mp4")
        with self._lock:
            making = self._making.get(video_id)
            if making is None:
                return original
            if making.failure:
                return replace(original, state="failed", reason=f"{original.reason}; {making.failure}")
            return replace(original, state="making", share=making.n_done / max(1, making.n_frames))

    def make(self, video_id: str) -> Player:
        """Begin to make the proxy of a video that needs one; `player` says how far it is. Asking again is harmless.

        Raises:
            NoRoom: the disk is below its floor.
            TooMany: code `api.busy`, too many proxies wait already.
            SourceNotFound, MediaError: as `player`.
        """
        player = self.player(video_id)
        if player.state not in ("none", "failed"):
            return player
        task = self._task(video_id, self._folder(video_id) / "proxy.mp4")
        if short := self.settings.room.shortage(task.source.stat().st_size):
            raise NoRoom(f"no room for a copy: {short}")
        with self._lock:
            waiting = [name for name, making in self._making.items() if not making.failure]
            if video_id not in waiting:
                if len(waiting) > _PROXIES_WAITING:
                    raise TooMany("too many copies wait to be made", code="api.busy", hint="ask again in a moment")
                self._making[video_id] = making = _Making(1)
                threading.Thread(target=self._make, args=(task, making), name=f"proxy-{video_id}", daemon=True).start()
        return self.player(video_id)

    def close(self) -> None:
        """End the processes, also in the midst of work."""
        self._stills.close()
        with self._lock:
            proxies = list(self._proxies)
        for proxy in proxies:
            proxy.close()

    def _make(self, task: _Task, making: _Making) -> None:
        """Be the thread of a proxy."""

        def tell(n: int) -> None:
            if n < 0:
                making.n_frames = -n
            else:
                making.n_done = n

        apart = Apart(stall_s=_PROXY_STALL_S)
        with self._lock:
            self._proxies.add(apart)
        try:
            with self._turn:
                apart.do(_write_proxy, task, tell)
        except (FramehouseError, RuntimeError) as error:
            making.failure = error.line() if isinstance(error, FramehouseError) else str(error)
            log.warning("proxy not made", video_id=task.video_id, error=making.failure)
        finally:
            apart.close()
            with self._lock:
                self._proxies.discard(apart)
                if not making.failure:
                    self._making.pop(task.video_id, None)

    def _task(self, video_id: str, out: Path) -> _Task:
        settings = self.settings
        source = local_file(settings, video_id)
        threads = min(4, os.cpu_count() or 1)
        return _Task(source, out, settings.lake_place, video_id, settings.source.max_pixels, threads=threads)

    def _folder(self, video_id: str) -> Path:
        return self.settings.media_dir / video_id

    def _used(self, video_id: str) -> None:
        folder, now = self._folder(video_id), time.time()
        with suppress(FileNotFoundError):
            if now - folder.stat().st_mtime > _TOUCH_EVERY_S:
                os.utime(folder)


# --- in the process apart ---


def _write_still(task: _Task, _tell: Tell) -> None:
    index = _index(task)
    frame = task.frame if isinstance(task.frame, int) else frame_at(index, task.frame)
    write_whole(task.out, as_jpeg(still(task.source, index, frame, side=task.side)))


def _write_proxy(task: _Task, tell: Tell) -> None:
    index = _index(task)
    tell(-index.n_frames)
    make_folder(task.out.parent)
    make_proxy(task.source, index, task.out, threads=task.threads, progress=tell)


def _look(task: _Task, _tell: Tell) -> Player:
    index = _index(task)
    facts = player_facts(task.source, index.stream)
    reason = why_not_played(facts)
    first_s = first_second(task.source, index) if reason else float(int(index.pts[0]) * index.stream.time_base)
    return Player("none" if reason else "original", None, facts.media_type, reason, 0.0, first_s)


def _index(task: _Task) -> VideoIndex:
    """As the lake has it, else read from the file."""
    try:
        return read_index(open_lake(*task.lake_place), task.video_id)
    except ResultsError:
        return probe(task.source, max_pixels=task.max_pixels)


# --- the file ---


def local_file(settings: Settings, video_id: str, named: str = "") -> Path:
    """A file of this machine with exactly this content: the one named, one where it was seen, uploaded or downloaded.

    A file is hashed once; after that its size and time of change tell that it is the same.

    Args:
        named: a path or `file://` URI to try first.

    Raises:
        SourceNotFound: the video is not known, or none of its files is left.
    """
    rows = run_query(
        settings.store_dir, _PLACES, params={"video_id": video_id}, memory=settings.store.query_memory
    ).rows()
    if not rows:
        raise SourceNotFound(f"{video_id}: no such video was run", hint="see: framehouse videos list")
    proofs = settings.media_dir / video_id / "proof.json"
    size_bytes, proven = int(rows[0][0]), _read_proof(proofs)
    for path in _places(settings, video_id, [named, *(str(row[1] or "") for row in rows)]):
        facts = _facts(path)
        if facts is None or facts["size_bytes"] != size_bytes:
            continue
        if facts == proven:
            return path
        if ids.video_id(ids.content_sha256(path)) == video_id:
            write_whole(proofs, json.dumps(facts).encode())
            return path
    raise SourceNotFound(
        f"{video_id}: its file is not on this machine any more",
        hint="put it back, or name the file itself where a command takes one", video_id=video_id,
    )  # fmt: skip


def _places(settings: Settings, video_id: str, uris: list[str]) -> Iterator[Path]:
    for uri in uris:
        if uri and ("://" not in uri or uri.startswith("file://")):
            yield uri_path(uri)
    yield from sorted(settings.fetch_dir.glob(f"{video_id}*"))
    yield from sorted(settings.upload_dir.glob("u_*/[!.]*"))


def _facts(path: Path) -> dict[str, Any] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    if not path.is_file():
        return None
    return {
        "path": str(path), "size_bytes": found.st_size, "modified_ns": found.st_mtime_ns, "inode": found.st_ino,
    }  # fmt: skip


def _read_proof(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found
