"""What the edge adds to the parameters of a use before it is asked: what needs the models, or their server."""

from __future__ import annotations

from contextlib import suppress

from framehouse.analytics.policy import PolicyParams
from framehouse.analytics.policy_file import unknown_labels
from framehouse.analytics.use import Params
from framehouse.config import Settings
from framehouse.errors import ConfigError, FramehouseError
from framehouse.inference.repository import load_specs, resolve
from framehouse.jobs.prompts import Asked, embed, server
from framehouse.results.elements.base import Prompts


def prepared(params: Params, settings: Settings) -> Params:
    """Parameters ready to be asked; those of most uses as they are.

    Raises:
        ConfigError: code `policy.invalid`, a rule that its model could never answer with yes.
    """
    if not isinstance(params, PolicyParams):
        return params
    faults = impossible_rules(params, settings)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise ConfigError(faults[0] + more, code="policy.invalid", hint="framehouse models show NAME lists its classes")
    return with_vectors(params, settings)


def impossible_rules(params: PolicyParams, settings: Settings) -> list[str]:
    """A line for each class that a rule's model does not have; models that are not installed are not asked."""
    specs = load_specs(settings.model_repositories)
    labels = {}
    for rule in params.rules:
        with suppress(ConfigError):  # not installed: its rows may be there all the same
            labels[rule.model] = resolve(specs, rule.model).labels
    return unknown_labels(params.rules, labels)


def with_vectors(params: PolicyParams, settings: Settings) -> PolicyParams:
    """The policy with vectors of its phrases; where they cannot be had, its rules will say why they judge nothing."""
    vectors: dict[str, Prompts] = {}
    missing = []
    specs = load_specs(settings.model_repositories) if params.phrases else {}
    for model, texts in params.phrases.items():
        try:
            spec = resolve(specs, model)
            found, unknown = embed(server(settings), spec, Asked("list", texts, texts), settings)
        except FramehouseError as error:
            missing.append(error.line())
            continue
        if unknown:
            missing.append(f"{spec.model_id} was not trained on: {', '.join(unknown)}")
            continue
        vectors[spec.digest] = found
    known = ", ".join(model for model in params.phrases) or "a CLIP"
    return params.known_as(vectors, "; ".join(missing) or f"this video was seen by another version of {known}")
