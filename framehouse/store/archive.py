"""The archive as analytics reads it: rows of one video out of one snapshot, as struct of arrays.

with open_archive(store_dir) as archive:
    video = archive.video(video_id)
    model = archive.model(video_id, "detector", kinds=BOXES)
    frames = archive.frames(model)
    boxes = archive.boxes(model, confidence=0.4, classes=("person",))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import duckdb
import numpy as np
from numpy.typing import NDArray

from framehouse.errors import SourceNotFound, StoreError
from framehouse.results.contract import FrameRows
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.records.boxes import Detections
from framehouse.store.connection import DEFAULT_MEMORY, fetch, reading, script
from framehouse.store.migrate import check_version
from framehouse.store.rows import read_rows

BOXES = ("detections", "segmentations", "keypoints")
"""Kinds of rows that are objects with a box."""


@dataclass(frozen=True, slots=True)
class Video:
    """A video of the archive. `width`, `height`: upright, pixels; `uris`: places where it lies now.

    `video_fps`: frames per second, NaN for one frame.
    """

    video_id: str
    width: int
    height: int
    duration_s: float
    n_frames: int
    video_fps: float
    uris: tuple[str, ...]

    @property
    def name(self) -> str:
        """What people call it: the last part of where it lies, else its id."""
        if not self.uris:
            return self.video_id
        last = self.uris[0].rstrip("/").rsplit("/", 1)[-1]
        return unquote(last) if self.uris[0].startswith("file:") else last


@dataclass(frozen=True, slots=True)
class ModelSeen:
    """What one model digest did with one video. `kind`: of its rows, a key of `KINDS`."""

    video_id: str
    model_id: str
    model_digest: str
    kind: str
    n_loaded: int
    n_gaps: int


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The ledger of one model in one video, by frame.

    Args:
        frame_offset: int64 [F], strictly increasing.
        time_offset_s: float64 [F], seconds after the first frame.
        loaded: bool [F]: the model answered, also when it found nothing; else a gap, which says nothing.
        gap_reason: object [F] of str, "" where loaded.
    """

    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    loaded: NDArray[np.bool_]
    gap_reason: NDArray[np.object_]

    def __len__(self) -> int:
        return int(self.frame_offset.size)

    def times_of(self, frame_offset: NDArray[np.int64]) -> NDArray[np.float64]:
        """Seconds of frames of this ledger, float64 like the argument; raises IndexError for a frame beyond it."""
        return self.time_offset_s[np.searchsorted(self.frame_offset, frame_offset)]


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Objects of one model in one video, ordered by frame, then by falling confidence.

    Args:
        frame_offset: int64 [N].
        time_offset_s: float64 [N], seconds after the first frame.
        detection_id: int64 [N], index in the frame among all stored ones, as in the table.
        class_name: object [N] of str.
        confidence: float32 [N].
        xyxy: float32 [N, 4], left, top, right, bottom; pixels of the upright frame; may reach beyond it.
    """

    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    detection_id: NDArray[np.int64]
    class_name: NDArray[np.object_]
    confidence: NDArray[np.float32]
    xyxy: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.frame_offset.size)

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Only the rows marked in a bool [N]."""
        return type(self)(*(getattr(self, field.name)[keep] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Archive:
    """Reads one snapshot. Everything comes from the same state of the tables, whatever is published meanwhile.

    `lake`: for uses that ask for more than rows (`results.sights`); None where it is not at hand.
    """

    connection: duckdb.DuckDBPyConnection
    lake: Lake | None = None

    def video_ids(self) -> list[str]:
        """Every video that some model has seen, by place, then id."""
        rows = fetch(self.connection, script("reads/video_ids.sql"))
        return [str(row[0]) for row in rows]

    def video(self, video_id: str) -> Video:
        """Its facts.

        Raises:
            SourceNotFound: the snapshot does not hold it.
        """
        rows = fetch(self.connection, script("reads/video.sql"), [video_id])
        if not rows:
            raise SourceNotFound(f"{video_id}: no such video was run", hint="see: framehouse videos list")
        width, height, duration_s, n_frames, fps, uris = rows[0]
        return Video(video_id, width, height, duration_s, n_frames, np.nan if fps is None else fps, tuple(uris))

    def models(self, video_id: str, kinds: Sequence[str] = ()) -> list[ModelSeen]:
        """Models that saw a video (and give these kinds of rows): those with most answered frames first."""
        rows = fetch(self.connection, script("reads/models.sql"), [video_id])
        found = [ModelSeen(video_id, *row) for row in rows]
        return [model for model in found if not kinds or model.kind in kinds]

    def model(self, video_id: str, wanted: str = "", kinds: Sequence[str] = ()) -> ModelSeen:
        """The model meant by `detector`, `detector/1`, a model digest, or "" for any of these kinds.

        Of several, plain detections come before other kinds, then the one with most answered frames.

        Raises:
            StoreError: code `store.no_rows`, no such model saw the video.
        """
        fitting = [
            model
            for model in self.models(video_id, kinds)
            if wanted in ("", model.model_id, model.model_digest) or model.model_id.startswith(f"{wanted}/")
        ]
        if not fitting:
            asked = wanted or " or ".join(kinds) or "any model"
            raise StoreError(
                f"{video_id} has no rows of {asked}", code="store.no_rows", video_id=video_id,
                hint=f"run it first: framehouse run FILE --model {wanted or 'detector'}",
            )  # fmt: skip
        return min(fitting, key=lambda model: model.kind != "detections")

    def frames(self, model: ModelSeen) -> Frames:
        """What the model was asked about in its video, and where it answered."""
        found = self.connection.execute(script("reads/frames.sql"), [model.video_id, model.model_digest]).fetchnumpy()
        reasons = [reason or "" for reason in found["gap_reason"].tolist()]
        return Frames(
            np.asarray(found["frame_offset"]).astype(np.int64),
            np.asarray(found["time_offset_s"]).astype(np.float64),
            np.asarray(found["loaded"]).astype(np.bool_),
            np.array(reasons, np.object_).reshape(len(reasons)),
        )

    def rows(self, model: ModelSeen) -> FrameRows:
        """All its rows in its video as the record of their kind (`results.records`): Gazes, Texts, Embeddings …

        Times: `archive.frames(model).times_of(rows.frame_offset)`.
        """
        return read_rows(self.connection, model.kind, model.video_id, model.model_digest)

    def boxes(self, model: ModelSeen, *, confidence: float = 0.0, classes: Sequence[str] = ()) -> Boxes:
        """Its objects from a confidence on (of some classes; none named: of all).

        Raises:
            StoreError: code `store.no_rows`, its rows are no objects.
        """
        record = KINDS[model.kind]
        if not issubclass(record, Detections):
            raise StoreError(f"{model.model_id} gives {model.kind}, no boxes", code="store.no_rows")
        rows = self.rows(model)
        assert isinstance(rows, Detections)
        centre, half = rows.xcycwh[:, :2], rows.xcycwh[:, 2:] / 2
        everything = Boxes(
            rows.frame_offset,
            self.frames(model).times_of(rows.frame_offset),
            index_in_frame(rows.frame_offset),
            rows.class_name,
            rows.confidence,
            np.concatenate([centre - half, centre + half], axis=1),
        )
        wanted = rows.confidence >= np.float32(confidence)
        return everything.where(wanted & np.isin(rows.class_name, list(classes)) if classes else wanted)


def index_in_frame(frame_offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of each row among those of its frame, for rows ordered by frame: int64 [N].

    >>> index_in_frame(np.array([3, 3, 7, 7, 7])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(frame_offset.size, dtype=np.int64) - np.searchsorted(frame_offset, frame_offset)


@contextmanager
def open_archive(store_dir: Path, *, memory: str = DEFAULT_MEMORY, lake: Lake | None = None) -> Iterator[Archive]:
    """The published snapshot as an archive, with the lake where uses need more than rows.

    Raises:
        StoreError: nothing to read, see `connection.reading`.
        MigrationError: the snapshot is of a later release.
    """
    with reading(store_dir, memory=memory) as connection:
        check_version(connection)
        yield Archive(connection, lake)
