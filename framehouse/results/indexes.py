"""Container indexes kept in the lake, so that a retry or another model does not read the container again."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from framehouse.errors import ResultsError
from framehouse.results.lake import Lake
from framehouse.video.index import StreamFacts, VideoIndex

_VERSION = 1


def index_path(lake: Lake, video_id: str) -> Path:
    """File of a video's index."""
    return lake.root / "videos" / f"{video_id}.index.npz"


def write_index(lake: Lake, video_id: str, index: VideoIndex) -> None:
    """Store when each frame of a video is shown. Raises StoreError `store.disk_full`."""
    stream = index.stream
    facts = {
        "version": _VERSION,
        "container": stream.container,
        "codec": stream.codec,
        "width": stream.width,
        "height": stream.height,
        "rotation_deg": stream.rotation_deg,
        "time_base": str(stream.time_base),
        "timing": stream.timing,
        "damage": list(index.damage),
        "recorded_at": index.recorded_at,
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
        pts=index.pts,
        is_key=index.is_key,
        packet=index.packet,
    )
    lake.write_bytes(index_path(lake, video_id), buffer.getvalue())


def read_index(lake: Lake, video_id: str) -> VideoIndex:
    """The stored index of a video.

    Raises:
        ResultsError: `results.unreadable`, not there or damaged; probing the video again makes it anew.
    """
    path = index_path(lake, video_id)
    try:
        content = lake.read_bytes(path)
        if content is None:
            raise FileNotFoundError(path)
        with np.load(io.BytesIO(content)) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            stream = StreamFacts(
                facts["container"],
                facts["codec"],
                facts["width"],
                facts["height"],
                facts["rotation_deg"],
                Fraction(facts["time_base"]),
                facts["timing"],
            )
            return VideoIndex(
                stream, arrays["pts"], arrays["is_key"], tuple(facts["damage"]), facts["recorded_at"], arrays["packet"]
            )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ResultsError(f"the index {path.name} cannot be read", code="results.unreadable") from error
