"""Pictures and texts in one space of vectors (`results.vectors` compares them): the text side of CLIP.

An image model of the family `clip` is asked for by its slug and has a card. Its text model has none. They find each
other by parameters in config.pbtxt::

    image model   space         name of the vector space, changed whenever either of the two is trained anew
                  text_model    `folder:version` of the text model
    text model    space         the same name
                  tokenizer     a file in the version folder, so that it is part of the digest
                  length        most tokens of a text
                  padding       `fixed`: texts are filled up to that length; `none`: each goes alone, as long as it is
                  template      what makes a sentence of a label, such as `a photo of a {}`
                  logit_scale   factor from cosines to logits, learned with the towers

Template and scale are the text model's, so that another template leaves the stored vectors of pictures valid.
A text model may have `words.txt` beside the tokenizer: the words that it was trained on, where they are few.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError, TensorMismatch
from framehouse.ids import model_digest
from framehouse.inference.adapters.base import Tensor, required_output
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.balance import Client
from framehouse.inference.model_config import find_folders, parameters, read_config, version_folder
from framehouse.inference.repository import file_sha256
from framehouse.inference.specs import ModelSpec
from framehouse.inference.tokens import VERSION as TOKENS_VERSION
from framehouse.inference.tokens import clean, lengths, tokenize

FAMILY = "clip"
WORDS_NAME = "words.txt"

Vectors = NDArray[np.float32]
"""float32 [N, D], as a tower gives them: not normalised."""
Padding = Literal["fixed", "none"]


class Runs(Protocol):
    """What runs a text model: a server's client, or `text_in_process.ModelHere`."""

    def infer(self, model: str, inputs: Mapping[str, NDArray[Any]], *, version: str = "") -> dict[str, Tensor]:
        """Outputs by name."""
        ...

    def ensure_loaded(self, models: Sequence[str]) -> None:
        """Load what is not loaded yet."""
        ...


@dataclass(frozen=True, slots=True)
class TextModel:
    """What the client must know of the text side of an image model."""

    model_id: str
    """Of the image model, for example `clip/1`."""
    triton_model: str
    triton_version: str
    max_batch: int
    """Most texts in one request."""
    space: str
    """Name of the vector space; the image model's is the same."""
    tokenizer: Path
    length: int
    """Tokens of a text, with start and end; longer texts are cut."""
    padding: Padding
    template: str
    """With `{}` where a label goes."""
    logit_scale: float
    digest: str
    """Digest over everything that shapes its numbers: (digest, text) identifies a vector."""
    words: frozenset[str] = frozenset()
    """The words that it was trained on; empty where there are too many to name."""


def text_model_of(spec: ModelSpec, roots: Sequence[Path]) -> TextModel:
    """The text side of an image model.

    Args:
        spec: an image model of the family.
        roots: the model repositories that the spec came from.

    Raises:
        ConfigError: `models.no_text_model`, the model names none; `models.config`, that one is missing or incomplete;
            `models.space`, its vectors are not of the same space.
    """
    named = spec.settings.get("text_model")
    if not named:
        raise ConfigError(
            f"{spec.model_id} does not understand text", code="models.no_text_model", model=spec.model_id,
            hint="a model of the family clip does: framehouse models list",
        )  # fmt: skip
    name, _, version = named.partition(":")
    folders = find_folders(roots)
    config = read_config(folders, name)
    folder, settings = version_folder(folders[name], version), parameters(config)
    if settings.get("space") != spec.settings.get("space"):
        raise ConfigError(
            f"{name} speaks of the space {settings.get('space')!r}, {spec.model_id} of {spec.settings.get('space')!r}",
            code="models.space", model=spec.model_id, hint="framehouse models check",
        )  # fmt: skip
    try:
        return _text_model(spec.model_id, name, folder, max(1, int(config.get("max_batch_size", [1])[0])), settings)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{name}: a parameter is missing or wrong: {error}", code="models.config", model=name
        ) from error


def unknown_words(model: TextModel, texts: Sequence[str]) -> tuple[str, ...]:
    """Words that the model was never trained on, so that its answer about them means nothing; each once, in order.

    Empty for a model with an open vocabulary.
    """
    if not model.words:
        return ()
    found = [word for text in texts for word in re.findall(r"[^\W_]+", clean(text))]
    return tuple(dict.fromkeys(word for word in found if word not in model.words))


