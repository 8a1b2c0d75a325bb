"""The detector's adapter: outputs to rows in source pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.errors import FramehouseError, TensorMismatch
from framehouse.inference.adapters import detector
from framehouse.inference.specs import ModelSpec
from framehouse.results.records.boxes import Detections
from framehouse.video.framing import stretched

SOURCE = (1024, 256)  # twice as wide, half as high as the input
LABELS = ("person", "bicycle", "car")


def spec(floor: float = 0.1) -> ModelSpec:
    return ModelSpec(
        "detector/1", "detector", "1", "detector", "detections", "detector", "1", stretched((512, 512)), 8, LABELS,
        "d" * 32, floor,
    )  # fmt: skip


def outputs(*pictures: list[tuple[float, ...]], slots: int = 5) -> dict[str, Any]:
    """Model outputs; a box is (x1, y1, x2, y2, score, class). Unused slots hold nonsense that must not be read."""
    boxes = np.full((len(pictures), slots, 4), np.nan, np.float32)
    scores = np.full((len(pictures), slots), 7, np.float32)
    classes = np.full((len(pictures), slots), 99, np.int32)
    for i, rows in enumerate(pictures):
        for j, row in enumerate(rows):
            boxes[i, j], scores[i, j], classes[i, j] = row[:4], row[4], int(row[5])
    count = np.array([[len(rows)] for rows in pictures], np.int32).reshape(-1, 1)
    return {"boxes": boxes, "scores": scores, "classes": classes, "count": count}


def rows(found: Detections) -> list[tuple[Any, ...]]:
    fields = zip(found.frame_offset, found.class_name, found.confidence, found.xcycwh, strict=True)
    return [(int(f), n, round(float(c), 4), [round(float(v), 3) for v in box]) for f, n, c, box in fields]


def read(made: dict[str, Any], offsets: list[int], floor: float = 0.1) -> Detections:
    return detector.from_outputs(made, spec=spec(floor), frame_offset=np.array(offsets, np.int64), source_size=SOURCE)


BOX = (100.0, 200.0, 140.0, 300.0)
IN_SOURCE = [240.0, 125.0, 80.0, 50.0]  # centre form, x doubled, y halved

CASES: list[tuple[str, dict[str, Any], list[int], list[tuple[Any, ...]]]] = [
    ("no pictures", outputs(), [], []),
    ("nothing seen", outputs([], []), [3, 9], []),
    ("one", outputs([(*BOX, 0.5, 2)]), [7], [(7, "car", 0.5, IN_SOURCE)]),
    (
        "by frame, then falling confidence",
        outputs([(*BOX, 0.2, 0), (*BOX, 0.9, 1)], [], [(*BOX, 0.95, 0)]),
        [0, 6, 12],
        [(0, "bicycle", 0.9, IN_SOURCE), (0, "person", 0.2, IN_SOURCE), (12, "person", 0.95, IN_SOURCE)],
    ),
    (
        "a tie goes by class, then by place",
        outputs([(20, 0, 40, 20, 0.5, 1), (10, 0, 30, 20, 0.5, 1), (50, 0, 60, 20, 0.5, 0)]),
        [0],
        [
            (0, "person", 0.5, [110.0, 5.0, 20.0, 10.0]),
            (0, "bicycle", 0.5, [40.0, 5.0, 40.0, 10.0]),
            (0, "bicycle", 0.5, [60.0, 5.0, 40.0, 10.0]),
        ],
    ),
    (
        "clipped to the picture",
        outputs([(-20, -8, 600, 520, 0.5, 0)]),
        [0],
        [(0, "person", 0.5, [512, 128, 1024, 256])],
    ),
    (
        "wholly outside is dropped",
        outputs([(-30, 0, -10, 20, 0.5, 0), (*BOX, 0.4, 0)]),
        [0],
        [(0, "person", 0.4, IN_SOURCE)],
    ),
    ("turned inside out is dropped", outputs([(40, 0, 20, 20, 0.5, 0)]), [0], []),
    ("below the floor is dropped", outputs([(*BOX, 0.0999, 0), (*BOX, 0.1, 0)]), [0], [(0, "person", 0.1, IN_SOURCE)]),
]


@pytest.mark.parametrize(("made", "offsets", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_rows(made: dict[str, Any], offsets: list[int], expected: list[tuple[Any, ...]]) -> None:
    assert rows(read(made, offsets)) == expected


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in outputs([(*BOX, 0.5, 0)]).items() if key != name}


UGLY: list[tuple[str, dict[str, Any]]] = [
    *((f"no {name}", without(name)) for name in ("boxes", "scores", "classes", "count")),
    ("another batch", outputs([], [])),
    ("five numbers a box", without("boxes") | {"boxes": np.zeros((1, 5, 5), np.float32)}),
    ("lists of different length", without("scores") | {"scores": np.zeros((1, 4), np.float32)}),
    ("more boxes than slots", without("count") | {"count": np.array([[6]], np.int32)}),
    ("a negative count", without("count") | {"count": np.array([[-1]], np.int32)}),
    ("an unknown class", outputs([(*BOX, 0.5, 3)])),
    ("a negative class", outputs([(*BOX, 0.5, -1)])),
    ("a box that is no number", outputs([(np.nan, 0, 1, 1, 0.5, 0)])),
    ("an endless box", outputs([(0, 0, np.inf, 1, 0.5, 0)])),
    ("a score that is no number", outputs([(*BOX, np.nan, 0)])),
    ("a score above one", outputs([(*BOX, 1.5, 0)])),
]


@pytest.mark.parametrize("made", [u[1] for u in UGLY], ids=[u[0] for u in UGLY])
def test_ugly_outputs_are_named_and_not_retried(made: dict[str, Any]) -> None:
    with pytest.raises(FramehouseError) as caught:
        read(made, [0])
    assert caught.value.code in {"inference.tensor_mismatch", "results.contract"}
    assert not caught.value.retryable


def test_pictures_go_in_unchanged() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (2, 512, 512, 3), np.uint8)
    made = detector.to_inputs(pictures)
    assert list(made) == ["image"]
    assert np.array_equal(made["image"], pictures)


@pytest.mark.parametrize(
    "pictures", [np.zeros((2, 4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 4, 4, 3), np.float32)]
)
def test_other_arrays_are_refused(pictures: Any) -> None:
    with pytest.raises(TensorMismatch):
        detector.to_inputs(pictures)


box = st.tuples(*[st.floats(-50, 600, width=32)] * 4, st.sampled_from([0.1, 0.3, 0.30000001, 0.9]), st.integers(0, 2))


@given(st.lists(box, max_size=5), st.randoms(use_true_random=False))
def test_order_in_the_outputs_does_not_matter(found: list[tuple[float, ...]], random: Any) -> None:
    shuffled = random.sample(found, len(found))
    assert rows(read(outputs(found), [4])) == rows(read(outputs(shuffled), [4]))


@given(st.lists(box, max_size=5))
def test_every_box_lies_in_the_picture(found: list[tuple[float, ...]]) -> None:
    x, y, width, height = read(outputs(found), [4]).xcycwh.T
    assert (width > 0).all() and (height > 0).all()
    assert (x - width / 2 >= -1e-3).all() and (x + width / 2 <= SOURCE[0] + 1e-3).all()
    assert (y - height / 2 >= -1e-3).all() and (y + height / 2 <= SOURCE[1] + 1e-3).all()
