"""Lines of text of one picture after the other (the pulled model `ocr`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.texts import Texts

VERSION: int = 1

_SAME_LINE = 0.5


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, the whole picture in its aspect, scaled down where large."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Texts:
    """Rows in the order in which they are read: lines from the top down, and what stands on one line from the left.

    Args:
        outputs: `texts` bytes or str [B, T], UTF-8; `scores` float32 [B, T], mean probability of the signs; `polygons`
            float32 [B, T, 4, 2], input pixels, clockwise from the first letter's top left; `count` int32 [B, 1], how
            many of the T rows are filled.
        spec: framing and confidence floor are used.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    Polygons are clipped to the picture; one that then has no area is dropped, as is a row below the floor.
    """
    count = required_output(outputs, "count", (frame_offset.size, 1))
    scores = required_output(outputs, "scores", (frame_offset.size, None))
    texts = required_output(outputs, "texts", scores.shape)
    polygons = required_output(outputs, "polygons", (*scores.shape, 4, 2))
    picture, place = np.nonzero(np.arange(scores.shape[1]) < count)
    confidence, found = scores[picture, place].astype(np.float32), polygons[picture, place]
    if count.sum() != picture.size or (count < 0).any():
        raise TensorMismatch("count outside the list", model=spec.model_id)
    if not (np.isfinite(found).all() and np.isfinite(confidence).all()):
        raise TensorMismatch("a corner or score is not finite", model=spec.model_id)
    polygon = spec.framing.to_source(found, source_size).clip(0, source_size).astype(np.float32)
    low, high = polygon.min(axis=1), polygon.max(axis=1)
    keep = (confidence >= np.float32(spec.confidence_floor)) & (high > low).all(axis=1)
    order = _as_read(picture, polygon)
    order = order[keep[order]]
    return Texts(
        frame_offset=frame_offset[picture[order]],
        text=_as_str(texts[picture, place][order], spec),
        confidence=confidence[order].clip(0, 1),
        xcycwh=np.concatenate([(low + high) / 2, high - low], axis=1)[order],
        polygon=polygon[order],
    )


def _as_read(picture: NDArray[np.intp], polygon: NDArray[np.float32]) -> NDArray[np.intp]:
    """Order of lines of text, polygon [N, 4, 2], by picture, then as one reads them.

    The highest text that is left begins a line; every text whose middle is less than half of that text's height below
    stands on it.
    """
    order: list[int] = []
    left, middle = polygon[:, :, 0].min(axis=1), polygon[:, :, 1].mean(axis=1)
    height = np.linalg.norm(polygon[:, 2] - polygon[:, 1], axis=1)
    line: list[int] = []
    for i in np.lexsort((left, middle, picture)).tolist():
        if line and (picture[i] != picture[line[0]] or middle[i] - middle[line[0]] >= _SAME_LINE * height[line[0]]):
            order += sorted(line, key=left.item)
            line = []
        line.append(i)
    return np.array(order + sorted(line, key=left.item), np.intp)


def _as_str(texts: Tensor, spec: ModelSpec) -> NDArray[np.object_]:
    try:
        found = [text.decode() if isinstance(text, bytes) else str(text) for text in texts]
    except UnicodeDecodeError as error:
        raise TensorMismatch(f"a text is not UTF-8: {error}", model=spec.model_id) from error
    return np.array(found, np.object_)
