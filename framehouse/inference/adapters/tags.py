"""Classes of whole pictures (`triton_models/tags`, added classifiers): one is right, or each is judged for itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.classes import Classifications, Multilabels

VERSION: int = 1

_KINDS: dict[str, type[Classifications]] = {kind.kind: kind for kind in (Classifications, Multilabels)}
_TOP_K = "5"


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, framed by the decoder."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Classifications:
    """Rows of `spec.kind`: `classifications` (probabilities that sum to one) or `multilabels` (each for itself).

    Args:
        outputs: either `confidences` float32 [B, K] and `classes` int32 [B, K]: the best classes in any order, chosen
            by the model; or `scores` float32 [B, C], one for each label. Of these a `classifications` model gives the
            best `top_k` (a parameter of its configuration, 5), a `multilabels` model all. Values are 0..1: softmax or
            sigmoid belongs into the model.
        spec: kind, labels, `top_k` and confidence floor are used.
        frame_offset: int64 [B].
        source_size: not used.

    Classes below the floor are dropped. Equal confidences are ordered by class.
    """
    n = frame_offset.size
    confidence, class_id = _scored(outputs, n, spec) if "scores" in outputs else _chosen(outputs, n)
    if not np.isfinite(confidence).all():
        raise TensorMismatch("a confidence is not finite", model=spec.model_id)
    if ((class_id < 0) | (class_id >= len(spec.labels))).any():
        raise TensorMismatch(f"a class outside the {len(spec.labels)} labels", model=spec.model_id)
    picture, place = np.nonzero(confidence >= np.float32(spec.confidence_floor))
    confidence, class_id = confidence[picture, place], class_id[picture, place]
    order = np.lexsort((class_id, -confidence, picture))
    return _KINDS[spec.kind](
        frame_offset=frame_offset[picture[order]],
        class_id=class_id[order],
        class_name=np.array(spec.labels, np.object_)[class_id[order]],
        confidence=confidence[order],
    )


def _chosen(outputs: Mapping[str, Tensor], n: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    confidences = required_output(outputs, "confidences", (n, None))
    classes = required_output(outputs, "classes", confidences.shape)
    return confidences.astype(np.float32), classes.astype(np.int32)


def _scored(outputs: Mapping[str, Tensor], n: int, spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    scores = required_output(outputs, "scores", (n, len(spec.labels))).astype(np.float32)
    best = np.argsort(-scores, axis=1, kind="stable").astype(np.int32)
    if spec.kind == Classifications.kind:
        best = best[:, : int(spec.settings.get("top_k", _TOP_K))]
    return np.take_along_axis(scores, best, axis=1), best
