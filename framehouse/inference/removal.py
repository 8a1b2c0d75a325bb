"""Taking an added or pulled model away again: its folders, and the steps that nobody else uses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from framehouse.errors import ConfigError
from framehouse.inference.cards import CARD_NAME
from framehouse.inference.model_config import CONFIG_NAME, called, find_folders, read_config
from framehouse.inference.repository import load_specs
from framehouse.inference.specs import ModelSpec

log = structlog.get_logger(__name__)

_TRASH_NAME = ".removed"


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes and what stays; nothing is touched yet."""

    specs: tuple[ModelSpec, ...]
    """Models that nobody can ask for any more; empty for a folder that could not be used anyway."""
    folders: tuple[Path, ...]
    """What goes, the folder that people ask for first."""
    kept: Mapping[str, str]
    """Steps that stay, with the model that uses them."""


def plan_removal(name: str, roots: Sequence[Path]) -> Removal:
    """What removing a model would take away.

    Args:
        name: `slug/version`, a slug with one version that may go, or the folder of a model that cannot be used.
        roots: model repositories, the shipped one first.

    Raises:
        ConfigError: `config.unknown_model`; `models.shipped`, it ships; `models.which`, several are meant, or one of
            several in one folder; `models.in_use`, another model uses it as a step.
    """
    folders = find_folders(roots)
    specs = load_specs(roots)
    chosen = _chosen(name, specs, folders, roots)
    main = chosen[0].triton_model if chosen else name
    here = roots[-1] / main
    steps = chosen[0].steps[-2::-1] if chosen else tuple(_steps(folders, main))
    users = _users(folders, leaving={main})
    if main in users:
        raise ConfigError(f"{name} is a step of {users[main]}", code="models.in_use", hint="remove that one first")
    going, kept = [here], {}
    for step in steps:
        folder = folders.get(step)
        if folder is None or folder.parent != roots[-1] or (folder / CARD_NAME).is_file():
            continue
        if step in users:
            kept[step] = users[step]
        else:
            going.append(folder)
    return Removal(tuple(chosen), tuple(going), kept)


def remove(removal: Removal) -> None:
    """Take the folders away; a kill in the middle leaves no model that could be asked for and does not work."""
    trash = removal.folders[0].parent / _TRASH_NAME
    shutil.rmtree(trash, ignore_errors=True)  # of a removal that was killed
    trash.mkdir()
    for folder in removal.folders:
        folder.rename(trash / folder.name)
    shutil.rmtree(trash)
    log.info("model removed", folders=[folder.name for folder in removal.folders])


def _chosen(
    name: str, specs: Mapping[str, ModelSpec], folders: Mapping[str, Path], roots: Sequence[Path]
) -> list[ModelSpec]:
    """The versions that go; empty for the folder of a model that cannot be used."""
    found = [spec for spec in specs.values() if name in (spec.slug, spec.model_id)]
    ours = [spec for spec in found if folders[spec.triton_model].parent != roots[0]]
    if not found and _is_broken_model(name, specs, roots[-1]):
        return []
    if not found:
        known = ", ".join(sorted(specs)) or "none"
        raise ConfigError(
            f"unknown model {name!r}; known: {known}", code="config.unknown_model", hint="framehouse models list"
        )
    if not ours:
        raise ConfigError(
            f"{name} ships with this release and is not removed",
            code="models.shipped",
            hint="it costs nothing until it is used",
        )
    together = [spec for spec in specs.values() if spec.triton_model == ours[0].triton_model]
    if len(together) > len(ours):
        raise ConfigError(
            f"{name} lies in one folder with {', '.join(spec.model_id for spec in together if spec not in ours)}",
            code="models.which",
            hint=f"to remove them all: framehouse models remove {ours[0].slug}",
        )
    if len(ours) > len(together):
        raise ConfigError(
            f"{name} could be {', '.join(spec.model_id for spec in ours)}", code="models.which", hint="name one of them"
        )
    return ours


def _is_broken_model(name: str, specs: Mapping[str, ModelSpec], root: Path) -> bool:
    folder = root / name
    is_plain = name == Path(name).name and not name.startswith(".")
    is_used = any(name in spec.steps for spec in specs.values())
    return is_plain and not is_used and any((folder / file).is_file() for file in (CONFIG_NAME, CARD_NAME))


def _steps(folders: Mapping[str, Path], model: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Names of all steps below a model, as far as its configurations can be read."""
    try:
        named = [name for name, _ in called(read_config(folders, model))]
    except ConfigError:
        return
    for name in named:
        if name not in above:
            yield name
            yield from _steps(folders, name, (*above, model))


def _users(folders: Mapping[str, Path], leaving: set[str]) -> dict[str, str]:
    """Step -> a model that uses it, over all folders but those that leave."""
    users: dict[str, str] = {}
    for model, folder in folders.items():
        if model not in leaving and (folder / CARD_NAME).is_file():
            for step in _steps(folders, model):
                users.setdefault(step, model)
    return users
