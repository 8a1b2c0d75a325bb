"""Elements of classes of whole frames."""

from __future__ import annotations

from typing import Any

from framehouse.results.elements.base import Element, Frame, Scene, kept, shortest
from framehouse.results.records.classes import Classifications, Multilabels


def classifications(rows: Classifications, scene: Scene) -> Element:
    """Classes from the threshold on by falling confidence, and the best of them: `top` and `confidence`.

    Where none reaches the threshold, `top` is "" and `confidence` 0.
    """
    scores, class_ids, keep = shortest(rows.confidence), rows.class_id.tolist(), kept(rows.confidence, scene)

    def element(frame: Frame) -> dict[str, Any]:
        own = [row for row in frame.rows if keep[row]]
        return {
            "time": frame.infer_s,
            "image": scene.image,
            "predictions": [
                {"class": rows.class_name[row], "class_id": class_ids[row], "confidence": scores[row]} for row in own
            ],
            "top": rows.class_name[own[0]] if own else "",
            "confidence": scores[own[0]] if own else 0.0,
        }

    return element


def multilabels(rows: Multilabels, scene: Scene) -> Element:
    """Every stored class with its confidence; `predicted_classes` are those from the threshold on.

    Of two classes with one name the surer stands.
    """
    scores, class_ids, keep = shortest(rows.confidence), rows.class_id.tolist(), kept(rows.confidence, scene)

    def element(frame: Frame) -> dict[str, Any]:
        predictions: dict[str, Any] = {}
        for row in frame.rows:
            predictions.setdefault(rows.class_name[row], {"confidence": scores[row], "class_id": class_ids[row]})
        return {
            "time": frame.infer_s,
            "image": scene.image,
            "predictions": predictions,
            "predicted_classes": list(dict.fromkeys(rows.class_name[row] for row in frame.rows if keep[row])),
        }

    return element
