"""Looking at videos whose file is at hand, so that scenes can be found in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from framehouse.config import Settings
from framehouse.errors import MediaError, SourceError
from framehouse.jobs.media import local_file
from framehouse.results.lake import Lake
from framehouse.results.sights import Sight, read_sight, write_sight
from framehouse.video.looks import look_at
from framehouse.video.loudness import listen
from framehouse.video.probe import probe
from framehouse.video.sampling import parse_infer_fps

log = structlog.get_logger(__name__)


def ensure_sight(
    settings: Settings,
    lake: Lake,
    video_id: str,
    *,
    named: str = "",
    fps: str = "",
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> str:
    """Have what a video looks and sounds like in the lake: kept from before, or decoded now.

    Args:
        named: a path to try first.
        fps: how many frames of each second to look at; "" takes what is kept, else all of them.
        progress: told (frames done, of how many).

    Returns:
        Why the video could not be looked at; "" when it is there.

    Raises:
        ConfigError: code `config.infer_fps`; StoreError `store.disk_full`.
    """
    wanted = parse_infer_fps(fps or "all")
    kept = read_sight(lake, video_id)
    if kept is not None and (not fps or kept.fps == str(wanted)):
        return ""
    try:
        path = local_file(settings, video_id, named)
        write_sight(lake, video_id, sight_of(path, fps or "all", settings.source.max_pixels, progress))
    except (SourceError, MediaError) as error:
        log.info("video not looked at", video_id=video_id, code=error.code)
        return error.message
    return ""


def sight_of(
    path: Path, fps: str, max_pixels: int, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Sight:
    """Decode a file's pictures and sound once. Raises MediaError, SourceNotFound, ConfigError as the parts do."""
    wanted = parse_infer_fps(fps)
    index = probe(path, max_pixels=max_pixels)
    total = index.n_frames if wanted == "all" else min(index.n_frames, int(index.duration_s * wanted) + 1)
    looks = look_at(path, index, wanted, progress=lambda done: progress(done, total))
    return Sight(looks, listen(path, index), str(wanted))
