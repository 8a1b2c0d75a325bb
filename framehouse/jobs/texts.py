"""Vectors of what people look for: by the model server, else by the text model's own file in this process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from framehouse.config import Settings
from framehouse.errors import ConfigError, EngineUnavailable, FramehouseError, InferenceError
from framehouse.inference.clip import Runs, TextModel, embed_texts, sentence, text_model_of, unknown_words
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec
from framehouse.inference.text_in_process import ModelHere
from framehouse.jobs.prompts import MOST_LETTERS, server

DEFAULT_MODEL = "clip"
Key = tuple[str, str, str]
"""Digest and template of a text model, and a text."""
_MOST_KEPT = 1000
_known: dict[Key, NDArray[np.float32]] = {}
"""Vectors of this process: people ask the same thing again with another filter."""


class SearchTexts:
    """`embed_text(text)` of one image model (`store.functions.TextVectors`); nothing is looked up before it is asked.

    Args:
        settings: which repositories and which server.
        model: slug or slug/version of a model of the family clip.
    """

    def __init__(self, settings: Settings, model: str = DEFAULT_MODEL) -> None:
        self._settings, self._model = settings, model

    @property
    def spec(self) -> ModelSpec:
        """The image model. Raises ConfigError: unknown."""
        return resolve(load_specs(self._settings.model_repositories), self._model)

    @property
    def model_digest(self) -> str:
        """Of the image model. Raises ConfigError: unknown."""
        return self.spec.digest

    def unknown(self, text: str) -> tuple[str, ...]:
        """Words that the model was never trained on. Raises ConfigError."""
        return unknown_words(self._text_model(), [text])

    def vector(self, text: str) -> list[float]:
        """The vector of a text, in the model's template unless the text has an article of its own.

        Raises:
            ConfigError: unknown model; one that knows no texts; `search.text`, an empty or very long text;
                `search.no_text_vectors`, no server answers and the model cannot be run here.
            InferenceError: the server answers wrongly.
        """
        if not text.strip() or len(text) > MOST_LETTERS:
            raise ConfigError(
                f"a text of 1 to {MOST_LETTERS} letters is needed", code="search.text",
                hint="for example: embed_text('a red car')",
            )  # fmt: skip
        model = self._text_model()
        known = _known.get((model.digest, model.template, text))
        if known is None:
            known = self._embed(model, sentence(model, text))
            _remember((model.digest, model.template, text), known)
        return [float(number) for number in known]

    def _text_model(self) -> TextModel:
        return text_model_of(self.spec, self._settings.model_repositories)

    def _embed(self, model: TextModel, text: str) -> NDArray[np.float32]:
        try:
            vectors = embed_texts(server(self._settings), model, [text])
        except FramehouseError as error:
            if not isinstance(error, EngineUnavailable) and not (isinstance(error, InferenceError) and error.retryable):
                raise
            here: Runs = ModelHere(model.tokenizer.parent)
            vectors = embed_texts(here, model, [text])
        found: NDArray[np.float32] = vectors[0]
        return found


def _remember(key: Key, vector: NDArray[np.float32]) -> None:
    if len(_known) >= _MOST_KEPT:
        _known.clear()
    _known[key] = vector
