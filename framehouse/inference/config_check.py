"""Whether the files of a model repository fit each other; `repository.check` is the way in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError, FramehouseError
from framehouse.inference.adapters.base import Adapter
from framehouse.inference.convert.graph import IR_VERSION, import_onnx
from framehouse.inference.exports.source import NEWEST_OPSET
from framehouse.inference.model_config import CONFIG_NAME, Folders, called, ensemble_steps, find_folders, read_config
from framehouse.inference.pbtxt import Message
from framehouse.inference.profiles import profile_findings
from framehouse.inference.specs import ModelSpec

_ELEMENT_TYPES = {
    **{"TYPE_FP32": 1, "TYPE_UINT8": 2, "TYPE_INT8": 3, "TYPE_UINT16": 4, "TYPE_INT16": 5, "TYPE_INT32": 6},
    **{"TYPE_INT64": 7, "TYPE_STRING": 8, "TYPE_BOOL": 9, "TYPE_FP16": 10, "TYPE_FP64": 11, "TYPE_UINT32": 12},
    **{"TYPE_UINT64": 13, "TYPE_BF16": 16},
}
"""Triton's type names to `onnx.TensorProto` numbers."""
_ARRAY_TYPES = {
    **{f"TYPE_{kind}{bits}": f"{kind.lower()}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)},
    **{"TYPE_FP16": "float16", "TYPE_FP32": "float32", "TYPE_FP64": "float64", "TYPE_BOOL": "bool"},
    **{"TYPE_STRING": "object"},
}
"""Triton's type names to numpy's."""
_LARGEST_TENSOR = 2**26
_LOWEST_DEFAULT = 0.4
"""The threshold that a job asks for unless told otherwise; a model that stores from above it could not be asked."""


def config_findings(folders: Folders) -> Iterator[tuple[str, str]]:
    """(model, what does not fit) over all folders with a configuration.

    Raises:
        ConfigError: onnx is not installed and there is an ONNX file to read.
    """
    configs: dict[str, Message] = {}
    for model in sorted(folders):
        try:
            configs[model] = read_config(folders, model)
        except ConfigError as error:
            yield model, error.message
    for model, config in configs.items():
        yield from ((model, text) for text in _folder_findings(folders[model], config))
        yield from ((model, text) for text in profile_findings(folders[model], config))
        yield from ((model, text) for text in _step_findings(folders, config))
        yield from ((model, text) for text in _ensemble_findings(config, configs))


def duplicate_findings(roots: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(model, where else) of folders that hide one of the same name: Triton starts with neither."""
    for model, folder in find_folders(roots).items():
        hidden = [root / model for root in roots if root != folder.parent and (root / model / CONFIG_NAME).is_file()]
        yield from ((model, f"is in two repositories: {folder} and {other}") for other in hidden)


def adapter_findings(spec: ModelSpec, adapter: Adapter, config: Message) -> Iterator[str]:
    """Whether the configuration takes what the adapter sends and gives what it reads: one picture of noughts is tried.

    Args:
        spec: of the model.
        adapter: of its family.
        config: its configuration; free dimensions are taken as 1.
    """
    if spec.confidence_floor > _LOWEST_DEFAULT:
        yield f"its confidence_floor {spec.confidence_floor} is above the default threshold {_LOWEST_DEFAULT}"
    batched = int(config.get("max_batch_size", [0])[0]) > 0
    size = (spec.framing.width, spec.framing.height)
    for port in (*config.get("input", []), *config.get("output", [])):
        if math.prod(max(1, dim) for dim in port.get("dims", [])) > _LARGEST_TENSOR:
            yield f"{port['name'][0]} is too large: {port['dims']}"
            return
    try:
        sent = adapter.to_inputs(np.zeros((1, size[1], size[0], 3), np.uint8))
        answer = {str(port["name"][0]): _noughts(port, batched) for port in config.get("output", [])}
        adapter.from_outputs(answer, spec=spec, frame_offset=np.zeros(1, np.int64), source_size=size)
    except FramehouseError as error:
        yield f"family {spec.family}: {error.message}"
        return
    except (KeyError, IndexError, ValueError, TypeError) as error:
        yield f"family {spec.family}: cannot read these outputs ({type(error).__name__}: {error})"
        return
    taken = {str(port["name"][0]): _noughts(port, batched) for port in config.get("input", [])}
    if {name: (array.dtype, array.ndim) for name, array in sent.items()} != {
        name: (array.dtype, array.ndim) for name, array in taken.items()
    }:
        yield f"family {spec.family} sends {_shown(sent)}, config.pbtxt takes {_shown(taken)}"


def _noughts(port: Message, batched: bool) -> NDArray[Any]:
    """A tensor as a port states it, with one picture and free dimensions of 1; texts are empty."""
    dims = [max(1, int(dim)) for dim in port.get("dims", [])]
    made = np.zeros([1, *dims] if batched else dims, _ARRAY_TYPES.get(str(port["data_type"][0]), "object"))
    if made.dtype == np.object_:
        made[...] = b""
    return made


def _shown(tensors: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {array.dtype} of {array.ndim} dimensions" for name, array in sorted(tensors.items()))


def _folder_findings(folder: Path, config: Message) -> Iterator[str]:
    if config.get("name", [folder.name]) != [folder.name]:
        yield f"config.pbtxt names it {config['name'][0]!r}"
    ports = [*config.get("input", []), *config.get("output", [])]
    yield from (
        f"tensor name {port['name'][0]!r} is not a lower-case word"
        for port in ports
        if not str(port["name"][0]).replace("_", "a").isalnum() or port["name"][0] != port["name"][0].lower()
    )
    versions = sorted(path for path in folder.glob("*/") if path.name.isdigit())
    if not versions:
        yield "has no version folder"
    backend = config.get("backend", config.get("platform", [""]))[0]
    file = {"python": "model.py", "onnxruntime": "model.onnx"}.get(str(backend))
    if file is None:
        if backend != "ensemble":
            yield f"unknown backend {backend!r}"
        return
    for version in versions:
        if not (version / file).is_file():
            yield f"version {version.name} has no {file}"
        elif backend == "onnxruntime":
            yield from (f"version {version.name}: {text}" for text in _onnx_findings(version / file, config))


def _onnx_findings(path: Path, config: Message) -> Iterator[str]:
    """An ONNX file against the configuration: names, types, dimensions, age of the format."""
    onnx = import_onnx()
    message: type[Exception] = import_onnx("google.protobuf.message").DecodeError
    try:
        model = onnx.load(path)
    except message as error:
        yield f"{path.name} cannot be read: {error}"
        return
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if model.ir_version > IR_VERSION or opset > NEWEST_OPSET:
        read = f"servers in use read up to {IR_VERSION} and {NEWEST_OPSET}"
        yield f"{path.name} is IR {model.ir_version}, opset {opset}; {read}"
    batched = int(config.get("max_batch_size", [0])[0]) > 0
    constants = {tensor.name for tensor in model.graph.initializer}
    real = [
        ("input", [port for port in model.graph.input if port.name not in constants]),
        ("output", model.graph.output),
    ]
    for side, ports in real:
        found = {port.name: (port.type.tensor_type.elem_type, _dims(port)) for port in ports}
        stated = {str(port["name"][0]): _stated(port, batched) for port in config.get(side, [])}
        yield from (f"{side} {name} is not in {path.name}" for name in sorted(set(stated) - set(found)))
        if side == "input":
            yield from (f"{side} {name} is not in config.pbtxt" for name in sorted(set(found) - set(stated)))
        for name in sorted(set(found) & set(stated)):
            if not _fits(stated[name], found[name]):
                yield f"{side} {name} is {stated[name]} in config.pbtxt, {found[name]} in {path.name}"


def _dims(port: Any) -> list[int]:
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in port.type.tensor_type.shape.dim]


def _stated(port: Message, batched: bool) -> tuple[int, list[int]]:
    dims = [int(dim) for dim in port.get("dims", [])]
    return _ELEMENT_TYPES.get(str(port["data_type"][0]), 0), [-1, *dims] if batched else dims


def _fits(stated: tuple[int, list[int]], found: tuple[int, list[int]]) -> bool:
    """Same type, same rank, and dimensions that are equal or free on one side; a batch must be free in the file."""
    if stated[0] != found[0] or len(stated[1]) != len(found[1]):
        return False
    return all(have in (want, -1) for want, have in zip(stated[1], found[1], strict=True))


def _step_findings(folders: Folders, config: Message) -> Iterator[str]:
    """Every step and every called model is there, and pinned."""
    for name, version in called(config):
        if name not in folders:
            yield f"step {name} is not in the repository"
        elif not version or not (folders[name] / version).is_dir():
            yield f"step {name} must be pinned to a version that is there, not {version or -1}"


def _ensemble_findings(config: Message, configs: Mapping[str, Message]) -> Iterator[str]:
    """Follow the tensors through an ensemble: every step fed with what it takes."""
    steps = [step for step in ensemble_steps(config) if str(step["model_name"][0]) in configs]
    if not steps:
        return
    tensors = {str(port["name"][0]): port_of(port) for port in config.get("input", [])}
    for step in steps:
        name = str(step["model_name"][0])
        yield from _map_findings(name, step, configs[name], tensors)
    for port in config.get("output", []):
        if tensors.get(str(port["name"][0])) != port_of(port):
            yield f"output {port['name'][0]} is {port_of(port)}, the steps give {tensors.get(str(port['name'][0]))}"


def _map_findings(name: str, step: Message, config: Message, tensors: dict[str, Any]) -> Iterator[str]:
    """Check one step's inputs against the tensors so far, and add its outputs to them."""
    inputs = {str(port["name"][0]): port_of(port) for port in config.get("input", [])}
    outputs = {str(port["name"][0]): port_of(port) for port in config.get("output", [])}
    fed = {str(entry["key"][0]): str(entry["value"][0]) for entry in step.get("input_map", [])}
    yield from (f"step {name} does not get its input {key}" for key in sorted(set(inputs) - set(fed)))
    for key, tensor in fed.items():
        if inputs.get(key) != tensors.get(tensor):
            yield f"step {name} takes {key} as {inputs.get(key)}, {tensor} is {tensors.get(tensor)}"
    for entry in step.get("output_map", []):
        key = str(entry["key"][0])
        if key not in outputs:
            yield f"step {name} has no output {key}"
        tensors[str(entry["value"][0])] = outputs.get(key)


def port_of(port: Message) -> tuple[str, list[int]]:
    """Type and dimensions (without the batch) of an input or output of a configuration."""
    return str(port["data_type"][0]), [int(dim) for dim in port.get("dims", [])]
