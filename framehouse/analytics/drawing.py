"""Rows of the archive as what is drawn or covered: which model sees what, where, and in which frames it was asked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError, StoreError
from framehouse.render.obscure import Style
from framehouse.render.overlay import Inferred
from framehouse.render.redact import Source, Wish
from framehouse.render.regions import Samples
from framehouse.render.tracklets import Sightings
from framehouse.results.contract import FrameRows, time_offsets_s
from framehouse.results.kinds import KINDS
from framehouse.results.records.boxes import Detections, Segmentations
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts
from framehouse.store.archive import BOXES, Archive, ModelSeen
from framehouse.video.index import VideoIndex

TEXT, FACE = "text", "face"
_ALWAYS = {"texts": (TEXT,), "gazes": (FACE,)}
"""What rows of a kind without classes are rows of."""

Labels = Mapping[str, Sequence[str]]
"""Class names of the installed models by model digest."""


def wishes(
    archive: Archive,
    video_id: str,
    classes: Sequence[str],
    labels: Labels,
    *,
    style: Style | None = None,
    confidence: float = 0.0,
) -> list[Wish]:
    """What is to be covered of some classes, by every model of the video that can see them.

    Args:
        style: None covers text solid, since letters can be guessed from their mean colours, and pixelates the rest.
        confidence: rows below it are not taken for sightings.

    Raises:
        ConfigError: code `config.unknown_class`, no model, installed or run, knows a class of this name.
    """
    seen = [(model, known_classes(archive, model, labels)) for model in archive.models(video_id)]
    known = {name for names in (*labels.values(), *_ALWAYS.values(), *(names for _, names in seen)) for name in names}
    found = []
    for what in dict.fromkeys(classes):
        if what not in known:
            near = difflib.get_close_matches(what, sorted(known), 3)
            raise ConfigError(
                f"no model knows the class {what}", code="config.unknown_class",
                hint=f"did you mean {' or '.join(near)}?" if near else "see: framehouse models show detector",
            )  # fmt: skip
        sources = tuple(source(archive, model, what, confidence) for model, names in seen if what in names)
        found.append(Wish(what, style or ("solid" if what == TEXT else "pixelate"), sources))
    return found


def known_classes(archive: Archive, model: ModelSeen, labels: Labels) -> set[str]:
    """Classes that a model can see; of one that is not installed any more, those that it saw in this video."""
    if model.kind in _ALWAYS:
        return set(_ALWAYS[model.kind])
    if model.kind not in BOXES:
        return set()
    if model.model_digest in labels:
        return set(labels[model.model_digest])
    return set(archive.boxes(model).class_name.tolist())


def source(archive: Archive, model: ModelSeen, what: str, confidence: float) -> Source:
    """Where a model saw things of one class, and in which frames it was asked."""
    frames, rows = archive.frames(model), archive.rows(model)
    samples = Samples(frames.frame_offset, frames.loaded, frames.gap_reason)
    return Source(model.model_id, model.model_digest, sightings(rows, what, confidence), samples)


def sightings(rows: FrameRows, what: str, confidence: float) -> Sightings:
    """Rows of one class from a confidence on, as boxes; rows of a kind without boxes are none."""
    if not isinstance(rows, Detections | Gazes | Texts):
        rows = Detections.empty()
    keep = rows.confidence >= np.float32(confidence)
    if isinstance(rows, Detections):
        keep &= rows.class_name == what
    masks: NDArray[np.object_] = np.full(len(rows), "", np.object_)
    if isinstance(rows, Segmentations):
        masks = rows.mask
    centre, half = rows.xcycwh[keep, :2], rows.xcycwh[keep, 2:] / 2
    return Sightings(
        rows.frame_offset[keep], np.concatenate([centre - half, centre + half], axis=1), rows.confidence[keep],
        masks[keep],
    )  # fmt: skip


def layer(archive: Archive, video_id: str, wanted: str) -> ModelSeen:
    """The model meant by `detector`, `detector/1` or a digest whose rows can be drawn; "": detections if there are any.

    Raises:
        ConfigError: code `config.nothing_to_draw`, no such model saw the video.
    """
    drawable = [kind for kind in KINDS if kind != "embeddings"]
    try:
        return archive.model(video_id, wanted, drawable)
    except StoreError as error:
        raise ConfigError(
            f"{video_id} has nothing that can be drawn" + (f" of {wanted}" if wanted else ""),
            code="config.nothing_to_draw", hint="run it first: framehouse run FILE",
        ) from error  # fmt: skip


def inferred(archive: Archive, model: ModelSeen, index: VideoIndex, confidence: float) -> Inferred:
    """What a model said, from a confidence on where its rows have one."""
    frames, rows = archive.frames(model), archive.rows(model)
    sure = rows.arrays().get("confidence")
    kept = rows if sure is None else rows.where(sure >= np.float32(confidence))
    return Inferred(frames.frame_offset, index.pts[frames.frame_offset], frames.loaded, kept)


def seconds(index: VideoIndex) -> NDArray[np.float64]:
    """Time of every frame, float64 [N], seconds after the first."""
    return time_offsets_s(index.pts, int(index.pts[0]), index.stream.time_base)
