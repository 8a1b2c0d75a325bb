"""The element of every kind: the shapes of the wire contract, section 2.2, and what supervision makes of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import supervision as sv

from framehouse.errors import TensorMismatch
from framehouse.results.assemble import ModelOptions, ModelResults, assemble
from framehouse.results.contract import FrameRows
from framehouse.results.elements.base import PLAIN, Forms, Prompts
from framehouse.results.elements.registry import BUILDERS
from framehouse.results.kinds import KINDS
from framehouse.results.masks import decode, encode
from framehouse.results.records.boxes import Detections, Keypoints, Segmentations
from framehouse.results.records.classes import Classifications, Multilabels
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts
from kind_rows import SIZE, kind_rows

IMAGE = {"width": SIZE[0], "height": SIZE[1]}
NO_ANSWER: dict[str, Any] = {
    "detections": {"time": 0.0125, "image": IMAGE, "predictions": []},
    "segmentations": {"time": 0.0125, "image": IMAGE, "predictions": []},
    "keypoints": {"time": 0.0125, "image": IMAGE, "predictions": []},
    "classifications": {"time": 0.0125, "image": IMAGE, "predictions": [], "top": "", "confidence": 0.0},
    "multilabels": {"time": 0.0125, "image": IMAGE, "predictions": {}, "predicted_classes": []},
    "embeddings": [],
    "gazes": {"predictions": [], "time": 0.0125, "time_face_det": None, "time_gaze_det": None},
    "texts": {"result": "", "time": 0.0125, "image": IMAGE, "predictions": []},
}
BOX = {"x": 10.5, "y": 12.0, "width": 8.0, "height": 6.0}


def elements(rows: FrameRows, frames: list[int], confidence: float = 0.4, forms: Forms = PLAIN) -> list[Any]:
    """Elements of these frames; frame 99 is a gap."""
    offsets = np.array(frames, np.int64)
    loaded = offsets[offsets != 99]
    model = ModelResults("m/1", "d", loaded, np.full(loaded.shape, 0.0125, np.float32), rows, ModelOptions(forms=forms))
    out = assemble(
        video_id="v", size=SIZE, frame_offset=offsets, time_offset_s=offsets / 30, models=[model], confidence=confidence
    )
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    return out["m"]


def boxed(confidence: list[float]) -> dict[str, Any]:
    n = len(confidence)
    return {
        "frame_offset": np.zeros(n, np.int64),
        "class_id": np.arange(n, dtype=np.int32) + 1,
        "class_name": np.array([f"c{i}" for i in range(n)], np.object_),
        "confidence": np.array(confidence, np.float32),
        "xcycwh": np.tile(np.array([10.5, 12, 8, 6], np.float32), (n, 1)),
    }


def mask_of(*pixels: tuple[slice | int, slice | int]) -> str:
    mask = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    for place in pixels:
        mask[place] = True
    return encode(mask)


def segmentations(masks: list[str]) -> Segmentations:
    fields = boxed([0.9 - i / 10 for i in range(len(masks))])
    return Segmentations(**fields, mask=np.array(masks, np.object_))


def area(points: list[dict[str, float]]) -> float:
    x, y = (np.array([point[axis] for point in points]) for axis in ("x", "y"))
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_every_kind_has_a_builder() -> None:
    assert set(BUILDERS) == set(KINDS) == set(NO_ANSWER)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_without_rows_keeps_its_shape_and_a_gap_is_null(kind: str) -> None:
    assert elements(KINDS[kind].empty(), [0, 99]) == [NO_ANSWER[kind], None]


@pytest.mark.parametrize("kind", KINDS)
def test_elements_stand_at_their_frames_and_apply_the_threshold(kind: str) -> None:
    frames = list(range(30))
    found = elements(kind_rows(kind, "v", "d", [f for f in frames if f % 2]), [*frames, 99], 0.0)
    assert found[-1] is None
    assert all(found[frame] == NO_ANSWER[kind] for frame in frames if not frame % 2)
    assert any(found[frame] != NO_ANSWER[kind] for frame in frames)
    if kind != "embeddings":
        strict = elements(kind_rows(kind, "v", "d", frames), frames, 1.0)
        assert all(not element["predictions"] or kind == "multilabels" for element in strict)
        assert kind != "multilabels" or not any(element["predicted_classes"] for element in strict)


# ---------------------------------------------------------------- masks


def test_a_mask_is_a_polygon_of_its_pixels() -> None:
    mask = mask_of((slice(5, 15), slice(6, 26)))
    (element,) = elements(segmentations([mask]), [0])
    (prediction,) = element["predictions"]
    assert list(prediction)[-2:] == ["points", "mask_format"]
    assert prediction["mask_format"] == "polygon"
    corners = sorted((point["x"], point["y"]) for point in prediction["points"])
    assert corners == [(6.0, 5.0), (6.0, 14.0), (25.0, 5.0), (25.0, 14.0)]
    read = sv.Detections.from_inference(element)
    assert read.mask.shape == (1, SIZE[1], SIZE[0])
    np.testing.assert_array_equal(read.mask[0], decode(mask, SIZE))


@pytest.mark.parametrize(
    ("pixels", "around"),
    [
        ([(7, 9)], (9.0, 7.0, 10.0, 8.0)),  # one pixel
        ([(7, slice(9, 12))], (9.0, 7.0, 12.0, 8.0)),  # a line has two corners
        ([], (6.5, 9.0, 14.5, 15.0)),  # none: the box
    ],
)
def test_a_mask_without_an_outline_still_has_a_polygon(
    pixels: list[Any], around: tuple[float, float, float, float]
) -> None:
    (element,) = elements(segmentations([mask_of((slice(2, 9), slice(2, 9))), mask_of(*pixels)]), [0])
    points = element["predictions"][1]["points"]
    assert len(points) >= 3
    assert (points[0]["x"], points[0]["y"], points[2]["x"], points[2]["y"]) == around
    read = sv.Detections.from_inference(element)
    assert read.mask is not None
    assert len(read.mask) == 2


def test_a_mask_of_two_pieces_shows_its_largest_and_rle_shows_all() -> None:
    mask = mask_of((slice(0, 4), slice(0, 4)), (slice(10, 25), slice(10, 35)))
    (element,) = elements(segmentations([mask]), [0])
    assert area(element["predictions"][0]["points"]) == 14 * 24
    (element,) = elements(segmentations([mask]), [0], forms=Forms(masks="rle"))
    (prediction,) = element["predictions"]
    assert (prediction["mask_format"], "points" in prediction) == ("rle", False)
    assert prediction["rle"] == {"size": [360, 640], "counts": mask}
    np.testing.assert_array_equal(sv.Detections.from_inference(element).mask[0], decode(mask, SIZE))


# ---------------------------------------------------------------- keypoints


def test_keypoints_have_their_slots_and_supervision_puts_them_there() -> None:
    xy = np.arange(12, dtype=np.float32).reshape(2, 3, 2) + np.float32(0.5)
    rows = Keypoints(
        **boxed([0.9, 0.5]),
        keypoint_name=np.tile(np.array(["nose", "left_eye", "right_eye"], np.object_), (2, 1)),
        keypoint_confidence=np.array([[0.9, 0.8, 0.1], [0.3, 0.2, 0.7]], np.float32),
        keypoint_xy=xy,
    )
    (element,) = elements(rows, [0])
    assert element["predictions"][0]["keypoints"][2] == {
        "x": 4.5, "y": 5.5, "confidence": 0.1, "class_id": 2, "class": "right_eye",
    }  # fmt: skip
    read = sv.KeyPoints.from_inference(element)
    np.testing.assert_array_equal(read.xy, xy)
    np.testing.assert_allclose(read.keypoint_confidence, rows.keypoint_confidence)
    assert len(sv.Detections.from_inference(element)) == 2


# ---------------------------------------------------------------- classes


def classes(record: type[Classifications], confidence: list[float]) -> Classifications:
    fields = boxed(confidence)
    del fields["xcycwh"]
    return record(**fields)


def test_single_label() -> None:
    (element,) = elements(classes(Classifications, [0.6, 0.3, 0.05]), [0], 0.3)
    assert element == {
        "time": 0.0125,
        "image": IMAGE,
        "predictions": [
            {"class": "c0", "class_id": 1, "confidence": 0.6},
            {"class": "c1", "class_id": 2, "confidence": 0.3},
        ],
        "top": "c0",
        "confidence": 0.6,
    }


def test_multi_label_lists_every_class_and_marks_those_above_the_threshold() -> None:
    (element,) = elements(classes(Multilabels, [0.9, 0.5, 0.2]), [0], 0.5)
    assert element["predictions"] == {
        "c0": {"confidence": 0.9, "class_id": 1},
        "c1": {"confidence": 0.5, "class_id": 2},
        "c2": {"confidence": 0.2, "class_id": 3},
    }
    assert element["predicted_classes"] == ["c0", "c1"]


def test_two_classes_of_one_name_are_one_in_multi_label() -> None:
    fields = boxed([0.9, 0.5])
    del fields["xcycwh"]
    fields["class_name"] = np.array(["same", "same"], np.object_)
    (element,) = elements(Multilabels(**fields), [0], 0.1)
    assert element["predictions"] == {"same": {"confidence": 0.9, "class_id": 1}}
    assert element["predicted_classes"] == ["same"]


# ---------------------------------------------------------------- vectors, looks, texts


def test_an_embedding_is_a_flat_list_and_a_dictionary_on_request() -> None:
    rows = Embeddings(np.array([0], np.int64), np.array([[0.25, -1.1, 3]], np.float32))
    assert elements(rows, [0, 99]) == [[0.25, -1.1, 3.0], None]
    as_dict = elements(rows, [0, 99], forms=Forms(embeddings="dict"))
    assert as_dict == [{"embeddings": [[0.25, -1.1, 3.0]], "time": 0.0125}, None]


def test_a_look_has_a_face_and_angles_and_no_picture_size() -> None:
    landmarks = np.arange(12, dtype=np.float32).reshape(1, 6, 2)
    rows = Gazes(
        np.zeros(1, np.int64), np.array([0.9], np.float32), np.array([[10.5, 12, 8, 6]], np.float32), landmarks,
        np.array([0.1238], np.float32), np.array([-0.167], np.float32),
    )  # fmt: skip
    (element,) = elements(rows, [0])
    assert "image" not in element
    (prediction,) = element["predictions"]
    assert (prediction["yaw"], prediction["pitch"]) == (0.1238, -0.167)
    face = prediction["face"]
    assert {name: face[name] for name in BOX} == BOX
    assert (face["class"], face["class_id"], face["confidence"]) == ("face", 0, 0.9)
    assert face["landmarks"] == [{"x": float(2 * i), "y": float(2 * i + 1)} for i in range(6)]
    faces = {"image": IMAGE, "predictions": [face]}
    assert sv.Detections.from_inference(faces).xyxy.tolist() == [[6.5, 9.0, 14.5, 15.0]]


def test_texts_are_joined_in_reading_order_with_a_box_each() -> None:
    n = 3
    rows = Texts(
        np.zeros(n, np.int64), np.array(["Main", "?", "Straße 12"], np.object_), np.array([0.5, 0.2, 0.9], np.float32),
        np.tile(np.array([10.5, 12, 8, 6], np.float32), (n, 1)), np.zeros((n, 4, 2), np.float32),
    )  # fmt: skip
    (element,) = elements(rows, [0])
    assert element["result"] == "Main Straße 12"
    assert [p["class"] for p in element["predictions"]] == ["Main", "Straße 12"]
    read = sv.Detections.from_inference(element)
    assert read["class_name"].tolist() == ["Main", "Straße 12"]
    np.testing.assert_allclose(read.confidence, [0.5, 0.9])
    names = [p["detection_id"] for p in element["predictions"]]
    low = elements(rows, [0], 0.0)[0]["predictions"]
    assert names == [low[0]["detection_id"], low[2]["detection_id"]]  # an id does not hang on the threshold


def test_a_model_with_a_threshold_of_its_own_keeps_it() -> None:
    rows = Detections(**boxed([0.9, 0.5, 0.2]))
    found = []
    for own in (None, 0.6, 0.1):
        model = ModelResults("m/1", "d", np.array([0]), np.zeros(1, np.float32), rows, ModelOptions(own))
        out = assemble(
            video_id="v", size=SIZE, frame_offset=np.array([0]), time_offset_s=np.array([0.0]), models=[model],
            confidence=0.4,
        )  # fmt: skip
        found.append(len(out["m"][0]["predictions"]))
    assert found == [2, 1, 3]


VECTORS = Embeddings(np.array([0, 1]), np.array([[2.0, 0.0], [3.0, 3.0]], np.float32))


def compared(form: Any, names: tuple[str, ...] = ("right", "up")) -> Forms:
    return Forms(prompts=Prompts(form, names, ((1.0, 0.0), (0.0, 5.0)), logit_scale=2.0))


def test_a_comparison_is_a_list_of_cosines_or_one_by_name() -> None:
    listed = elements(VECTORS, [0, 1, 99], forms=compared("list"))
    assert listed[0] == {"similarity": [1.0, 0.0], "time": 0.0125}
    assert listed[1]["similarity"] == pytest.approx([0.5**0.5, 0.5**0.5])
    assert listed[2] is None
    named = elements(VECTORS, [0], forms=compared("map"))[0]
    assert named == {"similarity": {"right": 1.0, "up": 0.0}, "time": 0.0125}


def test_labels_make_the_element_of_a_classifier() -> None:
    first, second = elements(VECTORS, [0, 1], forms=compared("labels"))
    assert set(first) == {"time", "image", "predictions", "top", "confidence"}
    assert (first["top"], first["image"]) == ("right", IMAGE)
    assert [one["class"] for one in first["predictions"]] == ["right", "up"]
    assert first["confidence"] == first["predictions"][0]["confidence"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert sum(one["confidence"] for one in second["predictions"]) == pytest.approx(1)
    assert [one["class_id"] for one in second["predictions"]] == [0, 1]


def test_vectors_of_another_space_are_refused() -> None:
    with pytest.raises(TensorMismatch):
        elements(VECTORS, [0], forms=Forms(prompts=Prompts("list", ("a",), ((1.0, 0.0, 0.0),))))
