"""The results JSON of the wire contract: equally long lists, index i is the i-th planned frame of the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ContractViolation
from framehouse.results.contract import FrameRows
from framehouse.results.elements.base import PLAIN, Forms, Frame, Scene, shortest
from framehouse.results.elements.registry import BUILDERS

_TIME_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a reader wants one model's elements: its threshold (None: the job's), and which of the wire's forms."""

    confidence: float | None = None
    forms: Forms = PLAIN


AS_THE_JOB = ModelOptions()


@dataclass(frozen=True, slots=True, eq=False)
class ModelResults:
    """What one model gave for the frames of a job.

    Args:
        model_id: slug/version, as the job asked for it.
        model_digest: digest whose rows these are.
        loaded: int64 [L], strictly increasing: frames with an answer; every other frame is a gap.
        infer_s: float32 [L], seconds of inference per frame.
        rows: rows of these frames, of the kind of the model; others are ignored.
        options: how its elements are wanted.
    """

    model_id: str
    model_digest: str
    loaded: NDArray[np.int64]
    infer_s: NDArray[np.float32]
    rows: FrameRows
    options: ModelOptions = AS_THE_JOB

    def __post_init__(self) -> None:
        if self.loaded.shape != self.infer_s.shape or not (np.diff(self.loaded) > 0).all():
            raise ContractViolation("ledger of a model: lengths differ, or frames not strictly increasing")


def assemble(
    *,
    video_id: str,
    size: tuple[int, int],
    frame_offset: NDArray[np.int64],
    time_offset_s: NDArray[np.float64],
    models: Sequence[ModelResults],
    confidence: float,
) -> dict[str, list[Any]]:
    """The results object of a job, ready for `json.dumps`.

    Args:
        video_id: names the detections, together with frame, model and index: the same rows give the same ids.
        size: width, height of the upright source picture, pixels.
        frame_offset: int64 [K], strictly increasing: the job's plan.
        time_offset_s: float64 [K], seconds after the first frame.
        models: in the order that the job asked for.
        confidence: threshold applied here, 0..1, to every model that has none of its own.

    Returns:
        `frame_offset`, `time_offset` (4 decimals) and one list per model (see `result_keys`), each of length K; None
        for a frame that failed for that model.

    Raises:
        ContractViolation: plan not increasing, lengths differ, or two models of one name.
    """
    if frame_offset.shape != time_offset_s.shape or not (np.diff(frame_offset) > 0).all():
        raise ContractViolation("plan: lengths differ, or frames not strictly increasing")
    keys = result_keys([model.model_id for model in models])
    return {
        "frame_offset": frame_offset.tolist(),
        "time_offset": [round(value, _TIME_DECIMALS) for value in time_offset_s.tolist()],
        **{
            key: _elements(video_id, size, frame_offset, model, confidence)
            for key, model in zip(keys, models, strict=True)
        },
    }


def result_keys(model_ids: Sequence[str]) -> list[str]:
    """Key of each model: its slug; a further version of a slug that is taken keeps `slug/version`.

    Raises:
        ContractViolation: one model twice.

    >>> result_keys(["detector/1", "tags/1", "detector/2"])
    ['detector', 'tags', 'detector/2']
    """
    if len(set(model_ids)) != len(model_ids):
        raise ContractViolation("a model is named twice in one job")
    first: dict[str, str] = {}
    for model_id in model_ids:
        first.setdefault(model_id.partition("/")[0], model_id)
    slugs = {model_id: slug for slug, model_id in first.items()}
    return [slugs.get(model_id, model_id) for model_id in model_ids]


def _elements(
    video_id: str, size: tuple[int, int], frame_offset: NDArray[np.int64], model: ModelResults, confidence: float
) -> list[Any]:
    rows = model.rows
    starts = np.searchsorted(rows.frame_offset, frame_offset, side="left").tolist()
    ends = np.searchsorted(rows.frame_offset, frame_offset, side="right").tolist()
    times = dict(zip(model.loaded.tolist(), shortest(model.infer_s), strict=True))
    own, forms = model.options.confidence, model.options.forms
    scene = Scene(video_id, size, model.model_digest, confidence if own is None else own, forms)
    element = BUILDERS[rows.kind](rows, scene)
    return [
        element(Frame(frame, range(start, end), times[frame])) if frame in times else None
        for frame, start, end in zip(frame_offset.tolist(), starts, ends, strict=True)
    ]
