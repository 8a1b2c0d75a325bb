"""Elements of words in the picture."""

from __future__ import annotations

from typing import Any

from framehouse.results.elements.base import Element, Frame, Scene, boxes_of, kept, name_rows, shortest
from framehouse.results.records.texts import Texts


def texts(rows: Texts, scene: Scene) -> Element:
    """All lines in reading order as one `result`, and a box for each, whose class is the line."""
    boxes, scores, keep = boxes_of(rows.xcycwh), shortest(rows.confidence), kept(rows.confidence, scene)

    def element(frame: Frame) -> dict[str, Any]:
        own = [row for row in frame.rows if keep[row]]
        return {
            "result": " ".join(rows.text[row] for row in own),
            "time": frame.infer_s,
            "image": scene.image,
            "predictions": [
                {
                    **boxes[row],
                    "confidence": scores[row],
                    "class": rows.text[row],
                    "class_id": 0,
                    "detection_id": name_rows(scene, frame, row),
                }
                for row in own
            ],
        }

    return element
