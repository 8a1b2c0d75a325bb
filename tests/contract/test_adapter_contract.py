"""What every adapter must keep to. A new family is tested by its entry in the registry and one sample of outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter_samples import SAMPLES, SOURCE
from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Adapter
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.results.contract import FrameRows
from framehouse.results.kinds import KINDS
from framehouse.results.parts import PartHeader, read_part, write_part

each_family = pytest.mark.parametrize("family", sorted(ADAPTERS))
each_size = pytest.mark.parametrize(
    ("family", "n"), [(family, n) for family in sorted(SAMPLES) for n in SAMPLES[family].sizes]
)


def read(family: str, outputs: dict[str, Any], n: int, first: int = 0) -> FrameRows:
    frame_offset = np.arange(first, first + n, dtype=np.int64) * 6
    spec = SAMPLES[family].spec(family)
    return ADAPTERS[family].from_outputs(outputs, spec=spec, frame_offset=frame_offset, source_size=SOURCE)


def test_every_family_has_a_sample() -> None:
    assert set(SAMPLES) == set(ADAPTERS)


@each_family
def test_the_version_is_a_positive_number(family: str) -> None:
    adapter: Adapter = ADAPTERS[family]
    assert isinstance(adapter.VERSION, int)
    assert adapter.VERSION >= 1


@each_size
def test_inputs_are_a_batch_of_the_pictures(family: str, n: int) -> None:
    width, height = SAMPLES[family].framing.picture_size(SOURCE)
    pictures = np.random.default_rng(n).integers(0, 256, (n, height, width, 3), np.uint8)
    inputs = ADAPTERS[family].to_inputs(pictures)
    assert inputs
    assert all(tensor.flags.c_contiguous for tensor in inputs.values())
    assert sum(tensor.nbytes for tensor in inputs.values()) >= pictures.nbytes
    (image,) = [tensor for tensor in inputs.values() if tensor.dtype == np.uint8]
    assert np.array_equal(image.reshape(pictures.shape), pictures)


@each_family
def test_inputs_of_another_type_are_refused(family: str) -> None:
    with pytest.raises(TensorMismatch):
        ADAPTERS[family].to_inputs(np.zeros((1, 8, 8, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(TensorMismatch):
        ADAPTERS[family].to_inputs(np.zeros((8, 8, 3), np.uint8))


@each_size
def test_rows_are_of_the_sample_kind_and_of_the_frames_asked(family: str, n: int) -> None:
    sample = SAMPLES[family]
    rows = read(family, sample.outputs(n), n)
    assert type(rows) is KINDS[sample.kind]
    found = {offset: int((rows.frame_offset == offset).sum()) for offset in set(rows.frame_offset.tolist())}
    assert found == {6 * i: sample.rows_of(i) for i in range(n) if sample.rows_of(i)}


@each_size
def test_a_batch_gives_the_rows_of_its_frames_one_by_one(family: str, n: int) -> None:
    if SAMPLES[family].max_batch == 1:
        return  # there is no other way
    outputs = SAMPLES[family].outputs(n)
    singly = [read(family, {name: t[i : i + 1] for name, t in outputs.items()}, 1, first=i) for i in range(n)]
    assert as_json(KINDS[SAMPLES[family].kind].concat(singly)) == as_json(read(family, outputs, n))


@each_size
def test_rows_survive_json_and_a_part(family: str, n: int, tmp_path: Path) -> None:
    rows = read(family, SAMPLES[family].outputs(n), n)
    frame_offset = np.arange(n, dtype=np.int64) * 6
    part = write_part(
        tmp_path, PartHeader("v", "c000000000", f"{family}/1", "d", rows.kind), frame_offset=frame_offset,
        pts=frame_offset, time_offset_s=frame_offset / 30, gap_reason=np.full(n, None, np.object_),
        infer_s=np.zeros(n, np.float32), rows=rows,
    )  # fmt: skip
    assert as_json(read_part(Path(part.path)).rows) == as_json(rows)
    if len(rows):
        values = json.loads(as_json(rows))
        columns = {name: np.array(values[name], array.dtype) for name, array in rows.columns().items()}
        again = type(rows).from_columns(np.array(values["frame_offset"], np.int64), columns)
        assert as_json(again) == as_json(rows)


@each_family
def test_a_missing_output_and_another_batch_are_named(family: str) -> None:
    n = min(2, SAMPLES[family].max_batch)
    outputs = SAMPLES[family].outputs(n)
    for name in outputs:
        with pytest.raises(TensorMismatch, match=name):
            read(family, {key: tensor for key, tensor in outputs.items() if key != name}, n)
    with pytest.raises(TensorMismatch):
        read(family, outputs, n + 1)


@each_family
def test_outputs_are_left_alone(family: str) -> None:
    n = min(2, SAMPLES[family].max_batch)
    outputs = SAMPLES[family].outputs(n)
    for tensor in outputs.values():
        tensor.setflags(write=False)  # as they come from gRPC
    assert len(read(family, outputs, n)) == sum(SAMPLES[family].rows_of(i) for i in range(n))


def as_json(rows: FrameRows) -> str:
    columns = {"frame_offset": rows.frame_offset, **rows.columns()}
    lists = {name: array.tolist() for name, array in columns.items()}
    return json.dumps(lists, allow_nan=False) if len(rows) else "no rows"
