"""A FRAMEHOUSE_HOME with made videos whose pictures say their number, and rows that are a function of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse import ids
from framehouse.config import Settings
from framehouse.ids import new_job_id
from framehouse.jobs.plans import keep_index
from framehouse.results.contract import FrameRows, time_offsets_s
from framehouse.results.finding_files import write_finding
from framehouse.results.findings import Event, Events, Finding, Ruleset, Scenes, Tracks
from framehouse.results.lake import Lake, ModelUse, RunRecord
from framehouse.results.masks import encode
from framehouse.results.parts import Part, PartHeader
from framehouse.results.records.boxes import Segmentations
from framehouse.results.records.classes import Classifications
from framehouse.results.records.gazes import Gazes
from framehouse.storage.local import LocalSource
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, plan_frames
from media import RECIPES, Recipe, write

SIZE = (320, 192)
FPS = 10
DIGESTS = {"detector": "d" * 32, "gaze": "e" * 32, "tags": "f" * 32}
PLAIN = Recipe("numbers.mp4", n_frames=150, size=SIZE, b_frames=2)
OTHER = replace(RECIPES["hevc.mp4"], name="needs a copy.mp4", n_frames=60, size=SIZE)
GAP = 42
"""The frame that no model answered for."""


@dataclass(frozen=True, slots=True)
class PageHome:
    """`plain` plays as it is, `other` needs a copy."""

    settings: Settings
    plain: str
    other: str


def box_x(frame: int) -> float:
    """Centre of the person's box in a frame, pixels."""
    return 60.0 + frame


def make_page_home(root: Path) -> PageHome:
    """Videos, parts and jobs, published."""
    settings = Settings(home=root / "home")
    lake, folder = Lake(settings.lake_dir), root / "videos"
    folder.mkdir(parents=True)
    found, entries = [], []
    for recipe in (PLAIN, OTHER):
        path = write(folder, recipe)
        index = probe(path)
        local = LocalSource(path).fetch(settings.fetch_dir)
        video_id = ids.video_id(local.sha256)
        keep_index(lake, local, video_id, index)
        job_id = _put(lake, video_id, index, str(path))
        ruleset_id = _find(lake, video_id, index)
        entries += [("job", None, None, job_id), *(("parts", video_id, digest, None) for digest in DIGESTS.values())]
        entries.append(("finding", video_id, ruleset_id, None))
        found.append(video_id)
    with Publisher(settings.store_dir, lake) as publisher:
        publisher.apply_and_publish(
            [LoadEntry(i + 1, kind, video, digest, job_id=job) for i, (kind, video, digest, job) in enumerate(entries)]
        )
    return PageHome(settings, *found)


def _put(lake: Lake, video_id: str, index: VideoIndex, uri: str) -> str:
    plan, job_id, uses = plan_frames(index, Fraction(FPS)), new_job_id(), []
    for slug, digest in DIGESTS.items():
        chunk = chunks(index)[0]
        offsets = plan.frame_offset
        reasons = np.array(["decode.failed" if frame == GAP else None for frame in offsets.tolist()], np.object_)
        pts = index.pts[offsets]
        times = time_offsets_s(pts, int(index.pts[0]), index.stream.time_base)
        rows = _rows(slug, [int(frame) for frame in offsets if frame != GAP])
        header = PartHeader(video_id, chunk.chunk_id, f"{slug}/1", digest, rows.kind, job_id)
        infer_s = np.full(len(offsets), 0.0125, np.float32)
        lake.write_part(Part(header, offsets, pts, times, reasons, infer_s, rows))
        n, gaps = len(offsets), int((offsets == GAP).sum())
        uses.append(ModelUse(f"{slug}/1", digest, rows.kind, n, n - gaps, gaps, {"decode.failed": gaps}, 0.5))
    lake.write_plan(job_id, video_id, plan)
    lake.write_run(
        RunRecord(
            job_id, video_id, uri, "done", str(FPS), 0.4, tuple(uses), submitted_at="2026-11-23T08:00:00+00:00",
            started_at="2026-11-23T08:00:01+00:00", finished_at="2026-11-23T08:00:09+00:00", decode_s=1.5, n_bytes=0,
        )
    )  # fmt: skip
    return job_id


