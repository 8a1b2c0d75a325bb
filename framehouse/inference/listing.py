"""What `framehouse models list` says of each model, from cards, origins and the manifest alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framehouse.inference.cards import CARD_NAME, ModelCard, read_card
from framehouse.inference.model_config import find_folders
from framehouse.inference.origins import Origin, read_origin
from framehouse.inference.pull_manifest import Entry
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One version of one model."""

    spec: ModelSpec
    card: ModelCard
    origin: Origin
    is_default: bool
    """Its slug alone means this version."""

    @property
    def licence(self) -> str:
        """Of its weights, each once, without remarks in brackets."""
        return ", ".join(dict.fromkeys(short_licence(weights.licence) for weights in self.card.weights))

    @property
    def ms_per_frame(self) -> float | None:
        """CPU milliseconds for one picture in one request and one thread, as measured; None where nobody did."""
        return measured_ms(self.card.speed)


def list_models(roots: Sequence[Path]) -> list[ListedModel]:
    """Every model that can be asked for, in the order of the repositories, by name and version.

    Raises:
        ConfigError: the shipped repository cannot be used.
    """
    specs, folders = load_specs(roots), find_folders(roots)
    return [
        ListedModel(
            spec,
            read_card(folders[spec.triton_model] / CARD_NAME),
            read_origin(folders[spec.triton_model], roots[0]),
            resolve(specs, spec.slug) is spec,
        )
        for spec in specs.values()
    ]


def short_licence(text: str) -> str:
    """A licence without remarks.

    >>> short_licence("MIT (the package); Apache-2.0 (the weights, see NOTICE)")
    'MIT; Apache-2.0'
    """
    return re.sub(r"\s*\([^)]*\)", "", text)


def measured_ms(speed: Mapping[str, Any]) -> float | None:
    """The figure for one picture a request out of a card's table: one thread and one instance where there is a choice.

    An added model has that of its trial (`trial_ms`).

    >>> measured_ms({"cpu": [{"batch": 1, "threads": 2, "ms": 5}, {"batch": 1, "threads": 1, "ms": 7.5}]})
    7.5
    >>> measured_ms({}) is None
    True
    """
    tables = [value for value in speed.values() if isinstance(value, list | tuple)]
    rows = [row for table in tables for row in table if isinstance(row, Mapping) and {"ms", "cpu_ms"} & set(row)]
    singles = [row for row in rows if row.get("batch", 1) == 1]
    best = min(singles, key=lambda row: (row.get("threads", 1), row.get("instances", 1)), default=None)
    found = speed.get("trial_ms") if best is None else best.get("ms", best.get("cpu_ms"))
    return None if found is None else float(found)


def offered(entry: Entry) -> list[str]:
    """`slug/version` of what an entry of the manifest installs."""
    if entry.add is not None:
        return [f"{entry.add.slug}/{entry.add.version}"]
    cards = [read_card(path) for path in sorted(entry.tree.glob(f"*/{CARD_NAME}"))]
    return [f"{card.slug}/{version.version}" for card in cards for version in card.versions]
