from __future__ import annotations

import json
import uuid

import numpy as np
import pytest

from framehouse.errors import ContractViolation
from framehouse.results.assemble import ModelResults, assemble, result_keys
from framehouse.results.records.boxes import Detections
from lakes import rows_of

VIDEO = "v_1"


def results(model_id: str, loaded: list[int], digest: str = "d") -> ModelResults:
    frames = np.array(loaded, np.int64)
    return ModelResults(
        model_id, digest, frames, np.full(frames.shape, 0.0125, np.float32), rows_of(VIDEO, digest, loaded)
    )


def assembled(frames: list[int], models: list[ModelResults], confidence: float = 0.4) -> dict[str, list]:
    offsets = np.array(frames, np.int64)
    return assemble(
        video_id=VIDEO, size=(640, 360), frame_offset=offsets, time_offset_s=offsets / 30, models=models,
        confidence=confidence,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model_ids", "keys"),
    [
        ([], []),
        (["detector/1"], ["detector"]),
        (["detector/2", "detector/1"], ["detector", "detector/1"]),
        (["a/1", "b/1", "a/2", "a/3"], ["a", "b", "a/2", "a/3"]),
    ],
)
def test_keys(model_ids: list[str], keys: list[str]) -> None:
    assert result_keys(model_ids) == keys


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(ContractViolation):
        result_keys(["a/1", "a/1"])


def test_nothing_planned() -> None:
    assert assembled([], [results("detector/1", [])]) == {"frame_offset": [], "time_offset": [], "detector": []}


def test_lists_are_aligned_and_gaps_are_null() -> None:
    out = assembled([0, 6, 12], [results("detector/1", [0, 12]), results("detector/2", [0, 6, 12], "e")])
    assert list(out) == ["frame_offset", "time_offset", "detector", "detector/2"]
    assert out["frame_offset"] == [0, 6, 12]
    assert out["time_offset"] == [0.0, 0.2, 0.4]
    assert [element is None for element in out["detector"]] == [False, True, False]
    assert all(element is not None for element in out["detector/2"])


def test_time_has_four_decimals() -> None:
    assert assembled([1, 2], [])["time_offset"] == [0.0333, 0.0667]


def test_elements() -> None:
    frames = list(range(40))
    out = assembled(frames, [results("detector/1", frames)], confidence=0.5)
    rows = rows_of(VIDEO, "d", frames)
    for frame, element in zip(frames, out["detector"], strict=True):
        mine = rows.select(np.array([frame]))
        assert list(element) == ["time", "image", "predictions"]
        assert (element["time"], element["image"]) == (0.0125, {"width": 640, "height": 360})
        kept = mine.where(mine.confidence >= 0.5)
        assert [p["class"] for p in element["predictions"]] == kept.class_name.tolist()
        for i, prediction in enumerate(element["predictions"]):
            box = [prediction[name] for name in ("x", "y", "width", "height")]
            assert np.array(box, np.float32).tolist() == kept.xcycwh[i].tolist()
            assert np.float32(prediction["confidence"]) == kept.confidence[i]
            assert prediction["class_id"] == kept.class_id[i]
    assert any(element["predictions"] for element in out["detector"])
    assert any(not element["predictions"] for element in out["detector"])
    assert json.loads(json.dumps(out)) == out


def test_the_threshold_is_exact_in_float32() -> None:
    rows = Detections(
        np.zeros(2, np.int64), np.zeros(2, np.int32), np.array(["a", "a"], np.object_),
        np.array([0.4, 0.39999], np.float32), np.ones((2, 4), np.float32),
    )  # fmt: skip
    model = ModelResults("detector/1", "d", np.zeros(1, np.int64), np.zeros(1, np.float32), rows)
    predictions = assembled([0], [model], confidence=0.4)["detector"][0]["predictions"]
    assert [p["confidence"] for p in predictions] == [0.4]


def test_ids_are_the_same_at_any_threshold_and_never_repeat() -> None:
    frames = list(range(30))
    low, high = (assembled(frames, [results("detector/1", frames)], c)["detector"] for c in (0.1, 0.7))
    ids = [p["detection_id"] for element in low for p in element["predictions"]]
    assert len(set(ids)) == len(ids) > 0
    assert all(uuid.UUID(text).version == 5 for text in ids)
    for few, many in zip(high, low, strict=True):
        assert few["predictions"] == many["predictions"][: len(few["predictions"])]
    other = assembled(frames, [results("detector/1", frames, "e")])["detector"]
    assert not set(ids) & {p["detection_id"] for element in other for p in element["predictions"]}


def test_rows_of_unplanned_frames_are_left_out() -> None:
    out = assembled([3], [results("detector/1", [1, 2, 3, 4])], 0.0)
    assert len(out["detector"]) == 1
    assert len(out["detector"][0]["predictions"]) == len(rows_of(VIDEO, "d", [3]))


def test_a_ledger_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ContractViolation):
        ModelResults("a/1", "d", np.array([1, 1]), np.zeros(2, np.float32), Detections.empty())
    with pytest.raises(ContractViolation):
        assembled([6, 0], [])
