"""/v1/webhooks: who is told when jobs end."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from framehouse.api.context import ApiContext, Caller, Reader, Submitter
from framehouse.errors import NotFound
from framehouse.state.webhooks import Webhook, Webhooks
from framehouse.storage.post import checked_url
from framehouse.telemetry import redact_uri

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
WebhookId = Annotated[str, Path(pattern=r"^w_[0-9a-f]{16}$")]


class WebhookWish(BaseModel):
    """Where to tell of what."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2048)
    events: list[Literal["job.done", "job.failed", "job.cancelled"]] = Field(
        default=["job.done", "job.failed", "job.cancelled"], min_length=1
    )


@router.post("", summary="Be told when jobs end", status_code=201)
def create(wish: WebhookWish, api: ApiContext, caller: Submitter) -> dict[str, Any]:
    """The `secret` of the answer is shown this once; it signs every event (`X-Framehouse-Signature: t=…,v1=…`)."""
    checked_url(wish.url)
    made = Webhooks(api.state.engine).create(caller.owner, wish.url, list(dict.fromkeys(wish.events)))
    return {**_facts(made), "secret": made.secret}


@router.get("", summary="List webhooks")
def list_(api: ApiContext, caller: Reader) -> dict[str, Any]:
    """The caller's own; an admin sees all."""
    owner = None if "admin" in caller.scopes else caller.owner
    return {"webhooks": [_facts(webhook) for webhook in Webhooks(api.state.engine).of_owner(owner)]}


@router.delete("/{webhook_id}", summary="Tell nothing more", status_code=204)
def remove(webhook_id: WebhookId, api: ApiContext, caller: Submitter) -> None:
    """What was not told yet is dropped."""
    _own(api, caller, webhook_id)
    Webhooks(api.state.engine).remove(webhook_id)


@router.get("/{webhook_id}/deliveries", summary="What was told, and how it went")
def deliveries(
    webhook_id: WebhookId, api: ApiContext, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """Newest first. `pending` ones are tried again, with growing pauses, eight times in all."""
    _own(api, caller, webhook_id)
    return {"deliveries": [asdict(delivery) for delivery in Webhooks(api.state.engine).log(webhook_id, limit)]}


def _own(api: ApiContext, caller: Caller, webhook_id: str) -> Webhook:
    webhook = Webhooks(api.state.engine).get(webhook_id)
    if not caller.may_see(webhook.owner):
        raise NotFound(f"no webhook {webhook_id}")
    return webhook


def _facts(webhook: Webhook) -> dict[str, Any]:
    return {
        "webhook_id": webhook.webhook_id, "url": redact_uri(webhook.url), "events": list(webhook.events),
        "created_at": webhook.created_at,
    }  # fmt: skip
