"""An attempt at a job without Prefect, Dask or Triton: its state in SQLite, its lake in a folder of the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chunk_cases import SMALL, SPEC
from framehouse.config import Endpoints, JobSettings, Settings
from framehouse.inference.run import ChunkReceipt, ModelTally
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.plans import PlanRef, store_plan
from framehouse.results.lake import Lake
from framehouse.state import JobRequest, State, open_state
from framehouse.storage.base import LocalVideo
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import FramePlan

ENDPOINTS = Endpoints("http://127.0.0.1:1/api", "127.0.0.1:1", "tcp://127.0.0.1:1")
VIDEO = "v_0123456789abcdef01234567"
MODELS = (SPEC, SMALL)


def new_state(folder: Path) -> State:
    return open_state(f"sqlite:///{folder / 'home' / 'state' / 'state.db'}")


def new_attempt(folder: Path, request: JobRequest | None = None, owner: str = "run", **jobs: float) -> Attempt:
    """A submitted job with its lease taken and its first attempt begun."""
    state = new_state(folder)
    settings = Settings(home=folder / "home", jobs=JobSettings(**jobs))  # type: ignore[arg-type]
    job_id = state.submit(request or JobRequest(f"{folder}/clip.mp4", tuple(spec.slug for spec in MODELS), "5"))
    state.assign_run(job_id, owner, expected=None)
    lease = state.acquire(f"job/{job_id}", owner, 600.0)
    assert lease is not None
    job = state.begin_attempt(lease, job_id)
    return Attempt(job, lease, state, Lake(settings.lake_dir), settings, ENDPOINTS)


def store(attempt: Attempt, index: VideoIndex, plan: FramePlan, path: Path = Path("clip.mp4")) -> PlanRef:
    """Store the index, the video's record and the plan, as the plan task does."""
    local = LocalVideo(path, str(path), 1000, "0" * 64, None, None, 77)
    attempt.state.note(attempt.lease, attempt.job_id, video_id=VIDEO)
    return store_plan(attempt, local, VIDEO, index, plan)


def receipt(chunk_id: str, *tallies: tuple[str, int, dict[str, int]], decode_s: float = 0.25) -> ChunkReceipt:
    """A chunk's receipt from (model digest, loaded, gap reason -> gaps)."""
    return ChunkReceipt(
        chunk_id,
        tuple(
            ModelTally("m/1", digest, n_loaded, sum(gaps.values()), n_loaded, tuple(sorted(gaps.items())), 0.5)
            for digest, n_loaded, gaps in tallies
        ),
        decode_s,
        1.0,
        int(np.max([n for _, n, _ in tallies], initial=0)),
    )
