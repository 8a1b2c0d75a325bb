"""Triton's model folders as files: configurations, version folders, steps of ensembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.inference.pbtxt import Message, parse

CONFIG_NAME = "config.pbtxt"
CONFIGS_DIR = "configs"
"""Folder of a model's other configurations: Triton takes `configs/<name>.pbtxt` for `--model-config-name=<name>`."""
CALLS = "calls"
"""Parameter of a python model that asks other models: `name:version name:version …`; they are its steps."""

Folders = Mapping[str, Path]
"""Triton model name -> its folder, over all repositories."""


_PORT = {"name!": str, "data_type!": str, "dims": int}
_ENTRY = {"key!": str, "value!": str}
_STEP = {"model_name!": str, "model_version": int, "input_map": _ENTRY, "output_map": _ENTRY}
_SCHEMA: Mapping[str, Any] = {
    **{"name": str, "backend": str, "platform": str, "max_batch_size": int, "input": _PORT, "output": _PORT},
    **{"parameters": {"key!": str, "value!": {"string_value!": str}}, "ensemble_scheduling": {"step": _STEP}},
}
"""Type of each field that is read here, `!` where it must be there."""


def find_folders(roots: Sequence[Path]) -> dict[str, Path]:
    """Every model folder of some repositories; of two with one name, the one of the earlier repository."""
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob(f"*/{CONFIG_NAME}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def read_config(folders: Folders, model: str) -> Message:
    """A model's config.pbtxt.

    Raises:
        ConfigError: missing or unreadable (`models.config`).
    """
    path = folders[model] / CONFIG_NAME if model in folders else None
    if path is None or not path.is_file():
        raise ConfigError(f"{model} has no {CONFIG_NAME}", code="models.config", model=model)
    config = parse(read_text(path, code="models.config"))
    fault = _fault(config, _SCHEMA)
    if fault:
        raise ConfigError(f"{model}: {CONFIG_NAME}: {fault}", code="models.config", model=model)
    return config


def read_profile(folders: Folders, model: str, config_name: str) -> Message:
    """The configuration of this name, or config.pbtxt where a model has none: what the server runs it with.

    Raises:
        ConfigError: missing or unreadable (`models.config`).
    """
    path = folders[model] / CONFIGS_DIR / f"{config_name}.pbtxt" if model in folders else None
    if not config_name or path is None or not path.is_file():
        return read_config(folders, model)
    return parse(read_text(path, code="models.config"))


def accelerators(config: Message) -> list[Message]:
    """What a configuration runs the network with beyond the backend's own code: TensorRT, OpenVINO.

    They compute in other ways, and in other precisions. An entry `cuda` is left out: it sets up the backend's own code.
    """
    found = [
        entry
        for optimization in config.get("optimization", [])
        for accelerators in optimization.get("execution_accelerators", [])
        for side in ("gpu_execution_accelerator", "cpu_execution_accelerator")
        for entry in accelerators.get(side, [])
    ]
    return [entry for entry in found if entry["name"] != ["cuda"]]


def read_text(path: Path, *, code: str) -> str:
    """A text file of a model folder.

    Raises:
        ConfigError: of this code: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path.parent.name}/{path.name} cannot be read: {why}", code=code) from error


def _fault(message: Message, schema: Mapping[str, Any], where: str = "") -> str:
    """What in a configuration is not as the rest of this package reads it; empty when all is well."""
    for key, kind in schema.items():
        field = key.rstrip("!")
        values = message.get(field, [])
        if key.endswith("!") and not values:
            return f"{where}{field} is missing"
        for value in values:
            inner = dict if isinstance(kind, dict) else kind
            if not isinstance(value, inner) or isinstance(value, bool):
                return f"{where}{field} is {value!r}"
            if isinstance(kind, dict) and (fault := _fault(value, kind, f"{where}{field}.")):
                return fault
    return ""


def steps_of(folders: Folders, model: str, version: str, *, above: tuple[str, ...] = ()) -> list[tuple[str, Path]]:
    """(model, version folder) of a model and of all its steps in order: of an ensemble, or what a python model calls.

    Args:
        folders: all models.
        model: whose steps.
        version: of it; empty takes the highest.
        above: the models that led here.

    Raises:
        ConfigError: a step or version that is not there, or a model that is a step of itself.
    """
    if model in above:
        raise ConfigError(f"{model} is a step of itself", code="models.config", model=model)
    config = read_config(folders, model)
    steps = [(model, version_folder(folders[model], version))]
    for name, wanted in called(config):
        steps += steps_of(folders, name, wanted, above=(*above, model))
    return steps


def called(config: Message) -> list[tuple[str, str]]:
    """(model, version or empty) of each step that a configuration names directly."""
    steps = [(str(step["model_name"][0]), str(step.get("model_version", [-1])[0])) for step in ensemble_steps(config)]
    calls = [tuple(call.partition(":")[::2]) for call in parameters(config).get(CALLS, "").split()]
    return [(name, "" if version == "-1" else version) for name, version in [*steps, *calls]]


def ensemble_steps(config: Message) -> list[Message]:
    """The steps of an ensemble, in order; empty for any other model."""
    return [step for scheduling in config.get("ensemble_scheduling", []) for step in scheduling.get("step", [])]


def version_folder(folder: Path, version: str) -> Path:
    """The folder of a version; the highest one when none is asked for."""
    found = sorted(int(path.name) for path in folder.glob("*/") if path.name.isdecimal()) if folder.is_dir() else []
    wanted = version or str(max(found, default=0))
    if wanted not in map(str, found):
        raise ConfigError(
            f"{folder.name} has no version {version or 'at all'}", code="models.config", model=folder.name
        )
    return folder / wanted


def parameters(config: Message) -> dict[str, str]:
    """A configuration's parameters; all are strings in Triton."""
    return {str(entry["key"][0]): str(entry["value"][0]["string_value"][0]) for entry in config.get("parameters", [])}
