"""Elements of faces and where they look."""

from __future__ import annotations

from typing import Any

from framehouse.results.elements.base import Element, Frame, Scene, boxes_of, kept, points_of, shortest
from framehouse.results.records.gazes import Gazes


def gazes(rows: Gazes, scene: Scene) -> Element:
    """`{"predictions": [{"face", "yaw", "pitch"}, …], "time", …}` without the picture's size, angles in radians."""
    boxes, landmarks, scores = boxes_of(rows.xcycwh), points_of(rows.landmarks), shortest(rows.confidence)
    yaw, pitch, keep = shortest(rows.yaw_rad), shortest(rows.pitch_rad), kept(rows.confidence, scene)

    def face(row: int) -> dict[str, Any]:
        return {
            **boxes[row],
            "confidence": scores[row],
            "class": "face",
            "class_confidence": None,
            "class_id": 0,
            "tracker_id": None,
            "landmarks": landmarks[row],
        }

    def element(frame: Frame) -> dict[str, Any]:
        return {
            "predictions": [
                {"face": face(row), "yaw": yaw[row], "pitch": pitch[row]} for row in frame.rows if keep[row]
            ],
            "time": frame.infer_s,
            "time_face_det": None,
            "time_gaze_det": None,
        }

    return element
