"""What every adapter must keep to. A new family is tested by its entry in the registry and one sample of outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Adapter
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.specs import ModelSpec
from framehouse.results.contract import KINDS, Detections
from framehouse.results.parts import PartHeader, read_part, write_part

INPUT, SOURCE, MAX_BATCH = (64, 48), (1920, 1080), 8
SIZES = [0, 1, MAX_BATCH]


def detector_outputs(n: int) -> dict[str, Any]:
    """Picture i shows i % 3 boxes."""
    rng = np.random.default_rng(n)
    low = rng.uniform(0, 30, (n, 100, 2))
    return {
        "boxes": np.concatenate([low, low + rng.uniform(1, 30, (n, 100, 2))], axis=2).astype(np.float32),
        "scores": np.sort(rng.uniform(0.1, 1, (n, 100)), axis=1)[:, ::-1].astype(np.float32),
        "classes": rng.integers(0, 3, (n, 100)).astype(np.int32),
        "count": (np.arange(n) % 3).astype(np.int32).reshape(n, 1),
    }


OUTPUTS: dict[str, Callable[[int], dict[str, Any]]] = {"detector": detector_outputs}
KIND = {"detector": "detections"}

each_family = pytest.mark.parametrize("family", sorted(ADAPTERS))
each_size = pytest.mark.parametrize("n", SIZES)


def spec_of(family: str) -> ModelSpec:
    labels = ("person", "bicycle", "car")
    return ModelSpec(f"{family}/1", family, "1", family, KIND[family], family, "1", INPUT, MAX_BATCH, labels, "d", 0.1)


def read(family: str, outputs: dict[str, Any], n: int) -> Detections:
    frame_offset = np.arange(n, dtype=np.int64) * 6
    return ADAPTERS[family].from_outputs(outputs, spec=spec_of(family), frame_offset=frame_offset, source_size=SOURCE)


def test_every_family_has_a_sample() -> None:
    assert set(OUTPUTS) == set(ADAPTERS) == set(KIND)


@each_family
def test_the_version_is_a_positive_number(family: str) -> None:
    adapter: Adapter = ADAPTERS[family]
    assert isinstance(adapter.VERSION, int)
    assert adapter.VERSION >= 1


@each_family
@each_size
def test_inputs_are_a_batch_of_the_pictures(family: str, n: int) -> None:
    pictures = np.random.default_rng(n).integers(0, 256, (n, INPUT[1], INPUT[0], 3), np.uint8)
    inputs = ADAPTERS[family].to_inputs(pictures)
    assert inputs
    assert all(len(tensor) == n and tensor.flags.c_contiguous for tensor in inputs.values())


@each_family
@each_size
def test_rows_are_of_the_family_kind_and_of_the_frames_asked(family: str, n: int) -> None:
    rows = read(family, OUTPUTS[family](n), n)
    assert isinstance(rows, KINDS[KIND[family]])
    assert set(rows.frame_offset.tolist()) <= set(range(0, 6 * n, 6))
    assert (len(rows) > 0) == (n > 1)


@each_family
@each_size
def test_a_batch_gives_the_rows_of_its_frames_one_by_one(family: str, n: int) -> None:
    outputs, adapter = OUTPUTS[family](n), ADAPTERS[family]
    singly = [
        adapter.from_outputs(
            {name: tensor[i : i + 1] for name, tensor in outputs.items()},
            spec=spec_of(family), frame_offset=np.array([6 * i], np.int64), source_size=SOURCE,
        )
        for i in range(n)
    ]  # fmt: skip
    together = read(family, outputs, n)
    assert as_json(KINDS[KIND[family]].concat(singly)) == as_json(together)


@each_family
@each_size
def test_rows_survive_json_and_a_part(family: str, n: int, tmp_path: Path) -> None:
    rows = read(family, OUTPUTS[family](n), n)
    frame_offset = np.arange(n, dtype=np.int64) * 6
    part = write_part(
        tmp_path, PartHeader("v", "c000000000", f"{family}/1", "d", rows.kind), frame_offset=frame_offset,
        pts=frame_offset, time_offset_s=frame_offset / 30, gap_reason=np.full(n, None, np.object_),
        infer_s=np.zeros(n, np.float32), rows=rows,
    )  # fmt: skip
    assert as_json(read_part(Path(part.path)).rows) == as_json(rows)
    values = json.loads(as_json(rows))
    columns = {name: np.array(values[name], array.dtype) for name, array in rows.columns().items()}
    again = type(rows).from_columns(np.array(values["frame_offset"], np.int64), columns)
    assert as_json(again) == as_json(rows)


@each_family
def test_a_missing_output_and_another_batch_are_named(family: str) -> None:
    outputs = OUTPUTS[family](2)
    for name in outputs:
        with pytest.raises(TensorMismatch, match=name):
            read(family, {key: tensor for key, tensor in outputs.items() if key != name}, 2)
    with pytest.raises(TensorMismatch):
        read(family, outputs, 3)


@each_family
def test_outputs_are_left_alone(family: str) -> None:
    outputs = OUTPUTS[family](2)
    for tensor in outputs.values():
        tensor.setflags(write=False)  # as they come from gRPC
    assert len(read(family, outputs, 2)) == 1


def as_json(rows: Any) -> str:
    columns = {"frame_offset": rows.frame_offset, **rows.columns()}
    return json.dumps({name: array.tolist() for name, array in columns.items()}, allow_nan=False)
