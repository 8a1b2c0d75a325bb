"""One mask of all persons in a picture (`triton_models/persons`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.masks import encode
from framehouse.results.records.boxes import Segmentations

VERSION: int = 1

_FULL = 255

Box = tuple[float, float, float, float]


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, the whole picture stretched to the input size by the decoder."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Segmentations:
    """One row for each frame in which persons fill enough of the picture.

    Args:
        outputs: `mask` uint8 [B, h, w] over the whole picture, 0..255: how sure it is that a pixel is a person's.
        spec: label and settings are used: `mask_threshold` (0..1), `smallest_share` of the picture.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    The confidence is the mean over the pixels above the threshold. The mask is brought to the source's size, then cut
    at the threshold; the box is what it spans.
    """
    width, height = spec.framing.picture_size(source_size)
    masks = required_output(outputs, "mask", (frame_offset.size, height, width))
    if masks.dtype != np.uint8:
        raise TensorMismatch(f"output 'mask' is {masks.dtype}, expected uint8", model=spec.model_id)
    rows = list(_rows(masks, spec, source_size))
    frame, confidence, box, text = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Segmentations(
        frame_offset=frame_offset[np.array(frame, np.int64)],
        class_id=np.zeros(len(rows), np.int32),
        class_name=np.full(len(rows), spec.labels[0], np.object_),
        confidence=np.array(confidence, np.float32),
        xcycwh=np.array(box, np.float32).reshape(-1, 4),
        mask=np.array(text, np.object_),
    )


def _rows(masks: NDArray[np.uint8], spec: ModelSpec, size: Size) -> Iterator[tuple[int, float, Box, str]]:
    """Place in the batch, confidence, box and run lengths of each mask that is large enough."""
    threshold = float(spec.settings.get("mask_threshold", "0.5")) * _FULL
    smallest_share = float(spec.settings.get("smallest_share", "0.01"))
    for i, mask in enumerate(masks):
        inside = mask >= threshold
        if not inside.any() or inside.mean() < smallest_share:
            continue
        confidence = float(mask[inside].mean(dtype=np.float64)) / _FULL
        shape = _at_source(mask, threshold, size)
        if confidence >= spec.confidence_floor and shape.any():
            yield i, confidence, _span(shape), encode(shape)


def _at_source(mask: NDArray[np.uint8], threshold: float, size: Size) -> NDArray[np.bool_]:
    """bool [height, width]; the exact form of the interpolation is the same on every machine."""
    import cv2  # noqa: PLC0415  only a process that has masks to read shall load it

    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR_EXACT) >= threshold, np.bool_)


def _span(mask: NDArray[np.bool_]) -> Box:
    """Box around the mask: centre, width and height."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
