"""The pictures and the printed output of docs/guide/moderation.md and docs/guide/proctoring.md.

    python scripts/make_proofs.py [WORK]

Makes two clips out of the sample videos, has a Triton server of its own see them (as `make_pictures` does), stores the
rows in a FRAMEHOUSE_HOME below WORK (a temporary folder unless named, and then kept), and runs the commands of the
guides on it. Their proof frames go into docs/pictures; what they print goes to stdout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from make_pictures import ROOT, serving
from numpy.typing import NDArray

from framehouse import ids
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.results.lake import Lake, ModelUse, RunRecord, VideoLocation, VideoRecord
from framehouse.samples import sample_videos
from framehouse.store.rebuild import rebuild
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames

Picture = NDArray[np.uint8]
MODELS = ("detector", "tags", "faces", "gaze", "ocr", "moderation")
FPS = Fraction(5)
MADE = {
    "policy-gambling.jpg": "titled-*-gambling-*",
    "policy-face.jpg": "carphone*-face-*",
    "proctor-look-away.jpg": "exam-*-look_away-*",
    "proctor-second-person.jpg": "exam-*-second_person-*",
}
"""Picture of the guides -> the proof frame that it is; the first of several."""
FACES = """\
name: faces
rules:
  - name: face
    model: moderation
    classes: [FACE]
    confidence: 0.5
