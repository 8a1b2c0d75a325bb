"""What the element builders share.

A builder takes the rows of a model once, as lists, and returns a function that makes the element of one frame: the
columns of a long video are turned into Python values in one go.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
_NAMESPACE = uuid.UUID("6f1d3c0e-5b0a-5c2e-9a55-0d6b3f0b7a11")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the vectors of frames are compared with.

    Args:
        form: `list`, cosines in the order of the vectors; `map`, by name; `labels`, how likely each name is the right
            one of them, as a classifier's element.
        names: of the vectors; for people where the form is `list`.
        vectors: one for each name, of the model's own space.
        logit_scale: factor from cosines to logits, for `labels`.
    """

    form: Literal["list", "map", "labels"]
    names: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...]
    logit_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Forms:
    """Which of the wire's forms an element takes where it has several.

    Args:
        masks: `polygon`, the outline of the largest piece; `rle`, every pixel as COCO run lengths.
        embeddings: `list`, the plain vector; `dict`, `{"embeddings": [vector], "time": seconds}`.
        prompts: what is wanted instead of the vector: how like these it is.
    """

    masks: Literal["polygon", "rle"] = "polygon"
    embeddings: Literal["list", "dict"] = "list"
    prompts: Prompts | None = None


PLAIN = Forms()
"""What readers get who ask for nothing."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What holds for all frames of a model: the video, its upright size in pixels, who answered, the threshold 0..1."""

    video_id: str
    size: Size
    model_digest: str
    confidence: float
    forms: Forms = PLAIN

    @property
    def image(self) -> dict[str, int]:
        """The picture's size, as the wire has it."""
        return {"width": self.size[0], "height": self.size[1]}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with an answer: which rows are its own, and how long inference took, seconds."""

    frame_offset: int
    rows: range
    infer_s: float


Element = Callable[[Frame], Any]
Builder = Callable[[Any, Scene], Element]
"""Rows of one kind and their scene to a function that makes the element of a frame."""


def detection_uuid(video_id: str, frame_offset: int, model_digest: str, detection_id: int) -> str:
    """Name of one detection, made from what it is: `detection_id` is its index in the frame as stored."""
    return str(uuid.uuid5(_NAMESPACE, f"{video_id}/{frame_offset}/{model_digest}/{detection_id}"))


def name_rows(scene: Scene, frame: Frame, row: int) -> str:
    """The name of a row of a frame."""
    return detection_uuid(scene.video_id, frame.frame_offset, scene.model_digest, row - frame.rows.start)


def kept(confidence: NDArray[np.float32], scene: Scene) -> list[bool]:
    """Whether each row reaches the threshold, compared in float32."""
    reached: list[bool] = (confidence >= np.float32(scene.confidence)).tolist()
    return reached


def boxes_of(xcycwh: NDArray[np.float32]) -> list[dict[str, float]]:
    """x, y, width, height of each row."""
    sides = [shortest(values) for values in xcycwh.T]
    return [{"x": x, "y": y, "width": w, "height": h} for x, y, w, h in zip(*sides, strict=True)]


def points_of(xy: NDArray[np.float32]) -> list[list[dict[str, float]]]:
    """Points of each row from [N, K, 2]: N lists of K."""
    n, k = xy.shape[:2]
    xs, ys = shortest(xy[:, :, 0].ravel()), shortest(xy[:, :, 1].ravel())
    flat = [{"x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
    return [flat[i * k : (i + 1) * k] for i in range(n)]


def shortest(values: NDArray[np.float32]) -> list[float]:
    """float32 as the floats with the fewest digits that give the same float32: 0.6243, not 0.6243000030517578."""
    return [float(text) for text in np.asarray(values, np.float32).astype(np.str_)]
