"""What is owed to the videos that were seen: planned instants that no part holds, per model.

Everything is read from the lake: video records, container indexes, run records, ledgers of parts. No video is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import FramehouseError, ResultsError
from framehouse.inference.specs import ModelSpec
from framehouse.results.indexes import read_index
from framehouse.results.lake import Lake, RunRecord, VideoRecord
from framehouse.results.parts import owed
from framehouse.results.standing import GapPolicy, Standing, standing
from framehouse.video.effort import n_passed
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import FramePlan, chunks, frames_of_chunk, parse_infer_fps, plan_frames, plan_within

log = structlog.get_logger(__name__)

_ASKED = ("done", "failed")
"""Jobs whose wish still holds: a cancelled one is not wanted any more, any other is on its way."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the backlog is meant.

    Attributes:
        video_ids: only these videos; None for all.
        only_failed: only videos whose last job failed.
        models: these models on every video, whatever its jobs asked for; empty for those of its jobs.
        infer_fps: this rate; empty for those of its jobs.
        since: only videos that were first seen at or after this moment (aware).
        gaps: which gaps count as owed.
        frames: only first <= frame_offset < end.
        seconds: only [first, end) seconds after the first frame.
    """

    video_ids: frozenset[str] | None = None
    only_failed: bool = False
    models: tuple[str, ...] = ()
    infer_fps: str = ""
    since: datetime | None = None
    gaps: GapPolicy = "all"
    frames: tuple[int, int] | None = None
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish for one video: these models at this rate. `frames`: only first <= frame_offset < end. `job_id`: the failed
    job that is to be tried again for it."""

    model_ids: tuple[str, ...]
    infer_fps: str
    confidence: float
    frames: tuple[int, int] | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class ModelDebt:
    """Instants that one model owes: never tried, and gaps that are to be tried again."""

    model_id: str
    model_digest: str
    n_new: int
    n_gaps: int

    @property
    def n_owed(self) -> int:
        """Both."""
        return self.n_new + self.n_gaps


