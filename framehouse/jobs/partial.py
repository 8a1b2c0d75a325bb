"""What a job has so far, straight from its parts: for who does not want to wait for the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framehouse.errors import JobError, MisalignedParts
from framehouse.inference.specs import ModelSpec
from framehouse.results.assemble import AS_THE_JOB, ModelOptions, ModelResults, assemble
from framehouse.results.contract import time_offsets_s
from framehouse.results.indexes import read_index
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.parts import Part
from framehouse.state import Job


def partial_results(
    lake: Lake, job: Job, models: Sequence[ModelSpec], options: Mapping[str, ModelOptions]
) -> dict[str, list[Any]]:
    """The results object of a job as far as its parts go; a frame that is not there yet is None, as a gap is.

    Raises:
        JobError: code `job.no_plan`, nothing is planned yet.
    """
    stored = lake.read_plan(job.job_id)
    if stored is None:
        raise JobError(f"job {job.job_id} has no plan yet", code="job.no_plan", hint="ask again in a moment")
    video_id, plan = stored
    index = read_index(lake, video_id)
    return assemble(
        video_id=video_id,
        size=index.stream.size,
        frame_offset=plan.frame_offset,
        time_offset_s=time_offsets_s(plan.pts, int(index.pts[0]), index.stream.time_base),
        models=[_results(lake, video_id, spec, options.get(spec.model_id, AS_THE_JOB)) for spec in models],
        confidence=job.request.confidence,
    )


def _results(lake: Lake, video_id: str, spec: ModelSpec, options: ModelOptions) -> ModelResults:
    """Rows of one model from all parts of the video; of an instant that two parts hold, those of the first by name."""
    seen = np.empty(0, np.int64)
    rows, loaded, infer_s = [], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for part in _readable(lake, video_id, spec):
        new = part.loaded & ~np.isin(part.frame_offset, seen)
        rows.append(part.rows.select(part.frame_offset[new]))
        loaded.append(part.frame_offset[new])
        infer_s.append(part.infer_s[new])
        seen = np.union1d(seen, part.frame_offset[new])
    frames = np.concatenate(loaded)
    order = np.argsort(frames)
    return ModelResults(
        spec.model_id, spec.digest, frames[order], np.concatenate(infer_s)[order], KINDS[spec.kind].concat(rows),
        options,
    )  # fmt: skip


def _readable(lake: Lake, video_id: str, spec: ModelSpec) -> list[Part]:
    while True:
        try:
            paths = lake.part_paths(video_id, spec.digest)
            return [part for path in paths if (part := _read(lake, video_id, spec, path))]
        except FileNotFoundError:  # merged or set aside meanwhile: another part may hold its instants
            continue


def _read(lake: Lake, video_id: str, spec: ModelSpec, path: Path) -> Part | None:
    try:
        return lake.read_part(video_id, spec.digest, path)
    except MisalignedParts:  # the loader sets it aside
        return None