"""


def main(work: Path) -> int:
    """Make all of it; returns the exit code."""
    samples = sample_videos(work)
    clips = [titled(samples["bigbuckbunny.mp4"], work / "titled.mp4"),
             exam(samples["carphone_pristine.mp4"], work / "exam.mp4"), samples["carphone_pristine.mp4"],
             samples["bikes.mp4"]]  # fmt: skip
    home = work / "home"
    unseen = [clip for clip in clips if ids.video_id(ids.content_sha256(clip)) not in Lake(home / "lake").video_ids()]
    if unseen:
        with tempfile.TemporaryDirectory(dir=work, prefix="server-") as scratch:
            with serving(Path(scratch), MODELS) as (roots, target):
                specs = [resolve(load_specs(roots), model) for model in MODELS]
                for clip in unseen:
                    see(home, clip, specs, target)
            if not (home / "models").is_dir():
                (Path(scratch) / "models").rename(home / "models")
        rebuild(home / "store", Lake(home / "lake"))
    (work / "faces.yaml").write_text(FACES)
    policies = ROOT / "examples" / "policies"
    for arguments in (
        ["policy", policies / "brand-safety.yaml", "titled.mp4", "bikes.mp4", "--proof", "proof"],
        ["policy", policies / "moderation.yaml", "carphone_pristine.mp4", "bikes.mp4"],
        ["policy", policies / "colours.yaml", "bikes.mp4"],
        ["policy", "faces.yaml", "carphone_pristine.mp4", "--proof", "proof"],
        ["policy", policies / "exam.yaml", "exam.mp4", "--proof", "proof"],
        ["proctor", "exam.mp4", "--away-deg", "20", "--proof", "proof"],
        ["proctor", "exam.mp4", "--away-deg", "30", "--against", "last"],
        ["proctor", "carphone_pristine.mp4", "--away-deg", "20"],
        ["db", "publish"],
        ["sql", "SELECT rule, start_s, end_s, reason FROM policy_intervals WHERE is_newest AND name = 'brand-safety'"],
        ["sql", "SELECT rule, verdict, unjudged_s FROM policy_verdicts WHERE is_newest AND uri LIKE '%titled.mp4'"],
        ["sql", "SELECT what, n, seconds, longest_s, round(share, 3) AS share FROM proctor_report WHERE is_newest"],
    ):
        run(home, work, [str(argument) for argument in arguments])
    for name, pattern in MADE.items():
        found = sorted((work / "proof").glob(pattern))
        if found:
            (ROOT / "docs" / "pictures" / name).write_bytes(found[0].read_bytes())
    return 0


def run(home: Path, work: Path, arguments: Sequence[str]) -> None:
    """Run a command and show it, as a reader would see it."""
    shown = " ".join(argument.replace(f"{ROOT}/", "") for argument in arguments)
    done = subprocess.run(
        [sys.executable, "-m", "framehouse.cli.main", *arguments], cwd=work, capture_output=True, text=True,
        env={**os.environ, "FRAMEHOUSE_HOME": str(home), "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    sys.stdout.write(f"$ framehouse {shown}\n{done.stdout}{done.stderr}exit {done.returncode}\n\n")
    sys.stdout.flush()


def see(home: Path, video: Path, specs: Sequence[ModelSpec], target: TritonTarget) -> None:
    """One finished job over all models."""
    index, digest = probe(video), ids.content_sha256(video)
    video_id, plan, lake = ids.video_id(digest), plan_frames(index, FPS), Lake(home / "lake")
    job_id = f"j_{video_id[2:]}"
    uses = {spec.model_id: ModelUse(spec.model_id, spec.digest, spec.kind, len(plan.pts)) for spec in specs}
    for chunk in chunks(index):
        receipt = infer_chunk(ChunkTask(
            job_id=job_id, video_id=video_id, path=str(video), stream=index.stream, chunk=chunk,
            planned=frames_of_chunk(plan, chunk), first_pts=int(index.pts[0]), models=tuple(specs),
            lake_root=str(lake.root), triton=target,
        ))  # fmt: skip
        for tally in receipt.tallies:
            if tally.gap_reasons:
                raise SystemExit(f"{tally.model_id} gave no answer: {tally.gap_reasons}")
    stream = index.stream
    lake.add_video(VideoRecord(
        video_id=video_id, content_sha256=digest, size_bytes=video.stat().st_size, container=stream.container,
        codec=stream.codec, width=stream.width, height=stream.height, rotation_deg=stream.rotation_deg,
        timing=stream.timing, video_fps=str(index.rate), n_frames=index.n_frames, duration_s=index.duration_s,
        recorded_at=None, first_seen_at="2026-11-29T00:00:00+00:00", first_pts=int(index.pts[0]),
        time_base=str(stream.time_base), locations=(VideoLocation(video.absolute().as_uri()),),
    ))  # fmt: skip
    lake.write_plan(job_id, video_id, plan)
    lake.write_run(RunRecord(job_id, video_id, video.absolute().as_uri(), "done", "5", 0.4, tuple(uses.values())))


def pictures(video: Path) -> list[Picture]:
    """All frames, RGB."""
    with av.open(str(video)) as opened:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in opened.decode(video=0)]


def titled(video: Path, out: Path) -> Path:
    """Big Buck Bunny with a banner of a casino from 1.6 to 3.6 s."""

    def drawn() -> Iterator[Picture]:
        for i, whole in enumerate(pictures(video)):
            picture = np.ascontiguousarray(whole[::2, ::2])
            if 40 <= i < 90:
                cv2.rectangle(picture, (0, 280), (640, 360), (20, 20, 90), cv2.FILLED)
                for line, bottom in (("GRAND CASINO", 314), ("200% BONUS, free spins", 348)):
                    cv2.putText(
                        picture, line, (20, bottom), cv2.FONT_HERSHEY_DUPLEX, 0.9, (250, 230, 60), 2, cv2.LINE_AA
                    )
            yield picture

    return encoded(out, drawn(), Fraction(25))


def exam(video: Path, out: Path) -> Path:
    """The man of `carphone` before a wall: alone, gone for 3 s, back with his mirror image for 3 s, alone again, and at
    last he looks aside for 3 s, as he does at the end of the original.
    """
    man = [cv2.resize(picture, (352, 288), interpolation=cv2.INTER_CUBIC) for picture in pictures(video)]
    talks, aside = [*man[:100], *man[:100][::-1]], [*man[-8:], *man[-8:][::-1]]

    def drawn() -> Iterator[Picture]:
        for i in range(18 * 30):
            canvas = np.full((288, 720, 3), (150, 155, 160), np.uint8)
            now = talks[i % len(talks)] if i < 420 or i >= 510 else aside[i % len(aside)]
            if not 150 <= i < 240:
                canvas[:, :352] = now
            if 270 <= i < 360:
                canvas[:, 368:] = now[:, ::-1]
            yield canvas

    return encoded(out, drawn(), Fraction(30))


def encoded(path: Path, frames: Iterable[Picture], rate: Fraction) -> Path:
    """An H.264 video of these pictures; the same file each time."""
    with av.open(str(path), "w") as out:
        stream: Any = None
        for picture in frames:
            if stream is None:
                stream = out.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        sys.exit(main(Path(sys.argv[1]).absolute()))
    with tempfile.TemporaryDirectory(prefix="proofs-") as scratch:
        sys.exit(main(Path(scratch)))
