"""Records of the state database, as its callers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

JobStatus = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
FINAL: frozenset[str] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What was asked for, exactly as asked.

    `infer_fps` is text ("5", "30000/1001", "all"; empty takes the default), `models` are `slug` or `slug/version`.
    `allow_private` says whether the source may lie on a private address (the machine's owner may, the API may not).
    `gaps`: which gaps of earlier jobs are tried again (`results.standing.GapPolicy`). `frames`: only planned frames
    with first <= frame_offset < end. `budget`: name of the budget that it shares with others; empty for none.
    """

    uri: str
    models: tuple[str, ...]
    infer_fps: str = ""
    confidence: float = 0.4
    priority: int = 0
    allow_private: bool = True
    gaps: str = "every"
    frames: tuple[int, int] | None = None
    budget: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked for a job over HTTP, and in which words.

    Attributes:
        owner: id of the key; empty for the machine's owner.
        wire: the `models` of a `/videoinfer` request as they were sent; None for any other way.
        upload_id: the upload that its `uri` means; None where there is none.
    """

    owner: str = ""
    wire: tuple[dict[str, Any], ...] | None = None
    upload_id: str | None = None


NOBODY = Origin()


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `jobs`. Times are seconds since the epoch."""

    job_id: str
    request: JobRequest
    origin: Origin
    status: JobStatus
    video_id: str | None
    attempt: int
    stalled_attempts: int
    hop: str | None
    n_planned: int
    n_settled: int
    flow_run_id: str | None
    flow_run_at: float | None
    cancel_requested: bool
    outcome: str | None
    error_code: str | None
    error_message: str | None
    error_hint: str | None
    submitted_at: float
    started_at: float | None
    finished_at: float | None
    estimate: dict[str, Any] | None = None

    @property
    def is_final(self) -> bool:
        """Nothing more will happen unless somebody asks for it."""
        return self.status in FINAL

    @property
    def is_resting(self) -> bool:
        """Nothing happens until somebody asks for it: over, or paused."""
        return self.is_final or self.status == "paused"


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease.

    `fence` rises by one with every new holder, so that a late writer can be told from the present one.
    """

    name: str
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One wish to the loader: "load what the lake holds of this", or "forget this video".

    Sequence numbers are in commit order. Of a finding, `model_digest` is the ruleset_id.
    """

    seq: int
    kind: Literal["parts", "job", "video", "forget", "finding"]
    video_id: str | None
    model_digest: str | None
    job_id: str | None
