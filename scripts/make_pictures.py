"""The pictures of docs/pictures: frames of the sample videos as each model sees them.

    python scripts/make_pictures.py [NAME...]

Starts a Triton server of its own, runs each model over its video as a job does (decoder, server, parts), and draws the
stored rows of one frame. The frames were chosen to show what a model does on ordinary video, its mistakes with it.
`ocr` and `moderation` are pulled into a temporary folder for that; their packages are fetched once.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.inference.clip import embed_texts, prompts, text_model_of
from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import connect
from framehouse.render.marks import draw_rows, listed
from framehouse.results.contract import FrameRows
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.masks import decode as decode_mask
from framehouse.results.masks import encode as encode_mask
from framehouse.results.parts import part_paths, read_part
from framehouse.results.vectors import compare
from framehouse.samples import sample_videos
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.framing import stretched
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
_WIDTH = 704
_QUALITY = 82
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: what a model stored of one frame of a video, from a threshold on."""

    model: str
    video: str
    frame_offset: int
    threshold: float = 0.4
    asked: tuple[str, ...] = ()
    """Texts whose cosines with the frame are shown, for models of pictures and texts."""


SHOTS: Mapping[str, Shot] = {
    "detector": Shot("detector", "bikes.mp4", 137),
    "faces": Shot("faces", "carphone_pristine.mp4", 60),
    "persons": Shot("persons", "carphone_pristine.mp4", 60),
    "keypoints": Shot("keypoints", "bikes.mp4", 40),
    "tags": Shot("tags", "carphone_pristine.mp4", 60, 0.0),
    "gaze": Shot("gaze", "carphone_pristine.mp4", 119),
    "clip": Shot("clip", "shapes", 0, 0.0, ("red circle", "blue circle", "red square", "green star")),
    "ocr": Shot("ocr", "titled", 0),
    "moderation": Shot("moderation", "carphone_pristine.mp4", 60, 0.2),
}
PULLED = ("ocr", "moderation")


def main(names: Sequence[str]) -> int:
    """Write the pictures that are named, or all; returns the exit code."""
    shots = {name: SHOTS[name] for name in names or SHOTS}
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as scratch:
        work = Path(scratch)
        videos = {path.name: path for path in sample_videos(ROOT / ".framehouse" / "samples").values()}
        with serving(work, [shot.model for shot in shots.values()]) as (roots, target):
            specs = load_specs(roots)
            videos["shapes"] = one_frame(work / "shapes.mkv", red_circle())
            videos["titled"] = one_frame(work / "titled.mkv", titled(videos["bigbuckbunny.mp4"]))
            for name, shot in shots.items():
                video = videos[shot.video]
                picture = taken(shot, video, resolve(specs, shot.model), roots, target, work / "lake")
                size = save(PICTURES / f"{name}.jpg", picture)
                sys.stdout.write(f"{name}.jpg: {size} bytes\n")
    return 0


@contextmanager
def serving(work: Path, models: Sequence[str]) -> Iterator[tuple[list[Path], TritonTarget]]:
    """A server over the shipped models and those of the manifest that are wanted."""
    added = work / "models"
    added.mkdir()
    roots = [ROOT / "triton_models", added]
    for name in PULLED:
        if name in models:
            pull(name, roots, PullSource(), accept=True)
    with TritonServer(ensure_server_env(ROOT), roots, work_dir=work / "triton", models=[]) as server:
        yield roots, TritonTarget(server.url, shared_memory=True, request_timeout_s=120.0, in_flight=2)


def taken(shot: Shot, video: Path, spec: ModelSpec, roots: Sequence[Path], target: TritonTarget, lake: Path) -> Picture:
    """The frame, enlarged to be looked at, with its rows drawn in."""
    index = probe(video)
    rows = inferred(index, video, spec, target, lake, shot.frame_offset)
    picture = frame_of(index, video, shot.frame_offset)
    factor = max(1, round(_WIDTH / picture.shape[1]))
    drawn = enlarged(picture, factor)
    draw_rows(drawn, scaled(kept(rows, shot.threshold), factor, index.stream.size))
    if shot.asked:
        client, text_model = connect(target), text_model_of(spec, roots)
        vectors = embed_texts(client, text_model, prompts(text_model, shot.asked))
        cosines = compare(rows.arrays()["embedding"], vectors)[0]
        listed(drawn, [f"{text} {cosine:.2f}" for text, cosine in zip(shot.asked, cosines.tolist(), strict=True)])
    return drawn


