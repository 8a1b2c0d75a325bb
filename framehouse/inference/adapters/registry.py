"""Every model family that can be served, by the `family` of its model card."""

from __future__ import annotations

from framehouse.inference.adapters import clip, detector, faces, gaze, keypoints, ocr, persons, tags
from framehouse.inference.adapters.base import Adapter

ADAPTERS: dict[str, Adapter] = {
    "clip": clip,
    "detector": detector,
    "faces": faces,
    "gaze": gaze,
    "keypoints": keypoints,
    "ocr": ocr,
    "persons": persons,
    "tags": tags,
}
