"""Marks of every kind on one picture."""

from __future__ import annotations

import numpy as np
import pytest

from framehouse.render.marks import draw_rows
from framehouse.results.contract import FrameRows
from framehouse.results.masks import encode
from framehouse.results.records.boxes import Detections, Keypoints, Segmentations
from framehouse.results.records.classes import Classifications
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts

GROUND = 90
FRAME = np.zeros(1, np.int64)
BOX = np.array([[160.0, 120.0, 60.0, 40.0]], np.float32)
ONE = {
    "class_id": np.zeros(1, np.int32), "class_name": np.array(["thing"], np.object_),
    "confidence": np.array([0.5], np.float32), "xcycwh": BOX,
}  # fmt: skip
INSIDE = np.zeros((240, 320), np.bool_)
INSIDE[105:135, 135:185] = True


def looks(yaw: float, pitch: float) -> Gazes:
    marks = np.full((1, 6, 2), (160.0, 120.0), np.float32)
    angles = (np.array([angle], np.float32) for angle in (yaw, pitch))
    return Gazes(FRAME, ONE["confidence"], BOX, marks, *angles)


def points(sure: float) -> Keypoints:
    xy = np.full((1, 2, 2), 100.0, np.float32)
    names = np.array([["left", "right"]], np.object_)
    return Keypoints(
        FRAME, **ONE, keypoint_name=names, keypoint_confidence=np.full((1, 2), sure, np.float32), keypoint_xy=xy
    )


def changed(rows: FrameRows) -> np.ndarray:
    """Which pixels of a plain picture are drawn on, bool [240, 320]."""
    drawn = draw_rows(np.full((240, 320, 3), GROUND, np.uint8), rows)
    return np.asarray((drawn != GROUND).any(axis=2))


def test_a_box_is_drawn_where_it_is_and_nothing_inside() -> None:
    marks = changed(Detections(FRAME, **ONE))
    assert marks[100, 130:190].all()
    assert marks[140, 130:190].all()
    assert not marks[110:130, 140:180].any()
    assert not marks[150:].any()


def test_a_mask_tints_its_inside() -> None:
    assert changed(Segmentations(FRAME, **ONE, mask=np.array([encode(INSIDE)], np.object_)))[INSIDE].all()


@pytest.mark.parametrize(("sure", "drawn"), [(0.9, True), (0.1, False)])
def test_points_are_drawn_when_they_are_seen(sure: float, drawn: bool) -> None:
    assert bool(changed(points(sure))[98:103, 98:103].any()) is drawn


@pytest.mark.parametrize(
    ("yaw", "pitch", "where"),
    [(0.8, 0.0, np.s_[115:125, 115:150]), (-0.8, 0.0, np.s_[115:125, 170:205]), (0.0, 0.8, np.s_[75:95, 155:166]),
     (0.0, -0.8, np.s_[145:165, 155:166])],
)  # fmt: skip
def test_a_look_goes_left_for_yaw_and_up_for_pitch(yaw: float, pitch: float, where: tuple[slice, slice]) -> None:
    straight = changed(looks(0.0, 0.0))
    assert (changed(looks(yaw, pitch)) & ~straight)[where].any()


def test_texts_and_classes_are_written() -> None:
    corners = np.array([[[130, 100], [190, 100], [190, 140], [130, 140]]], np.float32)
    assert changed(Texts(FRAME, ONE["class_name"], ONE["confidence"], BOX, corners))[100, 130:190].all()
    listed = Classifications(FRAME, ONE["class_id"], ONE["class_name"], ONE["confidence"])
    assert changed(listed)[:30, :60].any()


def test_vectors_and_nothing_leave_the_picture_alone() -> None:
    assert not changed(Embeddings(FRAME, np.ones((1, 4), np.float32))).any()
    nothing = {name: array[:0] for name, array in ONE.items()}
    assert not changed(Detections(FRAME[:0], **nothing)).any()
