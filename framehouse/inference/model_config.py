"""Triton's model folders as files: configurations, version folders, steps of ensembles."""

from __future__ import annotations

from pathlib import Path

from framehouse.errors import ConfigError
from framehouse.inference.pbtxt import Message, parse

CONFIG_NAME = "config.pbtxt"


def read_config(repository: Path, model: str) -> Message:
    """A model's config.pbtxt.

    Raises:
        ConfigError: missing or unreadable (`models.config`).
    """
    path = repository / model / CONFIG_NAME
    if not path.is_file():
        raise ConfigError(f"{model} has no {CONFIG_NAME}", code="models.config", model=model)
    return parse(path.read_text())


def steps_of(repository: Path, model: str, version: str) -> list[tuple[str, Path]]:
    """(model, version folder) of a model and, for an ensemble, of all its steps in order.

    Raises:
        ConfigError: a step or version that is not there.
    """
    config = read_config(repository, model)
    steps = [(model, version_folder(repository / model, version))]
    for step in ensemble_steps(config):
        wanted = str(step.get("model_version", [-1])[0])
        steps += steps_of(repository, str(step["model_name"][0]), "" if wanted == "-1" else wanted)
    return steps


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
