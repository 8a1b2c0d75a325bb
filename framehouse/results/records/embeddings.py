"""One vector per frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.results.contract import FrameRows, columns_of, require, shape


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings(FrameRows):
    """What an encoder made of some frames, one vector each, as it came: not normalised.

    Args:
        frame_offset: int64 [N], strictly increasing, >= 0.
        embedding: float32 [N, D], finite.
    """

    embedding: NDArray[np.float32]

    kind: ClassVar[str] = "embeddings"
    table: ClassVar[str] = "embeddings"
    stored: ClassVar[Mapping[str, str]] = {"embedding": "list<float32>"}

    def check(self, n: int) -> None:
        """Shape, finite, one per frame."""
        require(self.embedding.ndim == 2, "embedding is not [N, D]")
        shape("embedding", self.embedding, np.float32, (n, self.embedding.shape[1]))
        require(bool(np.isfinite(self.embedding).all()), "an embedding that is not finite")
        require(bool((np.diff(self.frame_offset) > 0).all()), "two embeddings of one frame")

    def columns(self) -> dict[str, NDArray[Any]]:
        """`embedding` [N, D]."""
        return {"embedding": self.embedding}

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        return cls(frame_offset, *columns_of(["embedding"], columns))
