"""The tags' adapter: the two forms of outputs, the two kinds of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framehouse.errors import FramehouseError, TensorMismatch
from framehouse.inference.adapters import tags
from framehouse.inference.specs import ModelSpec
from framehouse.results.records.classes import Classifications, Multilabels
from framehouse.video.framing import Framing

LABELS = tuple("abcdefg")
Rows = list[tuple[int, str, float]]


def spec(kind: str = "classifications", floor: float = 0.1, **settings: str) -> ModelSpec:
    framing = Framing("crop", 224, 224, short_side=256)
    return ModelSpec("t/1", "t", "1", "tags", kind, "t", "1", framing, 8, LABELS, "d", floor, settings, ("t",))


def read(outputs: dict[str, Any], offsets: list[int], model: ModelSpec) -> Rows:
    found = tags.from_outputs(
        outputs, spec=model, frame_offset=np.array(offsets, np.int64), source_size=(640, 272)
    )  # fmt: skip
    assert type(found) is {"classifications": Classifications, "multilabels": Multilabels}[model.kind]
    columns = zip(found.frame_offset, found.class_name, found.confidence, strict=True)
    assert [LABELS[i] for i in found.class_id] == list(found.class_name)
    return [(int(offset), name, round(float(confidence), 4)) for offset, name, confidence in columns]


def chosen(*pictures: list[tuple[int, float]]) -> dict[str, Any]:
    """Outputs of a model that chooses; a class is (id, confidence)."""
    pairs = np.array(pictures, np.float64).reshape(len(pictures), len(pictures[0]) if pictures else 3, 2)
    return {"confidences": pairs[:, :, 1].astype(np.float32), "classes": pairs[:, :, 0].astype(np.int32)}


def scores(*pictures: list[float]) -> dict[str, Any]:
    return {"scores": np.array(pictures, np.float32).reshape(-1, len(LABELS))}


SEVEN = [0.05, 0.2, 0.1, 0.3, 0.2, 0.0999, 0.15]
CASES: dict[str, tuple[dict[str, Any], ModelSpec, list[int], Rows]] = {
    "no pictures": (chosen(), spec(), [], []),
    "one": (chosen([(2, 0.7), (0, 0.2)]), spec(), [7], [(7, "c", 0.7), (7, "a", 0.2)]),
    "the model's order does not matter": (
        chosen([(0, 0.2), (2, 0.7)], [(1, 0.4), (3, 0.5)]),
        spec(),
        [0, 6],
        [(0, "c", 0.7), (0, "a", 0.2), (6, "d", 0.5), (6, "b", 0.4)],
    ),
    "equal ones go by class": (
        chosen([(5, 0.3), (1, 0.3), (4, 0.3)]),
        spec(),
        [0],
        [(0, "b", 0.3), (0, "e", 0.3), (0, "f", 0.3)],
    ),
    "below the floor is dropped": (chosen([(1, 0.1), (0, 0.0999)]), spec(), [0], [(0, "b", 0.1)]),
    "without a floor all stay": (chosen([(1, 0.0), (0, 0.001)]), spec(floor=0), [0], [(0, "a", 0.001), (0, "b", 0.0)]),
    "chosen labels, each for itself": (
        chosen([(1, 0.9), (0, 0.8)]),
        spec("multilabels"),
        [0],
        [(0, "b", 0.9), (0, "a", 0.8)],
    ),
    "scores: five of them": (
        scores([0.05, 0.2, 0.1, 0.3, 0.2, 0.0999, 0.15]),
        spec(floor=0),
        [0],
        [(0, "d", 0.3), (0, "b", 0.2), (0, "e", 0.2), (0, "g", 0.15), (0, "c", 0.1)],
    ),
    "scores: as many as the configuration says": (
        scores(SEVEN, SEVEN[::-1]),
        spec(top_k="2"),
        [0, 1],
        [(0, "d", 0.3), (0, "b", 0.2), (1, "d", 0.3), (1, "c", 0.2)],
    ),
    "scores: more asked than there are": (scores([0.2, 0, 0, 0, 0, 0, 0]), spec(top_k="99"), [0], [(0, "a", 0.2)]),
    "scores, each for itself: all from the floor on": (
        scores([0.9, 0.8, 0.1, 0.7, 0.6, 0.5, 0.0999]),
        spec("multilabels", top_k="2"),
        [3],
        [(3, "a", 0.9), (3, "b", 0.8), (3, "d", 0.7), (3, "e", 0.6), (3, "f", 0.5), (3, "c", 0.1)],
    ),
    "scores: no pictures": (scores(), spec("multilabels"), [], []),
}


@pytest.mark.parametrize("name", CASES)
def test_rows(name: str) -> None:
    outputs, model, offsets, expected = CASES[name]
    assert read(outputs, offsets, model) == expected


UGLY = {
    "no outputs": {},
    "no classes": {"confidences": np.zeros((1, 2), np.float32)},
    "no confidences": {"classes": np.zeros((1, 2), np.int32)},
    "another batch": chosen([(0, 0.5)], [(0, 0.5)]),
    "lists of different length": chosen([(0, 0.5)]) | {"classes": np.zeros((1, 2), np.int32)},
    "an unknown class": chosen([(7, 0.5)]),
    "an unknown class below the floor": chosen([(7, 0.01)]),
    "a negative class": chosen([(-1, 0.5)]),
    "no number": chosen([(0, np.nan)]),
    "above one": chosen([(0, 1.5)]),
    "scores of another list of labels": {"scores": np.zeros((1, 6), np.float32)},
    "logits instead of scores": {"scores": np.full((1, 7), 9, np.float32)},
    "scores that are no numbers": scores([np.nan] * 7),
}


@pytest.mark.parametrize("name", UGLY)
@pytest.mark.parametrize("kind", ["classifications", "multilabels"])
def test_ugly_outputs_are_named_and_not_retried(name: str, kind: str) -> None:
    with pytest.raises(FramehouseError) as caught:
        read(UGLY[name], [0], spec(kind))
    assert caught.value.code in {"inference.tensor_mismatch", "results.contract"}
    assert not caught.value.retryable


def test_pictures_go_in_unchanged() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (2, 4, 6, 3), np.uint8)
    made = tags.to_inputs(pictures)
    assert list(made) == ["image"]
    assert np.array_equal(made["image"], pictures)
    with pytest.raises(TensorMismatch):
        tags.to_inputs(pictures[0])
