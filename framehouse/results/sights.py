"""What a video looks and sounds like, kept in the lake: decoded once, asked again with other parameters::

looks/<video_id>.npz
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framehouse.results.lake import Lake
from framehouse.video.looks import VERSION, Looks
from framehouse.video.loudness import Loudness

_LOOKS = ("frame_offset", "time_s", "thumbs", "change", "ratio")


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Looks and loudness of a video; `fps`: how many frames of each second were looked at, "all" or a number."""

    looks: Looks
    loudness: Loudness
    fps: str


def sight_path(lake: Lake, video_id: str) -> Path:
    """File of a video's sight."""
    return lake.root / "looks" / f"{video_id}.npz"


def write_sight(lake: Lake, video_id: str, sight: Sight) -> None:
    """Store it; replaces the earlier one. Raises StoreError `store.disk_full`."""
    sink = io.BytesIO()
    looks = sight.looks
    np.savez_compressed(
        sink, version=np.int64(VERSION), fps=np.array(sight.fps), end_s=np.float64(looks.end_s),
        gaps=np.array(looks.gaps, np.float64).reshape(-1, 2), level_db=sight.loudness.level_db,
        **{name: getattr(looks, name) for name in _LOOKS},
    )  # fmt: skip
    lake.write_bytes(sight_path(lake, video_id), sink.getvalue())


def read_sight(lake: Lake, video_id: str) -> Sight | None:
    """What was kept; None where nothing was, or by another version, or where it is damaged: then it is made again."""
    content = lake.read_bytes(sight_path(lake, video_id))
    if content is None:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            if int(kept["version"]) != VERSION:
                return None
            gaps = tuple((float(first), float(end)) for first, end in kept["gaps"])
            arrays = {name: kept[name] for name in _LOOKS}
            looks = Looks(**arrays, gaps=gaps, end_s=float(kept["end_s"]))
            return Sight(looks, Loudness(kept["level_db"]), str(kept["fps"]))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None
