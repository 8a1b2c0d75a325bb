"""Webhooks are told: a thread of the server notes finished jobs and sends what is due.

The signature is an HMAC-SHA256 over `<time>.<body>` with the webhook's secret, so that a receiver can refuse what is
forged or old: `X-Framehouse-Signature: t=<seconds>,v1=<hex>`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time

import structlog

from framehouse.config import Settings
from framehouse.errors import SourceError
from framehouse.state.webhooks import Delivery, Webhook, Webhooks
from framehouse.storage.post import post

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_TIMEOUT_S = 10.0


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header that proves who sent a body, and when.

    >>> signature("s", 1, b"{}")[:12]
    't=1,v1=5dfd9'
    """
    made = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={made}"


class Deliverer:
    """Sends what is due, until it is stopped. Several may run: each delivery is taken by one."""

    def __init__(self, webhooks: Webhooks, settings: Settings) -> None:
        self._webhooks, self._settings = webhooks, settings
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being sent."""
        self._over.set()
        self._thread.join(_TIMEOUT_S + 1)

    def round(self) -> int:
        """Note finished jobs, send what is due; returns how many were sent."""
        self._webhooks.note_ended_jobs()
        due = self._webhooks.claim_due()
        for delivery, webhook in due:
            self._send(delivery, webhook)
        return len(due)

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                while self.round():
                    pass
            except Exception as error:  # noqa: BLE001  the thread's outermost edge: it must go on
                log.error("webhooks not sent", error=error)

    def _send(self, delivery: Delivery, webhook: Webhook) -> None:
        body = json.dumps({**delivery.payload, "attempt": delivery.attempt + 1}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Framehouse-Event-Id": delivery.event_id,
            "X-Framehouse-Event": delivery.kind,
            "X-Framehouse-Signature": signature(webhook.secret, int(time.time()), body),
        }
        networks = tuple(self._settings.source.private_networks)
        try:
            answer, error = post(webhook.url, body, headers, timeout_s=_TIMEOUT_S, private_networks=networks), None
        except SourceError as refused:
            answer, error = None, f"{refused.code}: {refused.message}"
        self._webhooks.note_answer(delivery, answer=answer, error=error)
        log.info("webhook sent", event_id=delivery.event_id, answer=answer, error=error, attempt=delivery.attempt + 1)
