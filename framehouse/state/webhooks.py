"""Webhooks and their deliveries: who wants to be told, what was told, what is still to be.

A delivery is a row made from a finished job; its event id is made of the job, the attempt and the outcome, so that
however often one looks, the same end of a job is one event. Sending is at least once: the receiver knows an event by
its id.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from framehouse.errors import ConfigError, NotFound
from framehouse.state.opening import writing
from framehouse.state.records import FINAL
from framehouse.state.schema import deliveries, jobs, webhooks

EVENTS = ("job.done", "job.failed", "job.cancelled")
MAX_ATTEMPTS = 8
FIRST_PAUSE_S = 5.0
"""Each further pause is four times as long: 5 s, 20 s, 80 s … 5.7 h."""
_LOOK_BACK_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where somebody wants to be told of what. Times are seconds since the epoch."""

    webhook_id: str
    owner: str
    url: str
    secret: str
    events: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook. `status`: pending, delivered, or given_up after the last attempt."""

    delivery_id: str
    event_id: str
    webhook_id: str
    job_id: str
    kind: str
    payload: dict[str, Any]
    status: str
    attempt: int
    next_at: float
    answer: int | None
    error: str | None
    created_at: float
    delivered_at: float | None


class Webhooks:
    """The webhooks of a state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, owner: str, url: str, events: Sequence[str] = EVENTS) -> Webhook:
        """Have the owner's finished jobs told to a URL from now on.

        Raises:
            ConfigError: code `config.event`, an unknown event or none.
        """
        unknown = [event for event in events if event not in EVENTS]
        if unknown or not events:
            raise ConfigError(f"unknown event {', '.join(unknown) or '(none given)'}", code="config.event",
                              hint=f"known: {', '.join(EVENTS)}")  # fmt: skip
        made = Webhook(
            f"w_{secrets.token_hex(8)}", owner, url, f"whsec_{secrets.token_hex(24)}", tuple(events), time.time()
        )
        with writing(self._engine) as connection:
            values = {name: getattr(made, name) for name in Webhook.__dataclass_fields__}
            connection.execute(webhooks.insert().values({**values, "events": list(events)}))
        return made

    def get(self, webhook_id: str) -> Webhook:
        """One webhook.

        Raises:
            NotFound: no such webhook.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(webhooks).where(webhooks.c.webhook_id == webhook_id)).mappings().first()
        if row is None:
            raise NotFound(f"no webhook {webhook_id}")
        return _webhook(row)

    def of_owner(self, owner: str | None = None) -> list[Webhook]:
        """All webhooks, or those of an owner, oldest first."""
        query = sa.select(webhooks).order_by(webhooks.c.created_at, webhooks.c.webhook_id)
        if owner is not None:
            query = query.where(webhooks.c.owner == owner)
        with self._engine.connect() as connection:
            return [_webhook(row) for row in connection.execute(query).mappings()]

    def remove(self, webhook_id: str) -> None:
        """Tell nothing more; what is still to be told is dropped."""
        with writing(self._engine) as connection:
            connection.execute(webhooks.delete().where(webhooks.c.webhook_id == webhook_id))
            connection.execute(
                deliveries.delete().where(deliveries.c.webhook_id == webhook_id, deliveries.c.status == "pending")
            )

    def note_ended_jobs(self) -> int:
        """Make the deliveries of jobs that have ended since their owner's webhook was made; returns how many."""
        with self._engine.connect() as connection:
            rows = connection.execute(_ended(time.time() - _LOOK_BACK_S)).mappings().all()
        n_made = 0
        for row in rows:
            kind = f"job.{row['status']}"
            if kind in row["events"]:
                n_made += self._note(row, kind)
        return n_made

    def _note(self, row: sa.RowMapping, kind: str) -> bool:
        now = time.time()
        event_id = _event_id(row)
        payload = {
            "id": event_id, "type": kind, "created_at": now, "job_id": row["job_id"], "status": row["status"],
            "video_id": row["video_id"], "models": row["models"], "finished_at": row["finished_at"],
            "error": row["error_code"] and {"code": row["error_code"], "message": row["error_message"],
                                            "hint": row["error_hint"]},
        }  # fmt: skip
        values = {
            "delivery_id": f"d_{secrets.token_hex(8)}", "event_id": event_id, "webhook_id": row["webhook_id"],
            "job_id": row["job_id"], "kind": kind, "payload": payload, "status": "pending", "attempt": 0,
            "next_at": now, "created_at": now,
        }  # fmt: skip
        try:
            with writing(self._engine) as connection:
                connection.execute(deliveries.insert().values(values))
        except sa.exc.IntegrityError:  # somebody else noted it meanwhile
            return False
        return True

    def claim_due(self, limit: int = 16) -> list[tuple[Delivery, Webhook]]:
        """Take deliveries whose time has come: each is put off to its next try before it is sent, so none is sent by
        two at once and none is lost by a death."""
        now = time.time()
        query = (
            sa.select(deliveries)
            .where(deliveries.c.status == "pending", deliveries.c.next_at <= now)
            .order_by(deliveries.c.next_at)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            due = [_delivery(row) for row in connection.execute(query).mappings()]
        taken = []
        for delivery in due:
            pause_s = FIRST_PAUSE_S * 4**delivery.attempt
            same = (deliveries.c.delivery_id == delivery.delivery_id, deliveries.c.attempt == delivery.attempt)
            with writing(self._engine) as connection:
                put_off = deliveries.update().where(*same, deliveries.c.status == "pending")
                mine = connection.execute(put_off.values(attempt=delivery.attempt + 1, next_at=now + pause_s)).rowcount
            if mine:
                taken.append((delivery, self.get(delivery.webhook_id)))
        return taken

    def note_answer(self, delivery: Delivery, *, answer: int | None, error: str | None) -> None:
        """How a try went: 2xx delivers; the last try without it gives up."""
        delivered = answer is not None and 200 <= answer < 300
        over = delivery.attempt + 1 >= MAX_ATTEMPTS
        status = "delivered" if delivered else "given_up" if over else "pending"
        with writing(self._engine) as connection:
            mine = deliveries.update().where(deliveries.c.delivery_id == delivery.delivery_id)
            connection.execute(
                mine.values(status=status, answer=answer, error=error, delivered_at=time.time() if delivered else None)
            )

    def log(self, webhook_id: str, limit: int = 100) -> list[Delivery]:
        """Deliveries of a webhook, newest first."""
        query = sa.select(deliveries).where(deliveries.c.webhook_id == webhook_id)
        with self._engine.connect() as connection:
            newest = query.order_by(deliveries.c.created_at.desc(), deliveries.c.delivery_id).limit(limit)
            return [_delivery(row) for row in connection.execute(newest).mappings()]


def _ended(since: float) -> sa.Select[Any]:
    """Finished jobs with each webhook of their owner that has no delivery for this end of theirs."""
    event_id = jobs.c.job_id + "." + sa.cast(jobs.c.attempt, sa.String) + "." + jobs.c.status
    told = sa.select(deliveries.c.event_id).where(
        deliveries.c.webhook_id == webhooks.c.webhook_id, deliveries.c.event_id == event_id
    )
    return (
        sa.select(jobs, webhooks.c.webhook_id, webhooks.c.events)
        .join(webhooks, webhooks.c.owner == jobs.c.owner)
        .where(jobs.c.status.in_(FINAL), jobs.c.finished_at > since, jobs.c.finished_at >= webhooks.c.created_at)
        .where(~told.exists())
        .order_by(jobs.c.finished_at)
        .limit(1000)
    )


def _event_id(row: sa.RowMapping) -> str:
    return f"{row['job_id']}.{row['attempt']}.{row['status']}"


def _webhook(row: sa.RowMapping) -> Webhook:
    return Webhook(**{**{n: row[n] for n in Webhook.__dataclass_fields__}, "events": tuple(row["events"])})


def _delivery(row: sa.RowMapping) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__dataclass_fields__})
