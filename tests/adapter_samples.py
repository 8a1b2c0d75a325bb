"""One sample of outputs per model family, for the adapter contract suite: a new family adds an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from framehouse.inference.specs import ModelSpec
from framehouse.video.framing import Framing, stretched

SOURCE = (1920, 1080)
LETTERBOXED = Framing("letterbox", 64, 48, pad=114)


@dataclass(frozen=True)
class Sample:
    """What a family's models give.

    Attributes:
        outputs: of n pictures, by name; picture i must show `rows_of(i)` rows above the floor 0.1.
        rows_of: number of rows of picture i.
        framing: of the model's input; sources are 1920 x 1080.
        smallest: 1 where a request without a picture cannot be.
        max_batch: 1 where outputs have no batch axis.
    """

    kind: str
    outputs: Callable[[int], dict[str, Any]]
    rows_of: Callable[[int], int] = lambda i: i % 3
    framing: Framing = field(default_factory=lambda: stretched((64, 48)))
    labels: tuple[str, ...] = ("person", "bicycle", "car")
    settings: Mapping[str, str] = field(default_factory=dict)
    smallest: int = 0
    max_batch: int = 8

    def spec(self, family: str) -> ModelSpec:
        """A model of the family."""
        return ModelSpec(
            f"{family}/1", family, "1", family, self.kind, family, "1", self.framing, self.max_batch, self.labels, "d",
            0.1, self.settings, (family,),
        )  # fmt: skip

    @property
    def sizes(self) -> list[int]:
        """Batch sizes that the suite tries: none, one, most."""
        return sorted({self.smallest, 1, self.max_batch})


def detector_outputs(n: int) -> dict[str, Any]:
    """Picture i shows i % 3 boxes."""
    rng = np.random.default_rng(n)
    low = rng.uniform(0, 30, (n, 100, 2))
    return {
        "boxes": np.concatenate([low, low + rng.uniform(1, 30, (n, 100, 2))], axis=2).astype(np.float32),
        "scores": np.sort(rng.uniform(0.1, 1, (n, 100)), axis=1)[:, ::-1].astype(np.float32),
        "classes": rng.integers(0, 3, (n, 100)).astype(np.int32),
        "count": (np.arange(n) % 3).astype(np.int32).reshape(n, 1),
    }


def clip_outputs(n: int) -> dict[str, Any]:
    """Every picture has one vector."""
    return {"embedding": np.random.default_rng(n).normal(0, 1, (n, 8)).astype(np.float32)}


def faces_outputs(n: int) -> dict[str, Any]:
    """Picture i shows i % 3 faces."""
    rng = np.random.default_rng(n)
    low = rng.uniform(20, 30, (n, 64, 2))
    return {
        "boxes": np.concatenate([low, low + rng.uniform(1, 30, (n, 64, 2))], axis=2).astype(np.float32),
        "scores": np.sort(rng.uniform(0.3, 1, (n, 64)), axis=1)[:, ::-1].astype(np.float32),
        "landmarks": rng.uniform(-5, 70, (n, 64, 6, 2)).astype(np.float32),
        "count": (np.arange(n) % 3).astype(np.int32).reshape(n, 1),
    }


def persons_outputs(n: int) -> dict[str, Any]:
    """Every second picture shows persons in its middle."""
    masks = np.random.default_rng(n).integers(0, 120, (n, 48, 64), np.uint8)
    masks[1::2, 10:40, 20:30] = 250
    return {"mask": masks}


def gaze_outputs(n: int) -> dict[str, Any]:
    """Picture i shows i % 3 faces."""
    rng = np.random.default_rng(n)
    low = rng.uniform(0, 30, (n, 5, 2))
    return {
        "boxes": np.concatenate([low, low + rng.uniform(1, 30, (n, 5, 2))], axis=2).astype(np.float32),
        "scores": np.sort(rng.uniform(0.3, 1, (n, 5)), axis=1)[:, ::-1].astype(np.float32),
        "landmarks": rng.uniform(-5, 70, (n, 5, 6, 2)).astype(np.float32),
        "yaw": rng.uniform(-1.5, 1.5, (n, 5)).astype(np.float32),
        "pitch": rng.uniform(-1.5, 1.5, (n, 5)).astype(np.float32),
        "count": (np.arange(n) % 3).astype(np.int32).reshape(n, 1),
    }


def tags_outputs(n: int) -> dict[str, Any]:
    """Picture i shows i % 3 classes above the floor."""
    confidences = np.zeros((n, 3), np.float32)
    for i in range(n):
        confidences[i, : i % 3] = np.float32([0.6, 0.3])[: i % 3] + np.float32(i / 100)
    return {"confidences": confidences, "classes": np.tile(np.int32([2, 0, 1]), (n, 1))}


def keypoints_outputs(n: int) -> dict[str, Any]:
    """Every second picture shows a person."""
    rng = np.random.default_rng(n)
    points = np.concatenate([rng.uniform(8, 40, (n, 17, 2)), rng.uniform(0.3, 1, (n, 17, 1))], axis=2)
    points[::2, :, 2] = 0.05
    return {"keypoints": points.astype(np.float32)}


def ocr_outputs(n: int) -> dict[str, Any]:
    """Picture i shows i % 3 lines."""
    rng = np.random.default_rng(n)
    low, size = rng.uniform(0, 30, (n, 2, 2)), rng.uniform(1, 30, (n, 2, 2))
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return {
        "texts": np.array([[f"Größe {i}".encode(), "漢字".encode()] for i in range(n)], np.object_).reshape(n, 2),
        "scores": rng.uniform(0.1, 1, (n, 2)).astype(np.float32),
        "polygons": (low[:, :, None] + corners * size[:, :, None]).astype(np.float32),
        "count": (np.arange(n) % 3).astype(np.int32).reshape(n, 1),
    }


def candidates(n: int) -> np.ndarray:
    """Picture i shows i % 3 boxes, each with a double of its class that is suppressed, among many below the floor."""
    rng = np.random.default_rng(n)
    rows = np.zeros((n, 40, 6), np.float32)
    rows[:, :, :2] = rng.uniform(0, 10, (n, 40, 2))
    rows[:, :, 2:4] = rows[:, :, :2] + rng.uniform(1, 10, (n, 40, 2))
    rows[:, :, 4] = rng.uniform(0, 0.09, (n, 40))
    for i in range(n):
        for k in range(i % 3):
            rows[i, 10 * k : 10 * k + 2] = [20 * k + 5, 22, 20 * k + 15, 32, 0.9 - k / 10, k]
            rows[i, 10 * k + 1, 4] -= 0.05
    return rows


def boxes_outputs(n: int) -> dict[str, Any]:
    """As `candidates`."""
    return {"candidates": candidates(n)}


def masks_outputs(n: int) -> dict[str, Any]:
    """Every object fills a part of its box."""
    protos = np.random.default_rng(n).uniform(-1, 3, (n, 8, 12, 16)).astype(np.float32)
    return {"candidates": candidates(n), "coefficients": np.ones((n, 40, 8), np.float32), "protos": protos}


def poses_outputs(n: int) -> dict[str, Any]:
    """Two points for each box."""
    points = np.random.default_rng(n).uniform(0, 1, (n, 40, 2, 3)).astype(np.float32) * np.float32([60, 40, 1])
    return {"candidates": candidates(n), "points": points}


SAMPLES: dict[str, Sample] = {
    "boxes": Sample("detections", boxes_outputs, framing=LETTERBOXED, settings={"iou_threshold": "0.5"}),
    "clip": Sample("embeddings", clip_outputs, rows_of=lambda i: 1, labels=()),
    "detector": Sample("detections", detector_outputs),
    "faces": Sample("keypoints", faces_outputs, framing=Framing("letterbox", 64, 64), labels=("face",)),
    "gaze": Sample("gazes", gaze_outputs, labels=()),
    "keypoints": Sample("keypoints", keypoints_outputs, rows_of=lambda i: i % 2, labels=("person",)),
    "masks": Sample("segmentations", masks_outputs, framing=LETTERBOXED, settings={"iou_threshold": "0.5"}),
    "ocr": Sample("texts", ocr_outputs, framing=Framing("fit", 960, 960), labels=()),
    "persons": Sample("segmentations", persons_outputs, rows_of=lambda i: i % 2, labels=("person",)),
    "poses": Sample(
        "keypoints",
        poses_outputs,
        framing=LETTERBOXED,
        settings={"iou_threshold": "0.5", "keypoint_names": "nose,tail"},
    ),
    "tags": Sample("classifications", tags_outputs),
}
