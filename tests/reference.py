"""An undisturbed pass over videos, through the core alone: no Prefect, no Dask, no loader process, nothing killed.

The same Triton server answers, and the tables are made in a folder of the test's own; so a kill test can compare what a
disturbed stack published with what should be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from framehouse.config import ROOT
from framehouse.ids import content_sha256, video_id
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.specs import TritonTarget
from framehouse.results.lake import Lake
from framehouse.store.publish import current_snapshot
from framehouse.store.rebuild import rebuild
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, parse_infer_fps, plan_frames
from local_stack import Stack

QUERIES = {
    "frames": "SELECT video_id, frame_offset, pts, time_offset_s FROM frames",
    "inferences": "SELECT video_id, frame_offset, model_digest, model_id, status, gap_reason FROM inferences",
    "detections": "SELECT video_id, frame_offset, model_digest, detection_id, model_id, class_id, class_name, "
    "confidence, x, y, width, height FROM detections",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows of the result tables, sorted; floats as they are, bit for bit."""

    rows: dict[str, list[tuple[Any, ...]]]

    def of(self, video_id: str) -> Tables:
        """The rows of one video."""
        return Tables({name: [row for row in rows if row[0] == video_id] for name, rows in self.rows.items()})

    def renamed(self, old: str, new: str) -> Tables:
        """The same rows under another video's name."""
        return Tables({name: [(new, *row[1:]) for row in rows if row[0] == old] for name, rows in self.rows.items()})

    def differences(self, other: Tables) -> dict[str, tuple[int, int, list[Any], list[Any]]]:
        """Table -> (rows here, rows there, some only here, some only there); empty when equal."""
        found = {}
        for name, rows in self.rows.items():
            theirs = other.rows[name]
            if rows != theirs:
                only_here, only_there = set(rows) - set(theirs), set(theirs) - set(rows)
                found[name] = (len(rows), len(theirs), sorted(only_here)[:3], sorted(only_there)[:3])
        return found


def reference_tables(videos: Sequence[Path], infer_fps: str, triton_url: str, folder: Path) -> Tables:
    """Infer every planned frame of the videos once, in this process, and make the tables of it."""
    lake = Lake(folder / "lake")
    spec = resolve(load_specs([ROOT / "triton_models"]), "detector")
    target = TritonTarget(triton_url, shared_memory=True, request_timeout_s=60.0, in_flight=4)
    ids = set()
    for path in videos:
        identity = video_id(content_sha256(path))
        ids.add(identity)
        index = probe(path)
        plan = plan_frames(index, parse_infer_fps(infer_fps))
        for chunk in chunks(index):
            task = ChunkTask(
                job_id="reference", video_id=identity, path=str(path), stream=index.stream, chunk=chunk,
                planned=frames_of_chunk(plan, chunk), first_pts=int(index.pts[0]), models=(spec,),
                lake_root=str(lake.root), triton=target, max_frames_per_part=97,
            )  # fmt: skip
            infer_chunk(task)
    rebuild(folder / "store", lake)
    return read_tables(current_snapshot(folder / "store"), ids)


def stack_tables(stack: Stack, video_id: str) -> Tables:
    """What the stack has published about a video."""
    return read_tables(current_snapshot(stack.home / "store"), {video_id})


def read_tables(snapshot: Path, video_ids: set[str]) -> Tables:
    """The result tables of a snapshot, for some videos."""
    chosen = sorted(video_ids)
    with duckdb.connect(str(snapshot), read_only=True) as connection:
        rows = {
            name: connection.execute(f"{query} WHERE video_id IN (SELECT unnest(?)) ORDER BY ALL", [chosen]).fetchall()
            for name, query in QUERIES.items()
        }
    return Tables(rows)
