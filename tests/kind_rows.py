"""Rows of every kind as a function of video, model and frame: any way to cut them must give the same tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.random import Generator

from framehouse.results.contract import FrameRows
from framehouse.results.kinds import KINDS
from framehouse.results.masks import encode

CLASSES = ("person", "car", "dog")
POINTS = ("nose", "left_eye", "right_eye")
TEXTS = ("EXIT", "Main Street 12", "café ü", "50%", "a 'quoted' \"line\"", "大阪")
SIZE = (640, 360)
DIMENSIONS = 8


def kind_rows(kind: str, video_id: str, digest: str, frames: Iterable[int]) -> FrameRows:
    """0 to 4 rows a frame (always one embedding), by a hash of video, model and frame."""
    return KINDS[kind].concat([_frame(kind, video_id, digest, frame) for frame in frames])


def _frame(kind: str, video_id: str, digest: str, frame: int) -> FrameRows:
    seed = int.from_bytes(hashlib.sha256(f"{video_id}{digest}{frame}".encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 5))
    if kind == "embeddings":
        n = 1
    record = KINDS[kind]
    return record.ordered(frame_offset=np.full(n, frame, np.int64), **FIELDS[kind](rng, n)) if n else record.empty()


def _classes(rng: Generator, n: int) -> dict[str, Any]:
    class_id = rng.integers(0, len(CLASSES), n).astype(np.int32)
    return {
        "class_id": class_id,
        "class_name": np.array([CLASSES[i] for i in class_id], np.object_),
        "confidence": rng.uniform(0.1, 1.0, n).astype(np.float32),
    }


def _single(rng: Generator, n: int) -> dict[str, Any]:
    """Each class at most once, confidences that add up to less than 1."""
    class_id = rng.permutation(len(CLASSES) + 2)[:n].astype(np.int32)
    names = (*CLASSES, "red car", "street")
    return {
        "class_id": class_id,
        "class_name": np.array([names[i] for i in class_id], np.object_),
        "confidence": rng.dirichlet(np.ones(n + 1))[:n].astype(np.float32),
    }


def _boxes(rng: Generator, n: int) -> dict[str, Any]:
    return {"xcycwh": rng.uniform(1, 300, (n, 4)).astype(np.float32)}


def _detections(rng: Generator, n: int) -> dict[str, Any]:
    return {**_classes(rng, n), **_boxes(rng, n)}


def _segmentations(rng: Generator, n: int) -> dict[str, Any]:
    masks = []
    for x, y in rng.integers(10, 300, (n, 2)).tolist():
        mask = np.zeros((SIZE[1], SIZE[0]), np.bool_)
        mask[y : y + 20, x : x + 30] = True
        masks.append(encode(mask))
    return {**_detections(rng, n), "mask": np.array(masks, np.object_)}


def _keypoints(rng: Generator, n: int) -> dict[str, Any]:
    k = len(POINTS)
    return {
        **_detections(rng, n),
        "keypoint_name": np.tile(np.array(POINTS, np.object_), (n, 1)),
        "keypoint_confidence": rng.uniform(0, 1, (n, k)).astype(np.float32),
        "keypoint_xy": rng.uniform(0, 300, (n, k, 2)).astype(np.float32),
    }


def _embeddings(rng: Generator, n: int) -> dict[str, Any]:
    return {"embedding": rng.normal(size=(n, DIMENSIONS)).astype(np.float32)}


def _gazes(rng: Generator, n: int) -> dict[str, Any]:
    return {
        "confidence": rng.uniform(0.1, 1.0, n).astype(np.float32),
        **_boxes(rng, n),
        "landmarks": rng.uniform(0, 300, (n, 6, 2)).astype(np.float32),
        "yaw_rad": rng.uniform(-1, 1, n).astype(np.float32),
        "pitch_rad": rng.uniform(-1, 1, n).astype(np.float32),
    }


def _texts(rng: Generator, n: int) -> dict[str, Any]:
    return {
        "text": np.array([TEXTS[i] for i in rng.integers(0, len(TEXTS), n)], np.object_),
        "confidence": rng.uniform(0.1, 1.0, n).astype(np.float32),
        **_boxes(rng, n),
        "polygon": rng.uniform(0, 300, (n, 4, 2)).astype(np.float32),
    }


FIELDS: dict[str, Callable[[Generator, int], dict[str, Any]]] = {
    "detections": _detections,
    "segmentations": _segmentations,
    "keypoints": _keypoints,
    "classifications": _single,
    "multilabels": lambda rng, n: {**_single(rng, n), "confidence": rng.uniform(0.1, 1.0, n).astype(np.float32)},
    "embeddings": _embeddings,
    "gazes": _gazes,
    "texts": _texts,
}
