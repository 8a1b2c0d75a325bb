"""Whether the files of a model repository fit each other; `repository.check` is the way in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import IR_VERSION, OPSET, import_onnx
from framehouse.inference.model_config import CONFIG_NAME, ensemble_steps, read_config
from framehouse.inference.pbtxt import Message

_ELEMENT_TYPES = {
    **{"TYPE_FP32": 1, "TYPE_UINT8": 2, "TYPE_INT8": 3, "TYPE_UINT16": 4, "TYPE_INT16": 5, "TYPE_INT32": 6},
    **{"TYPE_INT64": 7, "TYPE_STRING": 8, "TYPE_BOOL": 9, "TYPE_FP16": 10, "TYPE_FP64": 11, "TYPE_UINT32": 12},
    **{"TYPE_UINT64": 13, "TYPE_BF16": 16},
}
"""Triton's type names to `onnx.TensorProto` numbers."""


def config_findings(repository: Path) -> Iterator[tuple[str, str]]:
    """(model, what does not fit) over all folders with a configuration.

    Raises:
        ConfigError: onnx is not installed and there is an ONNX file to read.
    """
    folders = sorted(path.parent for path in repository.glob(f"*/{CONFIG_NAME}"))
    configs: dict[str, Message] = {}
    for folder in folders:
        try:
            configs[folder.name] = read_config(repository, folder.name)
        except ConfigError as error:
            yield folder.name, error.message
    for model, config in configs.items():
        yield from ((model, text) for text in _folder_findings(repository / model, config))
        yield from ((model, text) for text in _ensemble_findings(repository, config, configs))


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
    if model.ir_version > IR_VERSION or opset > OPSET:
        yield f"{path.name} is IR {model.ir_version}, opset {opset}; servers in use read up to {IR_VERSION} and {OPSET}"
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


def _ensemble_findings(repository: Path, config: Message, configs: Mapping[str, Message]) -> Iterator[str]:
    """Follow the tensors through an ensemble: every step there, pinned, and fed with what it takes."""
    steps = ensemble_steps(config)
    if not steps:
        return
    tensors = {str(port["name"][0]): port_of(port) for port in config.get("input", [])}
    for step in steps:
        name, version = str(step["model_name"][0]), str(step.get("model_version", [-1])[0])
        if name not in configs:
            yield f"step {name} is not in the repository"
            continue
        if version == "-1" or not (repository / name / version).is_dir():
            yield f"step {name} must be pinned to a version that is there, not {version}"
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
