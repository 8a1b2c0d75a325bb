"""What the models saw, as numbers for the scripts of the video page: marks of a stretch, the timeline of the whole."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from framehouse.api.context import Api, ApiContext
from framehouse.api.ui.access import AdminViewer
from framehouse.api.ui.asking import ask, by_model
from framehouse.api.ui.video import VideoId
from framehouse.errors import BadRequest

router = APIRouter()

_LONGEST_S = 24 * 3600.0
_MOST_BINS = 1200
_BINS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_LANES = 40
_KINDS = {"boxes": "marks_boxes", "gazes": "marks_gazes", "classes": "marks_classes", "texts": "marks_texts"}
_LANES = {
    "boxes": ("timeline_boxes", "at once"), "classes": ("timeline_classes", "confidence"),
    "gazes": ("timeline_gazes", "degrees"), "texts": ("timeline_texts", "at once"),
}  # fmt: skip
Second = Annotated[float, Query(ge=0, allow_inf_nan=False)]


@router.get("/videos/{video_id}/marks.json")
def marks(video_id: VideoId, start_s: Second, end_s: Second, api: ApiContext, _: AdminViewer) -> JSONResponse:
    """By model digest: the frames it was to look at in [start_s, end_s), and all that it saw there.

    Of every confidence. Columns of equal length; what they hold is told in `marks_*.sql`.
    """
    if end_s - start_s > _LONGEST_S:
        raise BadRequest("a day at a time", code="api.invalid")
    asked: dict[str, Any] = {"video_id": video_id, "start_s": start_s, "end_s": end_s}
    with api.query_slots:
        found = {"frames": by_model(ask(api, "marks_frames", **asked))}
        found |= {kind: by_model(ask(api, name, **asked)) for kind, name in _KINDS.items()}
    digests = sorted({digest for tables in found.values() for digest in tables})
    return JSONResponse(
        {digest: {kind: tables[digest] for kind, tables in found.items() if digest in tables} for digest in digests}
    )


@router.get("/videos/{video_id}/timeline.json")
def timeline(
    video_id: VideoId, api: ApiContext, _: AdminViewer, confidence: Annotated[float, Query(ge=0, le=1)] = 0.4
) -> JSONResponse:
    """Lanes by model and class over the whole video; a null is a time that the model did not see."""
    with api.query_slots:
        bin_s = _bin_s(api, video_id)
        seen = by_model(ask(api, "timeline_frames", video_id=video_id, bin_s=bin_s))
        lanes = [
            lane
            for kind, (name, unit) in _LANES.items()
            for digest, table in by_model(
                ask(api, name, confidence=confidence, video_id=video_id, bin_s=bin_s)
            ).items()
            for lane in _lanes(kind, unit, digest, table, seen[digest])
        ]  # fmt: skip
    lanes.sort(key=lambda lane: -lane["n"])
    return JSONResponse(
        {"bin_s": bin_s, "models": seen, "lanes": lanes[:_MOST_LANES], "n_left_out": len(lanes[_MOST_LANES:])}
    )


def _bin_s(api: Api, video_id: str) -> float:
    """0 while every frame can have a point of its own, else the width of a bin."""
    frames = by_model(ask(api, "timeline_frames", video_id=video_id, bin_s=0.0))
    most = max((len(table["t"]) for table in frames.values()), default=0)
    if most <= _MOST_BINS:
        return 0.0
    length_s = max(table["t"][-1] for table in frames.values())
    return next((float(width) for width in _BINS_S if length_s / width <= _MOST_BINS), math.ceil(length_s / _MOST_BINS))


def _lanes(
    kind: str, unit: str, digest: str, table: dict[str, list[Any]], seen: dict[str, list[Any]]
) -> list[dict[str, Any]]:
    """A lane for each class, its values beside the times of `seen`: 0 where it was not there, None where nobody looked.

    Looks have no 0: without a face there is no angle.
    """
    place = {t: i for i, t in enumerate(seen["t"])}
    nothing = None if kind == "gazes" else 0
    empty = [nothing if n else None for n in seen["n_seen"]]
    made: dict[tuple[int, str], list[Any]] = {}
    for class_id, name, t, value in zip(
        table["class_id"], table["class_name"], table["t"], table["value"], strict=True
    ):
        made.setdefault((class_id, name), list(empty))[place[t]] = value
    return [
        {"kind": kind, "unit": unit, "model_digest": digest, "class_id": class_id, "class_name": name, "values": values,
         "n": sum(1 for value in values if value)}
        for (class_id, name), values in made.items()
    ]  # fmt: skip
