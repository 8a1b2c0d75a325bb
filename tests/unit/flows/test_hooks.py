"""What the failure hook records, and what it leaves to the reconciler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from flows._hooks import record_failure
from framehouse.config import Settings
from framehouse.errors import LeaseLost, SourceUnavailable, StoreError, UnreadableVideo
from framehouse.jobs.submit import connect
from framehouse.results.lake import Lake
from framehouse.state import JobRequest


class Failed:
    """A failed state of Prefect, as far as the hook looks."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self, raise_on_failure: bool) -> Any:
        assert raise_on_failure
        raise self._error


def run_hook(settings: Settings, error: BaseException) -> tuple[str, str | None, bool]:
    """(status, error code, whether a run record was written) of a job whose run failed so."""
    state = connect(settings)
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)), flow_run_id="run 1")
    record_failure(SimpleNamespace(name="process-video"), SimpleNamespace(id="run 1"), Failed(error))  # type: ignore[arg-type]
    job = state.job(job_id)
    return job.status, job.error_code, Lake(settings.lake_dir).run_path(job_id).exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnreadableVideo("no container"), ("failed", "media.unreadable", True)),
        (ValueError("a defect"), ("failed", "framehouse.internal", True)),
        (httpx.ConnectError("refused"), ("queued", None, False)),
        (LeaseLost("another run"), ("queued", None, False)),
    ],
)
def test_what_becomes_of_a_failure(
    settings: Settings, home: Path, error: BaseException, expected: tuple[str, str | None, bool]
) -> None:
    assert run_hook(settings, error) == expected
    assert home.exists()


@pytest.mark.parametrize(
    ("error", "floor_bytes", "status"),
    [
        (StoreError("full", code="store.disk_full"), 1024**5, "queued"),
        (SourceUnavailable("full", code="source.disk_full"), 1024**5, "queued"),
        (StoreError("full", code="store.disk_full"), 0, "failed"),
        (UnreadableVideo("no container"), 1024**5, "failed"),
    ],
    ids=["write", "download", "no floor", "another cause"],
)
def test_a_job_that_only_wants_room_waits(settings: Settings, error: Exception, floor_bytes: int, status: str) -> None:
    settings.keep.floor_bytes = floor_bytes
    assert run_hook(settings, error)[0] == status
