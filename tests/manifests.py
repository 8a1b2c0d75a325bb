"""A manifest for tests: one entry whose model is a small graph, served as the test says."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from onnx import TensorProto, helper

CARD = """
slug = "{name}"
title = "A box that follows the first pixels"
family = "detector"
kind = "detections"
max_batch = 1
labels = "labels.txt"
n_classes = 2

[input]
name = "image"
width = 8
height = 8
colour = "RGB"
resize = "stretch"

[[versions]]
version = "1"
triton_version = "1"

[[weights]]
file = "{name}_network/1/model.onnx"
sha256 = "{sha256}"
size_bytes = {size}
origin = "made for a test"
licence = "Apache-2.0"
copyright = "Framehouse"

[speed]
server_cpu_ms_per_frame = [{{ instances = 1, threads = 1, batch = 1, ms = 3 }}]
"""
PORTS = """
max_batch_size: 8
input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] }} ]
output [
  {{ name: "boxes" data_type: TYPE_FP32 dims: [ 1, 4 ] }},
  {{ name: "scores" data_type: TYPE_FP32 dims: [ 1 ] }},
  {{ name: "classes" data_type: TYPE_INT32 dims: [ 1 ] }},
  {{ name: "count" data_type: TYPE_INT32 dims: [ 1 ] }}
]
version_policy: {{ specific: {{ versions: [ 1 ] }} }}
"""
ENSEMBLE = (
    'name: "{name}"\nplatform: "ensemble"'
    + PORTS
    + """
ensemble_scheduling {{
  step [
    {{
      model_name: "{name}_network"
      model_version: 1
      input_map {{ key: "image" value: "image" }}
      output_map {{ key: "boxes" value: "boxes" }}
      output_map {{ key: "scores" value: "scores" }}
      output_map {{ key: "classes" value: "classes" }}
      output_map {{ key: "count" value: "count" }}
    }}
  ]
}}
"""
)
NETWORK = (
    'name: "{name}_network"\nbackend: "onnxruntime"'
    + PORTS
    + """
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "1" }} }}
"""
)


def weights(n_ballast: int = 50_000) -> bytes:
    """An ONNX file with the detector's outputs; `n_ballast` floats make it large enough to break off in the middle."""
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "four", "one"], ["corners"]),
        helper.make_node("Reshape", ["corners", "box_shape"], ["boxes"]),
        helper.make_node("Slice", ["flat", "zero", "one", "one"], ["first"]),
        helper.make_node("Sigmoid", ["first"], ["scores"]),
        helper.make_node("Mul", ["first", "nought"], ["none"]),
        helper.make_node("Cast", ["none"], ["classes"], to=TensorProto.INT32),
        helper.make_node("Add", ["none", "unit"], ["some"]),
        helper.make_node("Cast", ["some"], ["count"], to=TensorProto.INT32),
    ]
    outputs = [("boxes", 1, ["N", 1, 4]), ("scores", 1, ["N", 1]), ("classes", 6, ["N", 1]), ("count", 6, ["N", 1])]
    constants = [
        *(helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in [("zero", 0), ("four", 4)]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("box_shape", TensorProto.INT64, [3], [-1, 1, 4]),
        helper.make_tensor("nought", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("unit", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("ballast", TensorProto.FLOAT, [n_ballast], bytes(4 * n_ballast), raw=True),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info(*output) for output in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def classifier(n_classes: int = 3) -> bytes:
    """A plain classifier as people export it: [N, 3, 32, 32] to a number per class."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    values = [float((i * 7) % 5 - 2) for i in range(3 * n_classes)]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", n_classes])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [3, n_classes], values)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def stand_in(dims: list[int | str], outputs: dict[str, list[int]]) -> bytes:
    """A graph with the input and outputs of a published network, whose every answer is one half."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "one", "one"], ["first"]),
        helper.make_node("Mul", ["first", "nought"], ["none"]),
        helper.make_node("Sigmoid", ["none"], ["half"]),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("nought", TensorProto.FLOAT, [1], [0.0]),
    ]
    for name, shape in outputs.items():
        constants.append(
            helper.make_tensor(f"{name}/ones", TensorProto.INT64, [1 + len(shape)], [-1, *[1] * len(shape)])
        )
        constants.append(helper.make_tensor(f"{name}/shape", TensorProto.INT64, [1 + len(shape)], [1, *shape]))
        nodes.append(helper.make_node("Reshape", ["half", f"{name}/ones"], [f"{name}/halves"]))
        nodes.append(helper.make_node("Expand", [f"{name}/halves", f"{name}/shape"], [name]))
    graph = helper.make_graph(
        nodes,
        "stand_in",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [dims[0], *shape]) for name, shape in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    return bytes(model.SerializeToString())


def write_added_entry(manifest: Path, url: str, content: bytes, answers: str) -> Path:
    """An entry whose one file is for `models add`, with the answers given as lines of TOML."""
    folder = manifest / "bright"
    folder.mkdir(parents=True)
    (folder / "pull.toml").write_text(
        f'name = "bright"\ntitle = "Bright or dark"\nlicence = "MIT"\n\n[[files]]\nsource = "url"\nurl = "{url}"\n'
        f'sha256 = "{sha256(content)}"\nsize_bytes = {len(content)}\n\n[add]\nslug = "bright"\nversion = 1\n{answers}\n'
    )
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_entry(
    manifest: Path, url: str, content: bytes, *, name: str = "tiny", notice: str = "", cap_bytes: int = 0
) -> Path:
    """One entry whose network is `content` at `url`; returns its folder."""
    folder = manifest / name
    tree = folder / "models"
    for model, config in [(name, ENSEMBLE), (f"{name}_network", NETWORK)]:
        (tree / model / "1").mkdir(parents=True)
        (tree / model / "1" / "README").write_text("a version\n")
        (tree / model / "config.pbtxt").write_text(config.format(name=name))
    (tree / name / "card.toml").write_text(CARD.format(name=name, sha256=sha256(content), size=len(content)))
    (tree / name / "labels.txt").write_text("box\nother\n")
    size = f"cap_bytes = {cap_bytes}" if cap_bytes else f"size_bytes = {len(content)}"
    (folder / "pull.toml").write_text(
        f'name = "{name}"\ntitle = "A tiny one"\nlicence = "Apache-2.0"\nnotice = "{notice}"\n\n[[files]]\n'
        f'source = "url"\nurl = "{url}"\nsha256 = "{sha256(content)}"\n{size}\n'
        f'target = "{name}_network/1/model.onnx"\n'
    )
    return folder


def write_wheel(folder: Path, member: str, content: bytes, *, name: str = "framehouse_tiny_weights") -> Path:
    """A wheel that carries one file."""
    info = f"{name}-1.0.dist-info"
    files = {
        member: content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]).encode()
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, data in files.items():
            wheel.writestr(file, data)
    return path
