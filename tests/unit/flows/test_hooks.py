"""What the failure hook records, and what it leaves to the reconciler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.client.schemas.actions import ArtifactCreate

from flows import _hooks
from flows._hooks import record_failure
from framehouse.config import Settings
from framehouse.errors import (
    EngineUnavailable,
    LeaseLost,
    SourceUnavailable,
    StoreError,
    TritonUnavailable,
    UnreadableVideo,
)
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


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[ArtifactCreate]:
    """Artifacts that the hook leaves, in the order of making."""
    made: list[ArtifactCreate] = []

    class Opened:
        def __enter__(self) -> Any:
            return SimpleNamespace(create_artifact=made.append)

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(_hooks, "get_client", lambda sync_client: Opened())
    return made


RUN = "00000000-0000-0000-0000-000000000001"


def run_hook(settings: Settings, error: BaseException) -> tuple[str, str | None, bool]:
    """(status, error code, whether a run record was written) of a job whose run failed so."""
    state = connect(settings)
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)), flow_run_id=RUN)
    record_failure(SimpleNamespace(name="process-video"), SimpleNamespace(id=RUN), Failed(error))  # type: ignore[arg-type]
    job = state.job(job_id)
    return job.status, job.error_code, Lake(settings.lake_dir).run_path(job_id).exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnreadableVideo("no container"), ("failed", "media.unreadable", True)),
        (ValueError("a defect"), ("failed", "framehouse.internal", True)),
        (httpx.ConnectError("refused"), ("queued", None, False)),
        (LeaseLost("another run"), ("queued", None, False)),
        (EngineUnavailable("no scheduler"), ("queued", None, False)),
        (TritonUnavailable("no server"), ("queued", None, False)),
        (SourceUnavailable("503"), ("failed", "source.unavailable", True)),
    ],
)
def test_what_becomes_of_a_failure(
    settings: Settings,
    home: Path,
    error: BaseException,
    expected: tuple[str, str | None, bool],
    shown: list[ArtifactCreate],
) -> None:
    assert run_hook(settings, error) == expected
    assert home.exists()
    assert len(shown) == (expected[0] == "failed")


def test_a_failure_is_shown_in_the_page_with_all_that_a_person_needs(
    settings: Settings, shown: list[ArtifactCreate]
) -> None:
    run_hook(settings, UnreadableVideo("no container | fits", second=12.34))
    job = connect(settings).list_jobs()[0]
    assert (shown[0].key, shown[0].type, str(shown[0].flow_run_id)) == ("failure", "markdown", RUN)
    retry = f"framehouse jobs retry {job.job_id}"
    for text in ("media.unreadable", "no container \\| fits", "clip.mp4", "12.3", retry):
        assert text in str(shown[0].data)


def test_an_engine_that_is_away_for_ever_is_a_failure_with_its_own_cause(
    settings: Settings, shown: list[ArtifactCreate]
) -> None:
    state = connect(settings)
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)), flow_run_id=RUN)
    for i in range(settings.jobs.max_attempts):
        lease = state.acquire(f"job/{job_id}", f"run {i}", 60.0)
        assert lease is not None
        state.begin_attempt(lease, job_id)
        state.release(lease)
    failed: Any = Failed(TritonUnavailable("no server"))
    record_failure(SimpleNamespace(name="process-video"), SimpleNamespace(id=RUN), failed)  # type: ignore[arg-type]
    assert (state.job(job_id).status, state.job(job_id).error_code) == ("failed", "inference.triton_unavailable")


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
def test_a_job_that_only_wants_room_waits(
    settings: Settings, shown: list[ArtifactCreate], error: Exception, floor_bytes: int, status: str
) -> None:
    settings.keep.floor_bytes = floor_bytes
    assert run_hook(settings, error)[0] == status
