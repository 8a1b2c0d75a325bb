"""Moments that are like a text or a picture, by the vectors of a CLIP."""

from __future__ import annotations

import numpy as np

from framehouse.analytics.search import Answer, search_vectors
from framehouse.config import Settings
from framehouse.inference.repository import load_specs, resolve
from framehouse.jobs.prompts import Asked, embed, not_trained_on, server
from framehouse.store.search import Place


def search_by_clip(asked: Asked, model: str, place: Place, top: int, settings: Settings) -> tuple[Answer, str]:
    """The best moments for the first text or picture of `asked`, and what the asker should know of the model's words.

    Raises:
        ConfigError: unknown model, or one that does not understand texts.
        InferenceError: the server does not answer, or wrongly.
        StoreError: see `search_vectors`.
    """
    spec = resolve(load_specs(settings.model_repositories), model)
    found, unknown = embed(server(settings), spec, asked, settings)
    answer = search_vectors(asked.names[0], np.array(found.vectors[0], np.float32), spec.digest, place, top)
    return answer, not_trained_on(spec, unknown) if unknown else ""
