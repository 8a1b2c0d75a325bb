"""Progress of a video for people: a bar in Prefect's page, the same figures in the state database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import httpx
import structlog
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.exceptions import PrefectHTTPStatusError

from framehouse.jobs.attempt import Attempt
from framehouse.results.lake import ModelUse

log = structlog.get_logger(__name__)

_STATE_EVERY_S = 0.5
_ARTIFACT_EVERY_S = 3.0


class Progress:
    """Tells how many frames × models are settled, seldom enough to cost nothing."""

    def __init__(self, attempt: Attempt, n_total: int) -> None:
        self._attempt = attempt
        self._n_total = max(1, n_total)
        self._state_at = 0.0
        self._artifact_at = time.monotonic()
        self._artifact: UUID | None = None

    def show(self, n_settled: int) -> None:
        """Note the number of settled frames × models."""
        now = time.monotonic()
        if now - self._state_at >= _STATE_EVERY_S or n_settled >= self._n_total:
            self._state_at = now
            self._attempt.state.note_settled(self._attempt.lease, self._attempt.job_id, n_settled)
        if now - self._artifact_at >= _ARTIFACT_EVERY_S:
            self._artifact_at = now
            self._publish(100.0 * n_settled / self._n_total)

    def finish(self, uses: Sequence[ModelUse]) -> None:
        """Leave a table of what each model did."""
        table = [
            {
                "model": use.model_id,
                "planned": use.n_planned,
                "loaded": use.n_loaded,
                "gaps": use.n_gaps,
                "reasons": ", ".join(f"{reason} {n}" for reason, n in sorted(use.gap_reasons.items())),
            }
            for use in uses
        ]
        if self._artifact is not None:
            self._publish(100.0)
        with no_page_no_matter():
            create_table_artifact(key="models", table=table, description=f"job {self._attempt.job_id}")

    def _publish(self, percent: float) -> None:
        with no_page_no_matter():
            if self._artifact is None:
                created = create_progress_artifact(percent, key="frames", description=f"job {self._attempt.job_id}")
                self._artifact = created if isinstance(created, UUID) else None
            else:
                update_progress_artifact(self._artifact, percent)


@contextmanager
def no_page_no_matter() -> Iterator[None]:
    """Progress is for looking at: a Prefect server that is away for a moment ends no video."""
    try:
        yield
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        log.warning("progress not shown", error=type(error).__name__)