def inferred(
    index: VideoIndex, video: Path, spec: ModelSpec, target: TritonTarget, lake: Path, frame_offset: int
) -> FrameRows:
    """What the model stored of one frame."""
    (chunk,) = [c for c in chunks(index) if c.first_frame <= frame_offset < c.first_frame + c.n_frames]
    planned = frames_of_chunk(plan_frames(index, "all"), chunk)
    task = ChunkTask(
        job_id="j", video_id=video.stem, path=str(video), stream=index.stream, chunk=chunk,
        planned=planned[planned == frame_offset], first_pts=int(index.pts[0]), models=(spec,), lake_root=str(lake),
        triton=target,
    )  # fmt: skip
    receipt = infer_chunk(task)
    if receipt.tallies[0].n_loaded != 1:
        raise SystemExit(f"{spec.model_id} gave no answer: {receipt.tallies[0].gap_reasons}")
    parts = part_paths(Lake(lake).parts_dir(video.stem, spec.digest))
    rows = KINDS[spec.kind].concat([read_part(path).rows for path in parts])
    return rows.select(np.array([frame_offset]))


def frame_of(index: VideoIndex, video: Path, frame_offset: int) -> Picture:
    """One frame, upright, at its own size."""
    (chunk,) = [c for c in chunks(index) if c.first_frame <= frame_offset < c.first_frame + c.n_frames]
    framing = stretched(index.stream.size)
    (item,) = decode(video, index.stream, chunk, np.array([frame_offset], np.int64), [framing], batch_size=1)
    if not isinstance(item, FrameBatch):
        raise SystemExit(f"frame {frame_offset} of {video} does not decode")
    return item.pictures[framing][0]


def enlarged(picture: Picture, factor: int) -> Picture:
    """A picture some times as large."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC), np.uint8)


def kept(rows: FrameRows, threshold: float) -> FrameRows:
    """Rows from a confidence on; all rows of a kind that has none."""
    arrays = rows.arrays()
    if "confidence" not in arrays:
        return rows
    keep = arrays["confidence"] >= threshold
    return type(rows)(**{name: array[keep] for name, array in arrays.items()})


def scaled(rows: FrameRows, factor: int, size: tuple[int, int]) -> FrameRows:
    """Rows of a picture as rows of the same picture some times as large."""
    changed: dict[str, Any] = {
        name: array * np.float32(factor)
        for name, array in rows.arrays().items()
        if name in ("xcycwh", "keypoint_xy", "landmarks", "polygon")
    }
    masks = rows.arrays().get("mask")
    if masks is not None:
        large = [decode_mask(str(mask), size).repeat(factor, 0).repeat(factor, 1) for mask in masks]
        changed["mask"] = np.array([encode_mask(mask) for mask in large], np.object_)
    return replace(rows, **changed)


def red_circle() -> Picture:
    """What the tiny CLIP knows."""
    picture = np.full((360, 640, 3), (200, 200, 200), np.uint8)
    cv2.circle(picture, (320, 180), 100, (230, 20, 20), cv2.FILLED, cv2.LINE_AA)
    return picture


def titled(video: Path) -> Picture:
    """A frame with a title drawn into it: no sample video has writing that could be read."""
    picture = np.ascontiguousarray(frame_of(probe(video), video, 60)[::2, ::2])
    cv2.rectangle(picture, (0, 270), (640, 360), (15, 15, 15), cv2.FILLED)
    for line, bottom, size in (("BREAKING NEWS: rabbit wakes up", 306, 0.7), ("Sunday 10:45, Platform 3", 348, 0.6)):
        cv2.putText(picture, line, (20, bottom), cv2.FONT_HERSHEY_DUPLEX, size, (240, 240, 240), 1, cv2.LINE_AA)
    return picture


def one_frame(path: Path, picture: Picture) -> Path:
    """A lossless video of one picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=Fraction(5))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "bgr0"
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")), *stream.encode(None)):
            out.mux(packet)
    return path


def save(path: Path, picture: Picture) -> int:
    """Write a JPEG; its size in bytes, which has a limit."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if data.nbytes > MOST_BYTES:
        raise SystemExit(f"{path.name} has {data.nbytes} bytes, more than {MOST_BYTES}")
    path.write_bytes(data.tobytes())
    return data.nbytes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
