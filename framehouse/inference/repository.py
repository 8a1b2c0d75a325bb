"""The model repository, read as files: what can be served, and whether the files fit each other.

A folder with a `card.toml` is a model that people may ask for: the card names slug, versions, family and labels.
config.pbtxt says how Triton runs it. A folder without a card is a step of an ensemble.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.ids import model_digest
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.cards import CARD_NAME, CardVersion, ModelCard, load_cards, read_card, read_labels
from framehouse.inference.config_check import config_findings, port_of
from framehouse.inference.model_config import ensemble_steps, parameters, read_config, steps_of
from framehouse.inference.pbtxt import Message
from framehouse.inference.specs import ModelSpec

_WITHOUT_NUMBERS = (
    *("name", "instance_group", "model_warmup", "dynamic_batching", "version_policy", "max_batch_size"),
    *("optimization", "ensemble_scheduling", "parameters", "response_cache"),
)
"""Configuration fields that shape no number, or that the digest takes in by another way."""
_RUNTIME_PARAMETERS = (
    *("intra_op_thread_count", "inter_op_thread_count", "execution_mode", "enable_mem_arena", "enable_mem_pattern"),
    *("share_session_between_instances", "FORCE_CPU_ONLY_INPUT_TENSORS", "EXECUTION_ENV_PATH"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a repository that does not fit."""

    model: str
    message: str


def load_specs(repository: Path) -> dict[str, ModelSpec]:
    """Every model version that the cards offer, by model_id.

    Raises:
        ConfigError: no such folder (`triton.repository`), or a card, configuration or file that cannot be used
            (`models.card`, `models.config`).
    """
    specs: dict[str, ModelSpec] = {}
    for folder, card in load_cards(repository).items():
        for version in card.versions:
            spec = _spec(repository, folder, card, version)
            if spec.model_id in specs:
                raise ConfigError(f"{spec.model_id} is offered by two cards", code="models.card", model=spec.model_id)
            specs[spec.model_id] = spec
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


def check(repository: Path) -> list[Finding]:
    """Compare cards, configurations, weights and folders with each other; empty when all is well.

    Raises:
        ConfigError: no such folder, or onnx is not installed and there is an ONNX file to read.
    """
    if not repository.is_dir():
        raise ConfigError(f"no model repository {repository}", code="triton.repository")
    return [Finding(*found) for found in (*config_findings(repository), *_card_findings(repository))]


def _spec(repository: Path, folder: str, card: ModelCard, version: CardVersion) -> ModelSpec:
    adapter = ADAPTERS.get(card.family)
    if adapter is None:
        raise ConfigError(f"{folder}: unknown family {card.family!r}; known: {', '.join(ADAPTERS)}", code="models.card")
    labels = read_labels(repository / folder, card)
    steps = steps_of(repository, folder, version.triton_version)
    floor = _confidence_floor(repository, steps)
    pieces = [
        ("adapter", f"{card.family} {adapter.VERSION}".encode()),
        ("kind", card.kind.encode()),
        ("labels", "\n".join(labels).encode()),
        ("input", card.input.model_dump_json().encode()),
        ("confidence_floor", repr(floor).encode()),
        *_digest_pieces(repository, steps),
    ]
    return ModelSpec(
        model_id=f"{card.slug}/{version.version}",
        slug=card.slug,
        version=version.version,
        family=card.family,
        kind=card.kind,
        triton_model=folder,
        triton_version=version.triton_version,
        input_size=(card.input.width, card.input.height),
        max_batch=card.max_batch,
        labels=labels,
        digest=model_digest(pieces),
        confidence_floor=floor,
    )


def _confidence_floor(repository: Path, steps: list[tuple[str, Path]]) -> float:
    """The parameter `confidence_floor` of any step; 0 where nothing is cut off."""
    for model, _ in steps:
        found = parameters(read_config(repository, model))
        if "confidence_floor" in found:
            return float(found["confidence_floor"])
    return 0.0


def _digest_pieces(repository: Path, steps: list[tuple[str, Path]]) -> Iterator[tuple[str, bytes]]:
    """Configuration and files of each step; independent of folder names, times, comments and runtime settings."""
    for number, (model, folder) in enumerate(steps):
        config = read_config(repository, model)
        fields: dict[str, Any] = {key: value for key, value in config.items() if key not in _WITHOUT_NUMBERS}
        fields["parameters"] = {
            key: value
            for key, value in sorted(parameters(config).items())
            if key not in _RUNTIME_PARAMETERS and not key.startswith("session.")
        }
        fields["maps"] = [[step.get("input_map"), step.get("output_map")] for step in ensemble_steps(config)]
        yield f"{number}/config", json.dumps(fields, sort_keys=True).encode()
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and _counts(path)):
            yield f"{number}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _counts(path: Path) -> bool:
    return not (path.name.startswith((".", "README")) or path.suffix == ".pyc")


def _card_findings(repository: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(repository.glob(f"*/{CARD_NAME}")):
        folder = path.parent.name
        try:
            card = read_card(path)
            for version in card.versions:
                _spec(repository, folder, card, version)
            config = read_config(repository, folder)
        except ConfigError as error:
            yield folder, error.message
            continue
        yield from ((folder, text) for text in _card_texts(repository, folder, card, config))


def _card_texts(repository: Path, folder: str, card: ModelCard, config: Message) -> Iterator[str]:
    labels = read_labels(repository / folder, card)
    if len(labels) != card.n_classes or len(set(labels)) != len(labels) or "" in labels:
        yield f"{len(labels)} labels ({len(set(labels))} different) for {card.n_classes} classes"
    if card.max_batch > max(1, int(config.get("max_batch_size", [0])[0])):
        yield f"the card's max_batch {card.max_batch} is above config.pbtxt's"
    inputs = {str(port["name"][0]): port_of(port)[1] for port in config.get("input", [])}
    if inputs.get(card.input.name) != [card.input.height, card.input.width, 3]:
        stated = f"{card.input.name} {card.input.width} x {card.input.height}"
        yield f"the card's input {stated} is not config.pbtxt's {inputs}"
    for weights in card.weights:
        file = repository / weights.file
        if not file.is_file():
            yield f"no weights {weights.file}"
        elif (
            hashlib.sha256(file.read_bytes()).hexdigest() != weights.sha256 or file.stat().st_size != weights.size_bytes
        ):
            yield f"{weights.file} is not the file whose sha256 and size the card names"