def prompts(model: TextModel, labels: Sequence[str]) -> list[str]:
    """Labels as the sentences that the model likes best: `red circle` becomes `a red circle`."""
    return [model.template.replace("{}", label) for label in labels]


def sentence(model: TextModel, text: str) -> str:
    """What somebody looks for, as the model likes it best: in its template, unless it has an article of its own.

    `red circle` becomes `a red circle`; `a red circle` stays.
    """
    has_article = clean(text).startswith(("a ", "an ", "the ", "some ", "two "))
    return text if has_article else prompts(model, [text])[0]


def embed_texts(client: Runs, model: TextModel, texts: Sequence[str]) -> Vectors:
    """Vectors of some texts, float32 [N, D]; no text gives [0, 0]. A model that is not loaded is loaded.

    Raises:
        ConfigError: the tokenizer's file is missing.
        InferenceError: what `TritonClient.submit` describes, or TensorMismatch, an answer that is no vector.
    """
    if not texts:
        return np.zeros((0, 0), np.float32)
    client.ensure_loaded([model.triton_model])
    tokens = tokenize(model.tokenizer, texts, model.length)
    if model.padding == "fixed":
        pieces = [tokens[start : start + model.max_batch] for start in range(0, len(tokens), model.max_batch)]
    else:
        pieces = [tokens[i : i + 1, :end] for i, end in enumerate(lengths(tokens).tolist())]
    answers = [
        client.infer(model.triton_model, {"tokens": np.ascontiguousarray(piece)}, version=model.triton_version)
        for piece in pieces
    ]
    return np.concatenate(
        [_vectors(outputs, len(piece), model.triton_model) for outputs, piece in zip(answers, pieces, strict=True)]
    )


def embed_images(client: Client, spec: ModelSpec, pictures: NDArray[np.uint8]) -> Vectors:
    """Vectors of some pictures, float32 [N, D]; no picture gives [0, 0]. A model that is not loaded is loaded.

    Args:
        client: of a server that has the model.
        spec: an image model of the family.
        pictures: uint8 [N, height, width, 3] RGB, framed as the spec says (`video.pictures.frame_picture`).

    Raises:
        InferenceError: what `TritonClient.submit` describes, or TensorMismatch, an answer that is no vector.
    """
    if not len(pictures):
        return np.zeros((0, 0), np.float32)
    client.ensure_loaded(spec.steps)
    found = []
    for start in range(0, len(pictures), spec.max_batch):
        piece = pictures[start : start + spec.max_batch]
        inputs = ADAPTERS[spec.family].to_inputs(piece)
        outputs = client.infer(spec.triton_model, inputs, version=spec.triton_version)
        found.append(_vectors(outputs, len(piece), spec.triton_model))
    return np.concatenate(found)


def _text_model(model_id: str, name: str, folder: Path, max_batch: int, settings: Mapping[str, str]) -> TextModel:
    """Raises KeyError, ValueError."""
    tokenizer, words = folder / settings["tokenizer"], folder / WORDS_NAME
    if not tokenizer.is_file():
        raise ValueError(f"no file {settings['tokenizer']}")
    padding = settings["padding"]
    if padding not in ("fixed", "none"):
        raise ValueError(f"padding {padding!r}")
    return TextModel(
        model_id=model_id,
        triton_model=name,
        triton_version=folder.name,
        max_batch=max_batch,
        space=settings["space"],
        tokenizer=tokenizer,
        length=int(settings["length"]),
        padding="fixed" if padding == "fixed" else "none",
        template=settings["template"],
        logit_scale=float(settings["logit_scale"]),
        digest=_digest(folder, settings),
        words=frozenset(words.read_text(encoding="utf-8").split()) if words.is_file() else frozenset(),
    )


def _digest(folder: Path, settings: Mapping[str, str]) -> str:
    """Over what shapes a text's vector: the files of the version, and how texts become tokens."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith((".", "README"))]
    pieces = [(path.name, file_sha256(path).encode()) for path in files]
    rules = [(name, settings[name].encode()) for name in ("space", "tokenizer", "length", "padding")]
    return model_digest([("tokens", str(TOKENS_VERSION).encode()), *rules, *pieces])


def _vectors(outputs: Mapping[str, Tensor], n: int, model: str) -> Vectors:
    found = required_output(outputs, "embedding", (n, None))
    if found.dtype != np.float32 or not np.isfinite(found).all():
        raise TensorMismatch(f"{model} gave a vector that is not finite float32", model=model)
    return found
