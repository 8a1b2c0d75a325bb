"""Where faces are in a video, by whichever model looked for them most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.insertion import Faces
from framehouse.results.findings import input_digest
from framehouse.results.records.boxes import Detections
from framehouse.results.records.gazes import Gazes
from framehouse.store.archive import BOXES, Archive, ModelSeen, Video

CLASS_NAME = "face"


def faces_of(archive: Archive, video: Video, confidence: float) -> tuple[Faces | None, list[str]]:
    """Faces of a video from a confidence on, and [digest of the model, digest of its rows]; None where none looked.

    The models that look for faces: those of the slug `faces`, those that give looks, and any whose boxes are `face`.
    """
    model = next(_face_models(archive, video), None)
    if model is None:
        return None, []
    frames = archive.frames(model)
    rows = archive.rows(model)
    assert isinstance(rows, Detections | Gazes)
    keep = rows.confidence >= np.float32(confidence)
    if isinstance(rows, Detections):
        keep &= rows.class_name == CLASS_NAME
    centre, half = rows.xcycwh[keep, :2].astype(np.float64), rows.xcycwh[keep, 2:].astype(np.float64) / 2
    size = np.array([video.width, video.height] * 2, np.float64)
    faces = Faces(
        frames.time_offset_s[frames.loaded],
        frames.times_of(rows.frame_offset[keep]),
        np.concatenate([centre - half, centre + half], axis=1) / size,
    )
    return faces, [model.model_digest, input_digest(faces.seen_s, faces.time_s, faces.xyxy)]


def _face_models(archive: Archive, video: Video) -> Iterator[ModelSeen]:
    models = archive.models(video.video_id, (*BOXES, "gazes"))
    yield from (model for model in models if model.model_id.startswith("faces/"))
    yield from (model for model in models if model.kind == "gazes")
    yield from (model for model in models if _has_faces(archive, model))


def _has_faces(archive: Archive, model: ModelSeen) -> bool:
    if model.kind not in BOXES:
        return False
    names: NDArray[np.object_] = archive.boxes(model).class_name
    return bool((names == CLASS_NAME).any())
