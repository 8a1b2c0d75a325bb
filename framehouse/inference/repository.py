"""The model repository, read as files: what can be served, and whether the files fit each other.

A folder with a `card.toml` is a model that people may ask for: the card names slug, versions, family and labels.
config.pbtxt says how Triton runs it. A folder without a card is a step of an ensemble.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import structlog

from framehouse.errors import ConfigError
from framehouse.ids import model_digest
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.cards import CARD_NAME, CardVersion, ModelCard, load_cards, read_card, read_labels
from framehouse.inference.config_check import adapter_findings, config_findings, duplicate_findings, port_of
from framehouse.inference.model_config import (
    Folders,
    accelerators,
    ensemble_steps,
    find_folders,
    parameters,
    read_config,
    read_profile,
    steps_of,
)  # fmt: skip
from framehouse.inference.origins import origin_findings, read_origin
from framehouse.inference.pbtxt import Message
from framehouse.inference.profiles import shaping_parameters
from framehouse.inference.specs import ModelSpec
from framehouse.repositories import Repositories
from framehouse.results.kinds import KINDS

log = structlog.get_logger(__name__)

_WITHOUT_NUMBERS = (
    *("name", "instance_group", "model_warmup", "dynamic_batching", "version_policy", "max_batch_size"),
    *("optimization", "ensemble_scheduling", "parameters", "response_cache"),
)
"""Configuration fields that shape no number, or that the digest takes in by another way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a repository that does not fit."""

    model: str
    message: str


_ONE_READS = Lock()
"""Of many threads that ask at once, one reads and the others find it done."""


def load_specs(roots: Sequence[Path]) -> dict[str, ModelSpec]:
    """Every model version that the cards of some repositories offer, by model_id.

    Args:
        roots: the shipped repository first; added models after it. A model of a later one that cannot be used is
            logged and left out. `Repositories` tell which configuration the servers run: what computes in another way
            has another digest.

    Raises:
        ConfigError: no such folder (`triton.repository`), or a card, configuration or file of the shipped repository
            that cannot be used (`models.card`, `models.config`).
    """
    adapters = tuple(adapter.VERSION for adapter in ADAPTERS.values())
    with _ONE_READS:
        return dict(_load_specs(tuple(roots), _config_name(roots), tuple(_file_facts(roots)), adapters))


def _config_name(roots: Sequence[Path]) -> str:
    return roots.config_name if isinstance(roots, Repositories) else ""


def _file_facts(roots: Sequence[Path]) -> Iterator[tuple[str, int, int, int]]:
    """Name, size, time of change and inode of every file of some repositories: while these stay, the specs stay."""
    folders = [str(root) for root in roots]
    while folders:
        with suppress(OSError):  # gone meanwhile, or not to be read: whoever reads it says so
            for entry in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
                if entry.is_dir():
                    folders.append(entry.path)
                    continue
                facts = entry.stat()
                yield entry.path, facts.st_size, facts.st_mtime_ns, facts.st_ino


@lru_cache(maxsize=4)
def _load_specs(
    roots: tuple[Path, ...], config_name: str, _facts: tuple[tuple[str, int, int, int], ...], _adapters: tuple[int, ...]
) -> dict[str, ModelSpec]:
    """Remembered, because a server asks at every request and reading all of it takes 20 ms."""
    specs: dict[str, ModelSpec] = {}
    folders = find_folders(roots)
    for name, card in load_cards(roots).items():
        try:
            for version in card.versions:
                spec = _spec(folders, name, card, version, config_name)
                if spec.model_id in specs:
                    text = f"{spec.model_id} is offered by two cards"
                    raise ConfigError(text, code="models.card", model=spec.model_id)
                specs[spec.model_id] = spec
        except ConfigError as error:
            if folders[name].parent == roots[0]:
                raise
            log.warning("model left out", model=name, code=error.code, cause=error.message)
    return specs


def resolve(specs: Mapping[str, ModelSpec], name: str) -> ModelSpec:
    """The model that a person means by `slug/version`, or by a slug alone: its highest version.

    Raises:
        ConfigError: code `config.unknown_model`; the message lists the known ones.
    """
    if name in specs:
        return specs[name]
    versions = [spec for spec in specs.values() if spec.slug == name]
    if versions:
        return max(versions, key=lambda spec: (len(spec.version), spec.version))
    known = ", ".join(sorted(specs)) or "none"
    raise ConfigError(
        f"unknown model {name!r}; known: {known}", code="config.unknown_model", hint="framehouse models list"
    )


def check(roots: Sequence[Path]) -> list[Finding]:
    """Compare cards, configurations, weights and folders with each other; empty when all is well.

    Raises:
        ConfigError: no such folder, or onnx is not installed and there is an ONNX file to read.
    """
    if not roots[0].is_dir():
        raise ConfigError(f"no model repository {roots[0]}", code="triton.repository")
    folders = find_folders(roots)
    found = (
        *duplicate_findings(roots),
        *config_findings(folders),
        *_card_findings(folders),
        *_origin_findings(folders, roots[0]),
    )
    return [Finding(*pair) for pair in found]


def _spec(folders: Folders, name: str, card: ModelCard, version: CardVersion, config_name: str = "") -> ModelSpec:
    adapter = ADAPTERS.get(card.family)
    if adapter is None:
        raise ConfigError(f"{name}: unknown family {card.family!r}; known: {', '.join(ADAPTERS)}", code="models.card")
    if card.kind not in KINDS:
        raise ConfigError(f"{name}: unknown kind {card.kind!r}; known: {', '.join(KINDS)}", code="models.card")
    labels = read_labels(folders[name], card)
    steps = steps_of(folders, name, version.triton_version)
    settings: dict[str, str] = {}
    for step, _ in steps:
        settings = {**parameters(read_config(folders, step)), **settings}
    floor = _floor(settings.get("confidence_floor", "0"), name)
    pieces = [
        ("adapter", f"{card.family} {adapter.VERSION}".encode()),
        ("kind", card.kind.encode()),
        ("labels", "\n".join(labels).encode()),
        ("framing", repr(card.input.framing).encode()),
        ("confidence_floor", repr(floor).encode()),
        *_digest_pieces(folders, steps),
        *_accelerator_pieces(folders, steps, config_name),
    ]
    return ModelSpec(
        model_id=f"{card.slug}/{version.version}",
        slug=card.slug,
        version=version.version,
        family=card.family,
        kind=card.kind,
        triton_model=name,
        triton_version=version.triton_version,
        framing=card.input.framing,
        max_batch=card.max_batch,
        labels=labels,
        digest=model_digest(pieces),
        confidence_floor=floor,
        settings=settings,
        steps=tuple(dict.fromkeys(step for step, _ in reversed(steps))),
        on_gpu=any(_is_on_gpu(read_profile(folders, step, config_name)) for step, _ in steps),
    )


def _is_on_gpu(config: Message) -> bool:
    """Whether a configuration asks for instances on a GPU; without a word Triton takes one where there is one."""
    return any("KIND_GPU" in map(str, group.get("kind", [])) for group in config.get("instance_group", []))


def _floor(text: str, model: str) -> float:
    try:
        floor = float(text)
    except ValueError:
        floor = -1.0
    if not 0 <= floor <= 1:
        raise ConfigError(f"{model}: confidence_floor {text!r} is not in 0..1", code="models.config", model=model)
    return floor


def _digest_pieces(folders: Folders, steps: list[tuple[str, Path]]) -> Iterator[tuple[str, bytes]]:
    """Configuration and files of each step; independent of folder names, times, comments and runtime settings."""
    for number, (model, folder) in enumerate(steps):
        config = read_config(folders, model)
        fields: dict[str, Any] = {key: value for key, value in config.items() if key not in _WITHOUT_NUMBERS}
        fields["parameters"] = dict(sorted(shaping_parameters(config).items()))
        fields["maps"] = [[step.get("input_map"), step.get("output_map")] for step in ensemble_steps(config)]
        yield f"{number}/config", json.dumps(fields, sort_keys=True).encode()
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and _counts(path)):
            yield f"{number}/{path.relative_to(folder).as_posix()}", file_sha256(path).encode()


def _accelerator_pieces(
    folders: Folders, steps: list[tuple[str, Path]], config_name: str
) -> Iterator[tuple[str, bytes]]:
    """Accelerators of the steps; nothing where there are none, so that such a configuration keeps the plain digest."""
    for number, (model, _) in enumerate(steps):
        if found := accelerators(read_profile(folders, model, config_name)):
            yield f"{number}/accelerators", json.dumps(found, sort_keys=True).encode()


def file_sha256(path: Path) -> str:
    """Hex digest of a file; remembered while its size and time of change stay the same: weights are large."""
    facts = path.stat()
    return _sha256(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


@lru_cache(maxsize=1024)
def _sha256(path: Path, _size: int, _mtime_ns: int, _inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _counts(path: Path) -> bool:
    return not (path.name.startswith((".", "README")) or path.suffix == ".pyc")


def _origin_findings(folders: Folders, shipped: Path) -> Iterator[tuple[str, str]]:
    for name, folder in folders.items():
        yield from ((name, text) for text in origin_findings(folder, read_origin(folder, shipped)))


def _card_findings(folders: Folders) -> Iterator[tuple[str, str]]:
    for name, folder in folders.items():
        if not (folder / CARD_NAME).is_file():
            continue
        try:
            card = read_card(folder / CARD_NAME)
            specs = [_spec(folders, name, card, version) for version in card.versions]
            config = read_config(folders, name)
        except ConfigError as error:
            yield name, error.message
            continue
        texts = (text for spec in specs for text in adapter_findings(spec, ADAPTERS[spec.family], config))
        yield from ((name, text) for text in dict.fromkeys(texts))
        yield from ((name, text) for text in _card_texts(folder, card, config))


def _card_texts(folder: Path, card: ModelCard, config: Message) -> Iterator[str]:
    labels = read_labels(folder, card)
    if len(labels) != card.n_classes or len(set(labels)) != len(labels) or "" in labels:
        yield f"{len(labels)} labels ({len(set(labels))} different) for {card.n_classes} classes"
    if card.max_batch > max(1, int(config.get("max_batch_size", [0])[0])):
        yield f"the card's max_batch {card.max_batch} is above config.pbtxt's"
    yield from _input_texts(card, config)
    for weights in card.weights:
        file = folder.parent / weights.file
        if not file.is_file():
            yield f"no weights {weights.file}"
        elif file_sha256(file) != weights.sha256 or file.stat().st_size != weights.size_bytes:
            yield f"{weights.file} is not the file whose sha256 and size the card names"


def _input_texts(card: ModelCard, config: Message) -> Iterator[str]:
    """The card's input against the configuration's; -1 takes any size, a model without batches says its own 1."""
    inputs = {str(port["name"][0]): port_of(port)[1] for port in config.get("input", [])}
    wanted = [-1, -1, 3] if card.input.resize == "fit" else [card.input.height, card.input.width, 3]
    if not int(config.get("max_batch_size", [0])[0]):
        wanted = [1, *wanted]
    found = inputs.get(card.input.name)
    if (
        found is None
        or len(found) != len(wanted)
        or any(have not in (want, -1) for have, want in zip(found, wanted, strict=True))
    ):
        stated = f"{card.input.name} {card.input.width} x {card.input.height} ({card.input.resize})"
        yield f"the card's input {stated} is not config.pbtxt's {inputs}"