def _find(lake: Lake, video_id: str, index: VideoIndex) -> str:
    """Two scenes, an event of a time and one of a moment, and the person tracked as number 7."""
    offsets = [int(f) for f in plan_frames(index, Fraction(FPS)).frame_offset if f != GAP]
    end_s = float(index.duration_s)
    scenes = Scenes.of(
        {"start_s": [0.0, 1.0], "end_s": [1.0, end_s], "first_frame_offset": [0, 30],
         "last_frame_offset": [29, index.n_frames - 1], "facts": ["{}", "{}"]}
    )  # fmt: skip
    tracks = Tracks.of(
        {"model_digest": [DIGESTS["detector"]] * len(offsets), "frame_offset": offsets,
         "detection_id": [0] * len(offsets), "tracker_id": [7] * len(offsets)}
    )  # fmt: skip
    events = Events.ordered(
        [
            Event("presence", 0.5, 1.5, 15, 7, "person", facts='{"reason":"there"}'),
            Event("line_in", 1.6, frame_offset=48, tracker_id=7, class_name="person"),
        ]
    )
    ruleset = Ruleset("lines", "door", {"line": [0.0, 0.5, 1.0, 0.5]})
    whole = {"events": events, "scenes": scenes, "tracks": tracks, "judged_s": end_s - 0.1, "unjudged_s": 0.1}
    write_finding(lake, Finding.of(ruleset, video_id, input_digest="x", model_digests=(DIGESTS["detector"],), **whole))
    return ruleset.ruleset_id


def _rows(slug: str, frames: Sequence[int]) -> FrameRows:
    n, offsets = len(frames), np.array(frames, np.int64)
    sure = np.full(n, 0.9, np.float32)
    box = np.stack([[box_x(f) for f in frames], np.full(n, 100), np.full(n, 50), np.full(n, 80)], 1).astype(np.float32)
    if slug == "gaze":
        face = box * np.float32([1, 0.7, 0.6, 0.4])
        points = np.repeat(face[:, None, :2], 6, axis=1) + np.float32(
            [[-5, -4], [5, -4], [0, 2], [0, 8], [-9, 0], [9, 0]]
        )
        yaw = np.linspace(-0.8, 0.8, n).astype(np.float32)
        return Gazes(offsets, sure, face, points.astype(np.float32), yaw, np.full(n, 0.1, np.float32))
    names = ["cat" if slug == "tags" and f > 75 else "red car" if slug == "tags" else "person" for f in frames]
    class_id = np.array([{"cat": 281, "red car": 817, "person": 0}[name] for name in names], np.int32)
    if slug == "tags":
        return Classifications.ordered(
            frame_offset=offsets, class_id=class_id, class_name=np.array(names, np.object_), confidence=sure
        )
    few = offsets[::3]
    car = np.tile(np.float32([250, 60, 60, 40]), (len(few), 1))
    faint = Segmentations.ordered(
        frame_offset=few, class_id=np.full(len(few), 2, np.int32), class_name=np.array(["car"] * len(few), np.object_),
        confidence=np.full(len(few), 0.3, np.float32), xcycwh=car, mask=_left_halves(car),
    )  # fmt: skip
    boxes = Segmentations.ordered(
        frame_offset=offsets, class_id=class_id, class_name=np.array(names, np.object_), confidence=sure, xcycwh=box,
        mask=_left_halves(box),
    )  # fmt: skip
    return Segmentations.concat([boxes, faint])


def _left_halves(xcycwh: NDArray[np.float32]) -> NDArray[np.object_]:
    """A mask for each box: its left half."""
    masks = []
    for x, y, wide, high in xcycwh.tolist():
        inside = np.zeros(SIZE[::-1], np.bool_)
        inside[int(y - high / 2) : int(y + high / 2), max(0, int(x - wide / 2)) : int(x)] = True
        masks.append(encode(inside))
    return np.array(masks, np.object_)
