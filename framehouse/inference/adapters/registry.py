"""Every model family that can be served, by the `family` of its model card."""

from __future__ import annotations

from framehouse.inference.adapters import (
    boxes,
    clip,
    detector,
    faces,
    gaze,
    keypoints,
    masks,
    ocr,
    persons,
    poses,
    tags,
)
from framehouse.inference.adapters.base import Adapter

ADAPTERS: dict[str, Adapter] = {
    "boxes": boxes,
    "clip": clip,
    "detector": detector,
    "faces": faces,
    "gaze": gaze,
    "keypoints": keypoints,
    "masks": masks,
    "ocr": ocr,
    "persons": persons,
    "poses": poses,
    "tags": tags,
}
