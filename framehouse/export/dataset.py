"""What the label formats share: pictures are numbered once for all models, and each model is a dataset of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.export.objects import KINDS, Objects, read_objects
from framehouse.export.selection import Seen, Use, Video, Wanted, find_uses, find_videos, frames_seen


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The pictures of one video: every frame that one of the models saw.

    Args:
        video: whose.
        frame_offset: int64 [F], strictly increasing.
        time_offset_s: float64 [F].
        first_id: number of the first picture; the others follow.
    """

    video: Video
    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    first_id: int

    def picture_ids(self, frame_offset: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the picture of each of these frames, which must be among them."""
        return self.first_id + np.searchsorted(self.frame_offset, frame_offset)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What one model saw in some videos.

    Args:
        model_id: slug/version.
        labels: its class names by id; empty when unknown.
        videos: frames and use of each video, by video_id, with what the model saw of it.
    """

    model_id: str
    labels: tuple[str, ...]
    videos: tuple[tuple[Frames, Use, Seen], ...]

    @property
    def name(self) -> str:
        """As part of a path: `detector-1`."""
        return self.model_id.replace("/", "-")

    @property
    def kind(self) -> str:
        """Kind of its rows."""
        return self.videos[0][1].kind

    @property
    def n_frames(self) -> int:
        """Pictures that it has."""
        return sum(len(seen.frame_offset) for _, _, seen in self.videos)

    @property
    def n_gaps(self) -> int:
        """Frames that it was to see and did not: they are no pictures of it."""
        return sum(seen.n_gaps for _, _, seen in self.videos)

    def objects(self, connection: Any, wanted: Wanted) -> Iterator[tuple[Frames, Seen, Objects]]:
        """What it saw, video by video."""
        for frames, use, seen in self.videos:
            yield frames, seen, read_objects(connection, use, seen, wanted)


def find_datasets(
    connection: Any, wanted: Wanted, labels: Mapping[str, Sequence[str]]
) -> tuple[list[Frames], list[Dataset]]:
    """Every picture, by video and time, and one dataset for each model that has boxes.

    Args:
        labels: class names by id of the models that are known here, by model_id.

    Raises:
        ConfigError: code `config.nothing_to_export`, none has; else as `selection.find_videos`, `find_uses`.
        JobNotFound: as `find_videos`.
    """
    videos = find_videos(connection, wanted)
    found = find_uses(connection, wanted, videos)
    uses = [use for use in found if use.kind in KINDS]
    if not uses:
        raise ConfigError(
            f"{', '.join(sorted({use.model_id for use in found}))}: no boxes in what these give",
            code="config.nothing_to_export",
            hint="classes and vectors go to --format parquet or csv",
        )
    seen = {use: frames_seen(connection, use, wanted.job_id) for use in uses}
    frames = _number(videos, seen)
    datasets = [
        Dataset(
            model_id,
            tuple(labels.get(model_id, ())),
            tuple((frames[use.video_id], use, seen[use]) for use in uses if use.model_id == model_id),
        )
        for model_id in dict.fromkeys(use.model_id for use in uses)
    ]
    return list(frames.values()), datasets


def _number(videos: Sequence[Video], seen: Mapping[Use, Seen]) -> dict[str, Frames]:
    """The pictures of each video, numbered from 1 on."""
    numbered: dict[str, Frames] = {}
    first_id = 1
    for video in videos:
        own = [part for use, part in seen.items() if use.video_id == video.video_id]
        if not own:
            continue
        offsets, at = np.unique(np.concatenate([part.frame_offset for part in own]), return_index=True)
        times = np.concatenate([part.time_offset_s for part in own])[at]
        numbered[video.video_id] = Frames(video, offsets, times, first_id)
        first_id += len(offsets)
    return numbered


def picture_name(video_id: str, frame_offset: int) -> str:
    """File name of a picture without its ending; sorts by time.

    >>> picture_name("v_0", 42)
    'v_0-00000042'
    """
    return f"{video_id}-{frame_offset:08d}"
