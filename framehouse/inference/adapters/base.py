"""What a model family must say about itself: one module per family, with these three names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.specs import Framing, ModelSpec, Size
from framehouse.results.contract import FrameRows

Tensor = NDArray[Any]


class Adapter(Protocol):
    """Turns pictures into a model's inputs and its outputs into rows. Pure: no state, no I/O."""

    VERSION: int
    """Part of the model digest: raise it whenever the same outputs would give other rows."""

    def to_inputs(self, pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Input tensors by name.

        Args:
            pictures: uint8 [B, height, width, 3] RGB, framed as the model's spec says, B >= 0.

        Raises:
            TensorMismatch: pictures of another shape or type.
        """
        ...

    def from_outputs(
        self,
        outputs: Mapping[str, Tensor],
        *,
        spec: ModelSpec,
        frame_offset: NDArray[np.int64],
        source_size: Size,
    ) -> FrameRows:
        """Rows in source pixels, by frame then falling confidence; frames without rows give none.

        Args:
            outputs: output tensors by name, first axis B.
            spec: labels and confidence floor are used.
            frame_offset: int64 [B], the frame of each picture, strictly increasing.
            source_size: (width, height) of the upright video.

        Raises:
            TensorMismatch: an output is missing, or its shape or content cannot be.
        """
        ...


def pictures_as_input(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures in one block of memory, checked: uint8 [B, height, width, 3].

    Raises:
        TensorMismatch: another shape or type.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise TensorMismatch(
            f"pictures are {pictures.dtype}{list(pictures.shape)}, expected uint8[B, height, width, 3]"
        )
    return np.ascontiguousarray(pictures)


def required_output(outputs: Mapping[str, Tensor], name: str, shape: tuple[int | None, ...]) -> Tensor:
    """An output tensor of the expected shape; None stands for any length.

    Raises:
        TensorMismatch: missing, or of another shape.
    """
    if name not in outputs:
        raise TensorMismatch(f"no output {name!r} among {sorted(outputs)}")
    found = outputs[name]
    fits = found.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, found.shape, strict=True))
    if not fits:
        raise TensorMismatch(f"output {name!r} is {list(found.shape)}, expected {list(shape)}")
    return found


def boxes_to_source(xyxy: NDArray[Any], framing: Framing, source_size: Size) -> NDArray[np.float32]:
    """Corners in input pixels [N, 4] to centre form in source pixels, float32 [N, 4], clipped to the picture."""
    corners = framing.to_source(xyxy.reshape(-1, 2, 2), source_size).clip(0, source_size)
    low, high = corners[:, 0], corners[:, 1]
    return np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)
