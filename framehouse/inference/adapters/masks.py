"""Boxes with masks out of candidates, coefficients and prototypes (added `-seg` models)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, required_output
from framehouse.inference.adapters.boxes import choose, to_inputs
from framehouse.inference.specs import Framing, ModelSpec, Size
from framehouse.results.masks import encode
from framehouse.results.records.boxes import Segmentations

__all__ = ["VERSION", "from_outputs", "to_inputs"]

VERSION: int = 1


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Segmentations:
    """Rows as `boxes` makes them, each with the shape of its object.

    Args:
        outputs: `candidates` float32 [B, K, 6] as in `boxes`; `coefficients` float32 [B, K, M]; `protos` float32
            [B, M, h, w], laid over the whole input.
        spec: as in `boxes`.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    A mask is the sum of the prototypes by the row's coefficients, scaled to the source (bilinear), above 0 (the sigmoid
    above 0.5), inside the row's box. A row without a pixel is dropped.
    """
    chosen = choose(outputs, spec=spec, frame_offset=frame_offset, source_size=source_size)
    n_pictures, n_candidates, _ = outputs["candidates"].shape
    coefficients = required_output(outputs, "coefficients", (n_pictures, n_candidates, None))
    protos = required_output(outputs, "protos", (n_pictures, coefficients.shape[2], None, None))
    weights = coefficients[chosen.picture, chosen.place].astype(np.float32)
    masks = np.full(len(weights), "", np.object_)
    for i, (picture, box) in enumerate(zip(chosen.picture, chosen.fields["xcycwh"], strict=True)):
        values = np.tensordot(weights[i], protos[picture].astype(np.float32), axes=1)
        if not np.isfinite(values).all():
            raise TensorMismatch("a mask is not finite", model=spec.model_id)
        mask = mask_in_box(values, box, spec.framing, source_size)
        masks[i] = encode(mask) if mask.any() else ""
    kept = np.flatnonzero(masks != "")
    return Segmentations(**{name: values[kept] for name, values in chosen.fields.items()}, mask=masks[kept])


def mask_in_box(
    values: NDArray[np.float32], box: NDArray[Any], framing: Framing, source_size: Size
) -> NDArray[np.bool_]:
    """Bool [height, width] of the source: where values [h, w] over the input, scaled, are above 0 inside the box."""
    mask = np.zeros(source_size[::-1], bool)
    low, high = box[:2] - box[2:] / 2, box[:2] + box[2:] / 2
    left, top = np.ceil(low).astype(int).clip(0)
    right, bottom = np.ceil(high).astype(int).clip(0, source_size)
    place = framing.placement(source_size)
    columns = _places(left, right, place.scaled[0] / source_size[0], place.left, values.shape[1] / framing.width)
    rows = _places(top, bottom, place.scaled[1] / source_size[1], place.top, values.shape[0] / framing.height)
    mask[top:bottom, left:right] = _between(_between(values, rows).T, columns).T > 0
    return mask


def _places(first: int, end: int, scale: float, offset: int, ratio: float) -> NDArray[np.float64]:
    """Where the middles of source pixels first..end lie between the middles of prototype pixels."""
    middles = np.arange(first, end, dtype=np.float64) + 0.5
    return np.asarray((middles * scale + offset) * ratio - 0.5, np.float64)


def _between(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of [h, w] at places between them; beyond the edge the last row counts."""
    places = places.clip(0, len(values) - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (places - low).astype(np.float32)[:, None]
    return np.asarray(values[low] * (1 - share) + values[high] * share, np.float32)
