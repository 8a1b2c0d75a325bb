"""A text's own vector by a CLIP on a Triton server, and the moments that are like it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from framehouse.analytics.search import Answer, search_vectors
from framehouse.inference.clip import embed_texts, prompts, text_model_of, unknown_words
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import connect
from framehouse.store.search import Place


def search_by_clip(
    query: str, model: str, roots: Sequence[Path], target: TritonTarget, place: Place, top: int
) -> tuple[Answer, tuple[str, ...]]:
    """The best moments by CLIP, and the words of the query that the model was never trained on.

    Args:
        model: slug or slug/version of an image model of the family clip.
        roots: model repositories.
        target: a server that can load its text model.

    Raises:
        ConfigError: unknown model, or one that does not understand text.
        InferenceError: the server does not answer, or wrongly.
        StoreError: see `search_vectors`.
    """
    spec = resolve(load_specs(roots), model)
    texts = text_model_of(spec, roots)
    vector = embed_texts(connect(target), texts, prompts(texts, [query]))[0]
    return search_vectors(query, vector, spec.digest, place, top), unknown_words(texts, [query])
