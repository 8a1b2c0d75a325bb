"""/v1/models: what can be run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from framehouse.api.context import ApiContext, Reader
from framehouse.errors import NotFound
from framehouse.inference.cards import load_cards
from framehouse.inference.repository import load_specs
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.wire import INFERENCE_TYPES

router = APIRouter(prefix="/v1/models", tags=["models"])
_SLUG = r"^[a-z][a-z0-9-]*$"


@router.get("", summary="List the models")
def list_(api: ApiContext, _: Reader) -> dict[str, Any]:
    """Shipped, added and pulled ones."""
    roots = api.settings.model_repositories
    cards = load_cards(roots)
    return {"models": [_facts(spec, cards[spec.triton_model].title) for spec in load_specs(roots).values()]}


@router.get("/{slug}/{version}", summary="Show one model")
def show(
    slug: Annotated[str, Path(pattern=_SLUG)], version: Annotated[str, Path(pattern=r"^[0-9]+$")], api: ApiContext,
    _: Reader,
) -> dict[str, Any]:  # fmt: skip
    """Its card: labels, input, origin and licence of the weights, what was measured."""
    roots = api.settings.model_repositories
    spec = load_specs(roots).get(f"{slug}/{version}")
    if spec is None:
        raise NotFound(f"no model {slug}/{version}", hint="GET /v1/models")
    card = load_cards(roots)[spec.triton_model].model_dump(mode="json", exclude={"versions", "labels"})
    return {**_facts(spec, card["title"]), "card": card, "labels": list(spec.labels)}


def _facts(spec: ModelSpec, title: str) -> dict[str, Any]:
    return {
        "model_id": spec.model_id, "title": title, "family": spec.family, "kind": spec.kind,
        "inference_type": INFERENCE_TYPES[spec.kind], "model_digest": spec.digest, "width": spec.framing.width,
        "height": spec.framing.height, "n_classes": len(spec.labels), "confidence_floor": spec.confidence_floor,
    }  # fmt: skip
