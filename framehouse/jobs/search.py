"""What `search` does: by a CLIP's vectors, by words, by written text; by all there is, saying what there is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from framehouse.analytics.search import Answer, fuse, search_tags, search_vectors, search_written
from framehouse.config import Settings
from framehouse.errors import ConfigError, FramehouseError, StoreError
from framehouse.inference.repository import load_specs, resolve
from framehouse.jobs.prompts import Asked, embed, not_trained_on, server
from framehouse.jobs.texts import SearchTexts
from framehouse.store.search import Place

_DEPTH, _DEEPEST = 5, 300
"""Each way is asked for so many times as many moments, so that what two ways find is seen; not beyond so many."""


def search_every_way(query: str, model: str, place: Place, top: int, settings: Settings) -> Answer:
    """The best moments by CLIP, by words and by written text together; `notes` say which way could not be gone and why.

    CLIP is left out where no video has embeddings of the model, where it cannot be asked, or where it was never trained
    on a word of the query: its answer would mean nothing.

    Raises:
        ConfigError: code `search.empty`; `search.no_word_vectors` where no other way is left either.
        StoreError: code `search.nothing_indexed`, nothing can be searched; else as `run_query`.
    """
    answers, notes, depth = [], [], max(top, min(top * _DEPTH, _DEEPEST))
    try:
        answers.append(_worth(search_by_text(query, model, place, depth, settings, strict=True)))
    except (ConfigError, StoreError) as error:
        if error.code == "search.empty":
            raise
        notes.append(f"not by CLIP: {error.message}" + (f" ({error.hint})" if error.hint else ""))
    try:
        answers.append(search_tags(query, place, depth))
    except FramehouseError as error:
        if not answers or not error.code.startswith("search."):
            raise
        notes.append(f"not by tags: {error.message}")
    answers.append(search_written(query, place, depth))
    words = next((answer.words for answer in answers if answer.words), ())
    found = [answer for answer in answers if answer.moments] or answers[:1]
    answer = fuse(found, top) if len(found) > 1 else replace(found[0], moments=found[0].moments[:top])
    return replace(answer, words=words, notes=(*notes, *answer.notes))


def _worth(answer: Answer) -> Answer:
    """Without the moments whose cosine is below half of the best one's: every video has some frame that fits least
    badly."""
    best = max((moment.score for moment in answer.moments), default=0.0)
    return replace(answer, moments=tuple(moment for moment in answer.moments if moment.score >= best / 2))


def search_by_text(
    query: str, model: str, place: Place, top: int, settings: Settings, *, strict: bool = False
) -> Answer:
    """The best moments for a text by a CLIP.

    Args:
        strict: refuse words that the model was never trained on, instead of noting them.

    Raises:
        ConfigError: as `SearchTexts.vector`; `search.unknown_words`.
        InferenceError: the server answers wrongly.
        StoreError: see `search_vectors`.
    """
    texts = SearchTexts(settings, model)
    unknown = texts.unknown(query)
    told = not_trained_on(texts.spec, unknown) if unknown else ""
    if told and strict:
        raise ConfigError(told, code="search.unknown_words", hint="for real videos: framehouse models pull clip")
    answer = search_vectors(query, np.array(texts.vector(query), np.float32), texts.model_digest, place, top)
    return replace(answer, notes=(told,) if told else ())


def search_by_picture(name: str, picture: bytes, model: str, place: Place, top: int, settings: Settings) -> Answer:
    """The best moments for a picture file by a CLIP.

    Raises:
        ConfigError: unknown model.
        MediaError: `media.picture`, the picture cannot be read.
        InferenceError: the server does not answer, or wrongly.
        StoreError: see `search_vectors`.
    """
    spec = resolve(load_specs(settings.model_repositories), model)
    found, _ = embed(server(settings), spec, Asked("list", (name,), pictures=(picture,)), settings)
    return search_vectors(name, np.array(found.vectors[0], np.float32), spec.digest, place, top)
