"""The adapter of persons: a map of bytes to one row with a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters import persons
from framehouse.inference.specs import ModelSpec
from framehouse.results.masks import decode
from framehouse.results.records.boxes import Segmentations
from framehouse.video.framing import Size, stretched

Mask = NDArray[np.uint8]
WIDTH, HEIGHT = 40, 20


def spec(**settings: str) -> ModelSpec:
    return ModelSpec(
        "persons/1", "persons", "1", "persons", "segmentations", "persons", "1", stretched((WIDTH, HEIGHT)), 4,
        ("person",), "d", 0.0, settings,
    )  # fmt: skip


def read(masks: list[Mask], size: Size = (WIDTH, HEIGHT), **settings: str) -> Segmentations:
    made = {"mask": np.stack(masks) if masks else np.zeros((0, HEIGHT, WIDTH), np.uint8)}
    offsets = np.arange(len(masks), dtype=np.int64) * 10
    return persons.from_outputs(made, spec=spec(**settings), frame_offset=offsets, source_size=size)


def mask(rows: slice = slice(0), columns: slice = slice(0), value: int = 200) -> Mask:
    made = np.zeros((HEIGHT, WIDTH), np.uint8)
    made[rows, columns] = value
    return made


def test_the_mask_at_its_own_size() -> None:
    found = read([mask(), mask(slice(5, 15), slice(10, 30)), mask()])
    assert found.frame_offset.tolist() == [10]
    assert found.class_name.tolist() == ["person"]
    assert found.confidence.tolist() == [np.float32(200 / 255)]
    assert found.xcycwh.tolist() == [[20, 10, 20, 10]]
    inside = decode(found.mask[0], (WIDTH, HEIGHT))
    assert np.array_equal(inside, mask(slice(5, 15), slice(10, 30)) > 0)


def test_the_confidence_is_that_of_the_pixels_inside() -> None:
    both = mask(slice(0, 10), slice(0, 40), 255) | mask(slice(10, 20), slice(0, 40), 127)
    half = mask(slice(0, 10), slice(0, 40), 255) | mask(slice(10, 20), slice(0, 40), 128)
    assert read([both, half]).confidence.tolist() == [1.0, np.float32((255 + 128) / 2 / 255)]


def test_the_mask_is_brought_to_the_source_before_it_is_cut() -> None:
    """Between 0 and 200 lie 127.5 at a place of its own, which no enlarged yes-or-no picture could know."""
    found = read([mask(slice(0, 20), slice(20, 40))], (400, 100))
    inside = decode(found.mask[0], (400, 100))
    row = np.interp((np.arange(400) + 0.5) / 10 - 0.5, np.arange(40), mask(slice(0, 20), slice(20, 40))[0]) >= 127.5
    assert np.array_equal(inside, np.tile(row, (100, 1)))
    first = int(np.flatnonzero(row)[0])
    assert first == 201
    assert found.xcycwh.tolist() == [[(first + 400) / 2, 50, 400 - first, 100]]


@pytest.mark.parametrize(
    ("settings", "n_rows"),
    [({}, 1), ({"smallest_share": "0.01"}, 1), ({"smallest_share": "0.02"}, 0), ({"mask_threshold": "0.8"}, 0)],
)
def test_settings_of_the_model_decide(settings: dict[str, str], n_rows: int) -> None:
    assert len(read([mask(slice(0, 2), slice(0, 4))], **settings)) == n_rows  # 8 of 800 pixels


def test_a_threshold_of_nothing_and_a_share_of_nothing_still_need_a_pixel() -> None:
    assert len(read([mask()], smallest_share="0")) == 0


def test_a_mask_that_no_source_pixel_meets_gives_no_row() -> None:
    corner = mask(slice(0, 4), slice(0, 4))
    assert len(read([corner], (1, 1))) == 0
    assert decode(read([255 - corner], (1, 1)).mask[0], (1, 1)).tolist() == [[True]]


def test_no_pictures() -> None:
    assert len(read([])) == 0


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, HEIGHT, WIDTH), np.float32), np.zeros((1, WIDTH, HEIGHT), np.uint8)], ids=["type", "shape"]
)
def test_another_map_is_refused(wrong: Any) -> None:
    with pytest.raises(TensorMismatch, match="mask"):
        persons.from_outputs({"mask": wrong}, spec=spec(), frame_offset=np.zeros(1, np.int64), source_size=(8, 8))
