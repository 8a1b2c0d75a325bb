"""Model cards: `card.toml` in the folder of every model that people may ask for."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framehouse.errors import ConfigError

CARD_NAME = "card.toml"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardInput(_Record):
    """What the decoder must deliver."""

    name: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    colour: str
    resize: str
    scaling: str = ""


class CardVersion(_Record):
    """A version of ours and the Triton version that serves it; empty leaves it to the version policy."""

    version: str
    triton_version: str = ""


class CardWeights(_Record):
    """One file of weights: where it came from, and how it is known to be the right one."""

    file: str
    sha256: str
    size_bytes: int
    rebuild: str = ""
    origin: str
    licence: str
    copyright: str


class ModelCard(_Record):
    """`card.toml`."""

    slug: str
    title: str
    family: str
    kind: str
    max_batch: int = Field(gt=0)
    labels: str = ""
    n_classes: int = 0
    input: CardInput
    versions: tuple[CardVersion, ...] = Field(min_length=1)
    weights: tuple[CardWeights, ...] = ()
    quality: dict[str, str] = {}
    speed: dict[str, Any] = {}


def load_cards(repository: Path) -> dict[str, ModelCard]:
    """Every card of a repository by its folder's name, sorted.

    Raises:
        ConfigError: no such folder (`triton.repository`), or a card that cannot be used (`models.card`).
    """
    if not repository.is_dir():
        raise ConfigError(f"no model repository {repository}", code="triton.repository")
    return {path.parent.name: read_card(path) for path in sorted(repository.glob(f"*/{CARD_NAME}"))}


def read_card(path: Path) -> ModelCard:
    """One card.

    Raises:
        ConfigError: code `models.card`, with the field.
    """
    try:
        return ModelCard.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.parent.name}/{path.name}: {error}", code="models.card") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.parent.name}/{path.name}: {where}: {first['msg']}", code="models.card") from error


def read_labels(folder: Path, card: ModelCard) -> tuple[str, ...]:
    """Class names by class id, from the file beside the card; empty when the card names none.

    Raises:
        ConfigError: code `models.card`: the file is missing.
    """
    if not card.labels:
        return ()
    path = folder / card.labels
    if not path.is_file():
        raise ConfigError(f"{folder.name}: no labels file {card.labels}", code="models.card")
    return tuple(path.read_text().splitlines())