@dataclass(frozen=True, slots=True)
class Debt:
    """What one job is to do for one video.

    Attributes:
        models: those that owe something; for a failed job that is tried again, all of its.
        n_passed: frames that the decoder goes through.
        n_chunks: chunks that hold an owed instant.
    """

    video: VideoRecord
    ask: Ask
    models: tuple[ModelDebt, ...]
    n_passed: int
    n_chunks: int

    @property
    def n_owed(self) -> int:
        """Frames × models."""
        return sum(model.n_owed for model in self.models)

    @property
    def read_bytes(self) -> int:
        """Bytes of the container that the decoder goes through, taken as spread evenly over its frames."""
        return round(self.video.size_bytes * min(1.0, self.n_passed / max(1, self.video.n_frames)))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is owed and cannot be done, or that is done already by an earlier model: code and reason."""

    what: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class History:
    """The run records of a lake: of each video, and of jobs that failed before their content was known (newest of a
    place). Both sorted by time of submission."""

    by_video: Mapping[str, Sequence[RunRecord]]
    unseen: Sequence[RunRecord]


def read_history(lake: Lake) -> History:
    """Every run record that can be read."""
    by_video: dict[str, list[RunRecord]] = {}
    newest: dict[str, RunRecord] = {}
    for run in sorted(_runs(lake), key=lambda run: (run.submitted_at or "", run.job_id)):
        newest[run.uri] = run
        if run.video_id is not None:
            by_video.setdefault(run.video_id, []).append(run)
    unseen = [run for run in newest.values() if run.video_id is None and run.status == "failed"]
    return History(by_video, unseen)


def _runs(lake: Lake) -> Iterable[RunRecord]:
    for job_id in lake.job_ids():
        try:
            run = lake.read_run(job_id)
        except ResultsError as error:
            log.warning("run record left out", job_id=job_id, code=error.code)
            continue
        if run is not None:
            yield run


def selected_videos(lake: Lake, history: History, selection: Selection) -> list[VideoRecord]:
    """Videos that the selection means, in order of first sight."""
    found = []
    for video_id in lake.video_ids():
        if selection.video_ids is not None and video_id not in selection.video_ids:
            continue
        runs = history.by_video.get(video_id, ())
        last = next((run for run in reversed(runs) if run.status in (*_ASKED, "cancelled")), None)
        if selection.only_failed and (last is None or last.status != "failed"):
            continue
        try:
            record = lake.read_video(video_id)
        except ResultsError as error:
            log.warning("video record left out", video_id=video_id, code=error.code)
            continue
        if record is not None and _is_since(record, selection.since):
            found.append(record)
    return sorted(found, key=lambda record: (record.first_seen_at or "", record.video_id))


def _is_since(record: VideoRecord, since: datetime | None) -> bool:
    if since is None:
        return True
    return record.first_seen_at is not None and datetime.fromisoformat(record.first_seen_at) >= since


def asks_of(runs: Sequence[RunRecord], specs: Mapping[str, ModelSpec], selection: Selection) -> list[Ask]:
    """What is wanted of one video: by its jobs, by the selection, or by both.

    A failed job that no later one has replaced is tried again as itself, unless the selection asks for something else.
    A model that a done job ran under another digest is not wanted again: what was asked for was given.

    Args:
        runs: of the video, oldest first.
        specs: the models that are known now, by model_id.
    """
    asked = [run for run in runs if run.status in _ASKED]
    if not asked:
        return []
    wants_other = bool(selection.models or selection.infer_fps or selection.frames or selection.seconds)
    asks = [] if wants_other else [_again(run, specs) for run in _unreplaced(asked)]
    rates: dict[tuple[str, tuple[int, int] | None], dict[str, None]] = {}
    for run in asked:
        wanted = rates.setdefault((selection.infer_fps or run.infer_fps, run.frames), {})
        named = selection.models or [use.model_id for use in run.models if not _is_outdated(run, use.model_id, specs)]
        wanted.update(dict.fromkeys(name for name in named if name in specs))
    confidence = asked[-1].confidence
    asks += [Ask(tuple(ids), rate, confidence, frames) for (rate, frames), ids in rates.items() if ids]
    return [replace(ask, confidence=_stored(ask, specs)) for ask in asks if ask.model_ids]


def outdated(runs: Sequence[RunRecord], specs: Mapping[str, ModelSpec]) -> list[str]:
    """Models that done jobs ran under a digest that is no longer the present one, sorted."""
    ids = {use.model_id for run in runs for use in run.models if _is_outdated(run, use.model_id, specs)}
    return sorted(ids)


def _is_outdated(run: RunRecord, model_id: str, specs: Mapping[str, ModelSpec]) -> bool:
    digests = [use.model_digest for use in run.models if use.model_id == model_id]
    return run.status == "done" and model_id in specs and specs[model_id].digest not in digests


def _unreplaced(asked: Sequence[RunRecord]) -> list[RunRecord]:
    """Failed jobs that no later job with at least their models at their rate has replaced."""
    names = [{use.model_id for use in run.models} for run in asked]
    return [
        run
        for i, run in enumerate(asked)
        if run.status == "failed"
        and not any(_same_part(asked[j], run) and names[j] >= names[i] for j in range(i + 1, len(asked)))
    ]


def _same_part(one: RunRecord, other: RunRecord) -> bool:
    return (one.infer_fps, one.frames) == (other.infer_fps, other.frames)


def _again(run: RunRecord, specs: Mapping[str, ModelSpec]) -> Ask:
    known = tuple(use.model_id for use in run.models if use.model_id in specs)
    return Ask(known, run.infer_fps, run.confidence, run.frames, run.job_id)


def _stored(ask: Ask, specs: Mapping[str, ModelSpec]) -> float:
    """The asked threshold, or what the models store at least."""
    return max(ask.confidence, *(specs[model_id].confidence_floor for model_id in ask.model_ids))


def debts_of(
    lake: Lake, video: VideoRecord, asks: Sequence[Ask], specs: Mapping[str, ModelSpec], selection: Selection
) -> tuple[list[Debt], list[LeftOut]]:
    """What a video owes to some wishes; an instant that two wishes share is owed once, to the first.

    Failed jobs come first, then the plans with most frames.

    Raises:
        ResultsError: its index cannot be read.
    """
    index = read_index(lake, video.video_id)
    chosen = _frames(index, selection)
    left_out: list[LeftOut] = []
    planned: list[tuple[Ask, FramePlan]] = []
    for ask in asks:
        try:
            plan = plan_frames(index, parse_infer_fps(ask.infer_fps) if ask.infer_fps else None)
        except FramehouseError as error:
            left_out.append(LeftOut(video.video_id, error.code, error.message))
            continue
        ask = replace(ask, frames=_both(ask.frames, chosen))  # noqa: PLW2901
        planned.append((ask, plan if ask.frames is None else plan_within(plan, *ask.frames)))
    planned.sort(key=lambda item: (item[0].job_id is None, -len(item[1].frame_offset)))
    held = {
        model_id: standing(lake.part_paths(video.video_id, specs[model_id].digest))
        for ask, _ in planned
        for model_id in ask.model_ids
    }
    covered: dict[str, NDArray[np.int64]] = {}
    debts = []
    for ask, plan in planned:
        debt = _debt(video, index, ask, plan, specs, held, covered, selection.gaps)
        if debt is not None:
            debts.append(debt)
    return debts, left_out


def _debt(
    video: VideoRecord,
    index: VideoIndex,
    ask: Ask,
    plan: FramePlan,
    specs: Mapping[str, ModelSpec],
    held: Mapping[str, Standing],
    covered: dict[str, NDArray[np.int64]],
    gaps: GapPolicy,
) -> Debt | None:
    models, wanted = [], np.empty(0, np.int64)
    for model_id in ask.model_ids:
        mine = held[model_id]
        open_instants = owed(owed(plan.frame_offset, mine.loaded), mine.left_alone(gaps))
        open_instants = owed(open_instants, covered.get(model_id, np.empty(0, np.int64)))
        covered[model_id] = np.union1d(covered.get(model_id, open_instants), open_instants)
        n_gaps = int(np.isin(open_instants, mine.gaps).sum())
        models.append(ModelDebt(model_id, specs[model_id].digest, open_instants.size - n_gaps, n_gaps))
        wanted = np.union1d(wanted, open_instants)
    if not wanted.size:
        return None
    owing = tuple(model for model in models if model.n_owed or ask.job_id is not None)
    n_frames, n_chunks = _effort(index, plan, wanted)
    return Debt(video, ask, owing, n_frames, n_chunks)


def _effort(index: VideoIndex, plan: FramePlan, wanted: NDArray[np.int64]) -> tuple[int, int]:
    """(frames that the decoder goes through, chunks) for these instants of a plan."""
    of_chunk = [(chunk, np.intersect1d(frames_of_chunk(plan, chunk), wanted)) for chunk in chunks(index)]
    passed = [n_passed(chunk, frames) for chunk, frames in of_chunk if frames.size]
    return sum(passed), len(passed)


def _both(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return one or other
    return max(one[0], other[0]), min(one[1], other[1])


def _frames(index: VideoIndex, selection: Selection) -> tuple[int, int] | None:
    """The part of the video that the selection means, as frame_offsets: a second means the frame shown from it on."""
    if selection.seconds is None:
        return selection.frames
    times = (index.pts - index.pts[0]) * float(index.stream.time_base)
    first, end = np.searchsorted(times, [second - 1e-6 for second in selection.seconds])
    return int(first), int(end)
