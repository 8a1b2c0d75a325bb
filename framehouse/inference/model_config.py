"""Triton's model folders as files: configurations, version folders, steps of ensembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from framehouse.errors import ConfigError
from framehouse.inference.pbtxt import Message, parse

CONFIG_NAME = "config.pbtxt"
CALLS = "calls"
"""Parameter of a python model that asks other models: `name:version name:version …`; they are its steps."""

Folders = Mapping[str, Path]
"""Triton model name -> its folder, over all repositories."""


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
    return parse(path.read_text())


def steps_of(folders: Folders, model: str, version: str) -> list[tuple[str, Path]]:
    """(model, version folder) of a model and of all its steps in order: of an ensemble, or what a python model calls.

    Raises:
        ConfigError: a step or version that is not there.
    """
    config = read_config(folders, model)
    steps = [(model, version_folder(folders[model], version))]
    for name, wanted in called(config):
        steps += steps_of(folders, name, wanted)
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
    found = sorted(int(path.name) for path in folder.glob("*/") if path.name.isdigit()) if folder.is_dir() else []
    wanted = int(version) if version else max(found, default=0)
    if wanted not in found:
        raise ConfigError(
            f"{folder.name} has no version {version or 'at all'}", code="models.config", model=folder.name
        )
    return folder / str(wanted)


def parameters(config: Message) -> dict[str, str]:
    """A configuration's parameters; all are strings in Triton."""
    return {str(entry["key"][0]): str(entry["value"][0]["string_value"][0]) for entry in config.get("parameters", [])}
