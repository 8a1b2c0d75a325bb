"""Every kind of rows: through a part and back, into its table, and into JSON that the field's tools read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from framehouse.results.assemble import ModelResults, assemble
from framehouse.results.kinds import KINDS
from framehouse.results.parts import PartHeader, read_part, write_part
from framehouse.results.records.boxes import Detections
from kind_rows import kind_rows
from lakes import rows_of

SAMPLES = {kind: kind_rows(kind, "v", "d", range(12)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 12], ids=["empty", "one", "many"])
def test_every_kind_goes_through_a_part(tmp_path: Path, kind: str, n: int) -> None:
    record, frames = KINDS[kind], np.arange(n, dtype=np.int64)
    rows = SAMPLES[kind].select(frames)
    ref = write_part(
        tmp_path,
        PartHeader("v", "c000000000", "m/1", "d", kind),
        frame_offset=frames,
        pts=frames * 1001,
        time_offset_s=frames / 30,
        gap_reason=np.full(n, None, np.object_),
        infer_s=np.zeros(n, np.float32),
        rows=rows,
    )
    again = read_part(Path(ref.path)).rows
    assert type(again) is record
    np.testing.assert_array_equal(again.frame_offset, rows.frame_offset)
    for name, column in rows.columns().items():
        assert len(again.columns()[name]) == len(column)
        if len(column):  # without rows a list's length is not known
            np.testing.assert_array_equal(again.columns()[name], column)
        assert again.columns()[name].dtype == column.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_names_itself_and_has_a_sample(kind: str) -> None:
    assert KINDS[kind].kind == kind
    assert list(SAMPLES[kind].columns()) == list(KINDS[kind].stored)


def assembled(frames: list[int], model: ModelResults, confidence: float) -> dict[str, list[Any]]:
    offsets = np.array(frames, np.int64)
    return assemble(
        video_id="v",
        size=(640, 360),
        frame_offset=offsets,
        time_offset_s=offsets / 30,
        models=[model],
        confidence=confidence,
    )


def test_supervision_reads_every_detection_element() -> None:
    frames = list(range(12))
    loaded = [f for f in frames if f != 5]
    rows = rows_of("v", "d", loaded)
    model = ModelResults("detector/1", "d", np.array(loaded), np.zeros(11, np.float32), rows)
    out = assembled(frames, model, 0.0)
    for frame, element in zip(frames, out["detector"], strict=True):
        if frame == 5:
            assert element is None
            continue
        mine, read = rows.select(np.array([frame])), sv.Detections.from_inference(element)
        assert len(read) == len(mine)
        if len(mine):
            centre, half = mine.xcycwh[:, :2], mine.xcycwh[:, 2:] / 2
            np.testing.assert_allclose(read.xyxy, np.hstack([centre - half, centre + half]), atol=0.51)
            np.testing.assert_allclose(read.confidence, mine.confidence, rtol=1e-6)
            assert read.class_id.tolist() == mine.class_id.tolist()
            assert read["class_name"].tolist() == mine.class_name.tolist()


def test_a_frame_without_objects_is_an_empty_list_with_a_picture_size() -> None:
    model = ModelResults("detector/1", "d", np.array([0]), np.zeros(1, np.float32), Detections.empty())
    out = assembled([0], model, 0.4)
    assert out["detector"] == [{"time": 0.0, "image": {"width": 640, "height": 360}, "predictions": []}]
    assert len(sv.Detections.from_inference(out["detector"][0])) == 0


def as_is(element: dict[str, Any]) -> dict[str, Any]:
    """The element itself."""
    return element


def faces_of(element: dict[str, Any]) -> dict[str, Any]:
    """Gaze has its boxes one level down and, as upstream, no size of the picture."""
    return {"image": {"width": 640, "height": 360}, "predictions": [one["face"] for one in element["predictions"]]}


READERS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], Callable[[Any], Any]] | None] = {
    "detections": (as_is, sv.Detections.from_inference),
    "segmentations": (as_is, sv.Detections.from_inference),
    "keypoints": (as_is, sv.KeyPoints.from_inference),
    "texts": (as_is, sv.Detections.from_inference),
    "gazes": (faces_of, sv.Detections.from_inference),
    "classifications": None,
    "multilabels": None,
    "embeddings": None,
}
"""What supervision has a reader for; None: it has none for such results."""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_supervision_reads_every_kind_that_it_can(kind: str) -> None:
    reader, rows, frames = READERS[kind], SAMPLES[kind], list(range(12))
    model = ModelResults("m/1", "d", np.array(frames), np.zeros(12, np.float32), rows)
    elements = assembled(frames, model, 0.0)["m"]
    assert len(elements) == 12
    counts = [int((rows.frame_offset == frame).sum()) for frame in frames]
    assert 0 in counts or kind == "embeddings"
    if reader is None:
        assert json.loads(json.dumps(elements, allow_nan=False)) == elements
        return
    form, read = reader
    found = [read(form(element)) for element in elements]
    assert [len(one) for one in found] == counts
    if kind == "segmentations":
        assert all(one.mask is not None and len(one.mask) == n for one, n in zip(found, counts, strict=True) if n)
