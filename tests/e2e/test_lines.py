"""Through the real detector: a cyclist out of a real video goes over a line and back; in 1, out 1, and so says SQL."""

from __future__ import annotations

import json
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from local_stack import Stack

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(600)]

LINE = ("--line", "middle=0.5,0,0.5,1", "--class", "person", "--name", "e2e lines")


@pytest.fixture(scope="module")
def twice(sample_videos: dict[str, Path], media_dir: Path) -> Path:
    """The cyclist of bikes.mp4, moved from left to right and back, 10 s."""
    with av.open(str(sample_videos["bikes.mp4"])) as source:
        frame = next(f for i, f in enumerate(source.decode(video=0)) if i == 120).to_ndarray(format="rgb24")
    cyclist = cv2.resize(frame[:272, 376:526], (120, 218), interpolation=cv2.INTER_AREA)
    street = cv2.GaussianBlur(cv2.resize(frame, (640, 360)), (0, 0), 60)
    path = media_dir / "twice.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for x in np.interp(np.arange(100), [0, 45, 50, 95], [20, 500, 500, 20]).astype(int).tolist():
            picture = street.copy()
            picture[120 : 120 + 218, x : x + 120] = cyclist
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_cyclist_over_the_line_and_back(stack: Stack, twice: Path) -> None:
    stack.ok("run", str(twice), "--model", "detector", "--fps", "5")
    (found,) = json.loads(stack.ok("lines", str(twice), *LINE, "--json"))
    assert [(event["kind"], event["tracker_id"]) for event in found["events"]] == [("line_in", 1), ("line_out", 1)]
    assert [event["time_offset_s"] for event in found["events"]] == pytest.approx([2.3, 7.2], abs=0.4)
    query = "SELECT n_in, n_out, n_frames FROM line_counts_per_minute WHERE name = 'e2e lines'"
    rows, deadline = [], time.monotonic() + 60
    while not rows and time.monotonic() < deadline:  # the resident loader
        rows = json.loads(stack.ok("sql", query, "--format", "json"))
        time.sleep(0.5)
    assert rows == [{"n_in": 1, "n_out": 1, "n_frames": 50}]
