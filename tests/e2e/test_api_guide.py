"""The guide's commands, in plain curl, run as they stand against the live server; and the examples."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from local_stack import Stack
from official_client import NEWEST, ClientMissing, client_python, run_script
from real_parts import ROOT, cache_folder, require

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(900)]

GUIDE = (ROOT / "docs" / "guide" / "api.md").read_text()


def test_every_curl_command_of_the_guide_works(stack: Stack, sample_videos: dict[str, Path], tmp_path: Path) -> None:
    """The first block names the server and the video; only those two lines are changed."""
    if not shutil.which("curl"):
        require("curl", "there is no curl here")
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE))
    assert len(re.findall(r"\b(?:ask|send) ", script)) > 20
    url, video = str(stack.facts()["endpoints"]["api_url"]), str(sample_videos["carphone_pristine.mp4"])
    script = re.sub(r"^API=.*$", f"API={url}", script, count=1, flags=re.MULTILINE)
    script = re.sub(r"^VIDEO=.*$", f"VIDEO={video}", script, count=1, flags=re.MULTILINE)
    env = os.environ | {"NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr}"
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"frame_offset", "time_offset", "detector", "clip"}
    assert (tmp_path / "events.txt").read_text().rstrip().splitlines()[-1].count('"status":"done"') == 1
    assert "person" in done.stdout and "framehouse_jobs" in done.stdout


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_example_draws_what_was_seen(stack: Stack, sample_videos: dict[str, Path], tmp_path: Path) -> None:
    """In the client's own environment, with supervision, as a user runs it; only the minute's pause is shortened."""
    try:
        python = client_python(NEWEST, cache_folder(), "supervision==0.31.2")
    except ClientMissing as missing:
        require("official client", str(missing))
    url, video, out = (
        str(stack.facts()["endpoints"]["api_url"]),
        sample_videos["carphone_pristine.mp4"],
        tmp_path / "o.mp4",
    )
    words = [str(ROOT / "examples" / "draw_predictions.py"), str(video), "--out", str(out)]
    code = f"import runpy\nsys.argv = {words!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    run_script(python, url, code, tmp_path, timeout_s=400)
    before, after = pictures(video), pictures(out)
    assert len(before) == len(after) > 0
    jobs = httpx.get(f"{url}/v1/jobs?limit=1000").json()["jobs"]
    (job_id,) = {job["job_id"] for job in jobs if job["n_planned"] == len(before) and job["models"] == ["detector/1"]}
    results = httpx.get(httpx.get(f"{url}/v1/jobs/{job_id}/results").json()["url"]).json()
    shown = [
        edge_changed(before[frame], after[frame], one)
        for frame, found in zip(results["frame_offset"], results["detector"], strict=True)
        for one in found["predictions"]
    ]
    inside = [one for one in shown if one is not None]
    assert len(inside) > len(before) // 4
    assert np.mean(inside) > 0.9


def edge_changed(before: NDArray[np.uint8], after: NDArray[np.uint8], one: dict[str, float]) -> bool | None:
    """Whether the middle of a box's left edge was painted over; None where it lies outside the picture."""
    left, middle = round(one["x"] - one["width"] / 2), round(one["y"])
    if not 2 < left < before.shape[1] - 2 or not 4 < middle < before.shape[0] - 4:
        return None
    edge = (slice(middle - 3, middle + 4), slice(left - 1, left + 2))
    return bool(np.abs(after[edge].astype(int) - before[edge].astype(int)).mean() > 20)
