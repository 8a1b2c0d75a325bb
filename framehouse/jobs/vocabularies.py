"""Words made vectors of before frames are compared with them: by the model server, else in this process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framehouse.config import Settings
from framehouse.errors import ConfigError, InferenceError
from framehouse.inference.clip import text_model_of, unknown_words
from framehouse.jobs.texts import SearchTexts
from framehouse.results.lake import Lake
from framehouse.results.vocabularies import Vocabulary, read_vocabulary, write_vocabulary

NONE_OF_THESE = ("a photo", "an object", "a blurry picture")
"""What a frame may be like that is like no word, for a model that knows every word."""
NOTHING_KNOWN = ("nothing", "an empty background", "a picture of nothing")
"""The same for a model of few words, which takes a real picture for the nearest of them: with these three the tiny CLIP
gave `blue square` to 1 of 120 frames of real film instead of all, and kept every shape that was there."""


def ensure_vocabulary(settings: Settings, lake: Lake, model_id: str, model_digest: str, words: Sequence[str]) -> str:
    """Have the vectors of some words in the lake: kept from before, or made now.

    Args:
        model_id, model_digest: of an image model whose vectors frames have.

    Returns:
        Why zero-shot has to do without (some of) the words; "" when all are there.

    Raises:
        StoreError: code `store.disk_full`.
    """
    made = read_vocabulary(lake, model_digest, words)
    if made is None:
        try:
            texts = SearchTexts(settings, model_id)
            if texts.model_digest != model_digest:
                return f"no zero-shot tags by {model_id}: it is another model now than when the video was run"
            made = _made(settings, texts, words)
        except (ConfigError, InferenceError) as error:
            return f"no zero-shot tags by {model_id}: {error.message}"
        write_vocabulary(lake, model_digest, words, made)
    if not made.n_asked:
        return f"no zero-shot tags: {model_id} was trained on none of the {len(words)} words"
    if made.unknown:
        return f"zero-shot: {model_id} was not trained on {len(made.unknown)} of the {len(words)} words: left out"
    return ""


def _made(settings: Settings, texts: SearchTexts, words: Sequence[str]) -> Vocabulary:
    model = text_model_of(texts.spec, settings.model_repositories)
    unknown = tuple(word for word in words if unknown_words(model, [word]))
    asked = [word for word in words if word not in unknown]
    every = asked + list(NOTHING_KNOWN if model.words else NONE_OF_THESE) if asked else []
    vectors = np.array([texts.vector(word) for word in every], np.float32) if every else np.zeros((0, 0), np.float32)
    return Vocabulary(tuple(every), len(asked), vectors, model.logit_scale, unknown)
