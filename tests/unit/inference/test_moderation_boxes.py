"""The moderation model's suppression, beside its model.py."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest

from framehouse.inference.pull_manifest import MANIFEST, find_entry

TREE = MANIFEST / "moderation" / "models"


@pytest.fixture(scope="module")
def suppression() -> ModuleType:
    found = importlib.util.spec_from_file_location("suppression", TREE / "moderation_nms" / "1" / "suppression.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("boxes", "stays"),
    [
        ([], []),
        ([[0, 0, 10, 10]], [True]),
        ([[0, 0, 10, 10], [0, 0, 10, 10]], [True, False]),
        ([[0, 0, 10, 10], [5, 0, 15, 10]], [True, True]),  # a third in common
        ([[0, 0, 10, 10], [3, 0, 13, 10]], [True, False]),  # 7 of 13
        (
            [[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]],
            [True, False, True],
        ),  # the second is gone before it can drive
        ([[0, 0, 10, 10], [50, 50, 50, 60], [50, 50, 50, 60]], [True, True, True]),  # nothing has nothing in common
    ],
)
def test_of_overlapping_boxes_the_better_stays(
    suppression: ModuleType, boxes: list[list[int]], stays: list[bool]
) -> None:
    kept = suppression.kept(np.array(boxes, np.float32).reshape(-1, 4), np.float32(0.45))
    assert kept.tolist() == stays


def test_labels_are_the_networks_with_one_face() -> None:
    labels = (TREE / "moderation" / "labels.txt").read_text().splitlines()
    assert len(labels) == len(set(labels)) == 17
    assert labels[1] == "FACE"
    assert [label for label in labels if "FACE" in label] == ["FACE"]
    assert (labels[12], labels[16]) == ("BELLY_EXPOSED", "BUTTOCKS_COVERED")


def test_the_licence_is_named_before_anything_is_fetched() -> None:
    entry = find_entry("moderation")
    assert entry.licence == "AGPL-3.0"
    for words in ("Affero", "not legal advice", "over a network"):
        assert words in entry.notice
    assert find_entry("ocr").notice == ""
    assert find_entry("ocr").licence == "Apache-2.0"
