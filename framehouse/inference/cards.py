"""Model cards: `card.toml` in the folder of every model that people may ask for."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framehouse.errors import ConfigError
from framehouse.inference.model_config import find_folders, read_text
from framehouse.video.framing import Framing, Mode

log = structlog.get_logger(__name__)

CARD_NAME = "card.toml"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardInput(_Record):
    """What the decoder must deliver."""

    name: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    colour: Literal["RGB"] = "RGB"
    resize: Literal["stretch", "letterbox", "letterbox-corner", "crop", "fit"]
    pad: int = Field(default=0, ge=0, le=255)
    short_side: int = Field(default=0, ge=0)
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    scaling: str = ""

    @property
    def framing(self) -> Framing:
        """What the decoder must do; numbers that the way of resizing does not use are left out."""
        mode, _, corner = self.resize.partition("-")
        kind: Mode = mode  # type: ignore[assignment]
        return Framing(
            kind,
            self.width,
            self.height,
            anchor="corner" if corner else "centre",
            pad=self.pad if kind == "letterbox" else 0,
            short_side=self.short_side if kind == "crop" else 0,
            resample=self.resample,
        )


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
    export: dict[str, Any] = {}


def load_cards(roots: Sequence[Path]) -> dict[str, ModelCard]:
    """Every card by its folder's name. The first repository is the shipped one; a card of a later one that cannot be
    used is logged and left out, so that one bad added model does not take the others with it.

    Raises:
        ConfigError: no such folder (`triton.repository`), or a card of the shipped repository that cannot be used
            (`models.card`).
    """
    shipped = roots[0]
    if not shipped.is_dir():
        raise ConfigError(f"no model repository {shipped}", code="triton.repository")
    cards: dict[str, ModelCard] = {}
    for name, folder in find_folders(roots).items():
        if not (folder / CARD_NAME).is_file():
            continue
        try:
            cards[name] = read_card(folder / CARD_NAME)
        except ConfigError as error:
            if folder.parent == shipped:
                raise
            log.warning("model left out", model=name, code=error.code, cause=error.message)
    return cards


def read_card(path: Path) -> ModelCard:
    """One card.

    Raises:
        ConfigError: code `models.card`, with the field.
    """
    try:
        return ModelCard.model_validate(tomllib.loads(read_text(path, code="models.card")))
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
    return tuple(read_text(path, code="models.card").splitlines())
