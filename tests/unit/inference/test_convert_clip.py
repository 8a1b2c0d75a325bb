"""The converters of CLIP ViT-B/32 on small graphs with its tensors."""

from __future__ import annotations

import gzip

import numpy as np
import onnx
import onnxruntime
import pytest

from clip_reference import texts, vision
from framehouse.errors import ConfigError
from framehouse.inference.convert import clip


def run(model: bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


def test_pictures_reach_the_network_as_the_reference_computes_them() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (clip.MEAN, clip.STD))
    pixels = (picture.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255) - mean) / std
    assert np.array_equal(run(clip.vision(vision()), {"image": picture}), run(vision(), {"pixel_values": pixels}))


def test_tokens_reach_the_network_as_they_are() -> None:
    tokens = np.array([[49406, 320, 736, 49407]], np.int64)
    assert np.array_equal(run(clip.text(texts()), {"tokens": tokens}), run(texts(), {"input_ids": tokens}))


def test_the_same_file_gives_the_same_bytes() -> None:
    assert clip.vision(vision()) == clip.vision(vision())
    assert clip.text(texts()) == clip.text(texts())


def test_other_outputs_go() -> None:
    model = onnx.load_from_string(vision())
    hidden = onnx.helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, ["batch_size", None])
    model.graph.output.insert(0, hidden)
    made = onnx.load_from_string(clip.vision(model.SerializeToString()))
    assert [port.name for port in made.graph.output] == ["embedding"]
    assert [dim.dim_value for dim in made.graph.output[0].type.tensor_type.shape.dim] == [0, 512]


@pytest.mark.parametrize(
    ("convert", "file", "said"),
    [
        (clip.vision, b"<html>", "not an ONNX file"),
        (clip.vision, b"", "from"),
        (clip.vision, texts(), "input_ids"),
        (clip.text, vision(), "pixel_values"),
        (clip.tokenizer, b"no gzip", "not a packed vocabulary"),
        (clip.tokenizer, gzip.compress(b"version\na b\n", mtime=0), "merges"),
    ],
)
def test_files_of_another_kind_are_refused(convert: object, file: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        convert(file)  # type: ignore[operator]
    assert caught.value.code == "models.convert"
