"""The texts that a job's frames are to be compared with, as vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from framehouse.config import Settings, find_endpoints
from framehouse.inference.clip import TextModel, embed_texts, text_model_of
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import connect
from framehouse.jobs.wire import options_of, prompts_of
from framehouse.results.assemble import ModelOptions
from framehouse.results.elements.base import Prompts
from framehouse.state import Job


def compared_options(job: Job, settings: Settings) -> dict[str, ModelOptions]:
    """What a job's request wanted for each model, as `options_of`, with vectors of its prompts.

    No server is asked where there are no prompts.

    Raises:
        EngineUnavailable: prompts, and no Triton server.
        ConfigError: the model is gone, or understands no text.
        InferenceError: the server does not answer, or wrongly.
    """
    options = options_of(job)
    for entry in job.origin.wire or ():
        if asked := prompts_of(entry):
            model_id = entry["framehouse_model"]
            forms = replace(options[model_id].forms, prompts=_vectors(model_id, asked, settings))
            options[model_id] = replace(options[model_id], forms=forms)
    return options


def check_prompts(wire: Sequence[Mapping[str, Any]], settings: Settings) -> None:
    """Refuse prompts for a model that understands no text, before a job is made.

    Raises:
        ConfigError: code `models.no_text_model`.
    """
    for entry in wire:
        if prompts_of(entry):
            _texts(entry["framehouse_model"], settings)


def _texts(model_id: str, settings: Settings) -> TextModel:
    roots = settings.model_repositories
    return text_model_of(resolve(load_specs(roots), model_id), roots)


def _vectors(model_id: str, asked: dict[str, str] | tuple[str, ...], settings: Settings) -> Prompts:
    target = TritonTarget(find_endpoints(settings).triton_url, False, settings.triton.request_timeout_s, 1)
    names, words = (tuple(asked), list(asked.values())) if isinstance(asked, dict) else ((), list(asked))
    return Prompts(names, embed_texts(connect(target), _texts(model_id, settings), words))
