"""One vector per picture, as the image tower of a CLIP gives it (`triton_models/clip`, `clip.v2`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.embeddings import Embeddings

VERSION: int = 1


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Embeddings:
    """One row per picture, not normalised, so that nothing of what the tower said is lost.

    Args:
        outputs: `embedding` float32 [B, D].
        spec: named in errors.
        frame_offset: int64 [B].
        source_size: not used, a vector has no place.
    """
    embedding = required_output(outputs, "embedding", (frame_offset.size, None))
    if not np.isfinite(embedding).all():
        raise TensorMismatch("a vector that is not finite", model=spec.model_id)
    return Embeddings(frame_offset=frame_offset, embedding=embedding.astype(np.float32))
