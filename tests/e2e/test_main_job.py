"""The main job as its user runs it: a real video through the whole stack, and what can be asked then."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import av
import numpy as np
import pytest
import supervision as sv

from framehouse import tracing
from local_stack import Stack
from otlp_receiver import Receiver

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bikes(stack: Stack, sample_videos: dict[str, Path]) -> dict[str, str]:
    """The finished job on bikes.mp4 at 5 frames a second."""
    jobs = json.loads(stack.ok("run", str(sample_videos["bikes.mp4"]), "--json"))
    assert [job["status"] for job in jobs] == ["done"], f"{jobs}\n{stack.logs()}"
    return dict(jobs[0])


def sql(stack: Stack, query: str) -> list[dict[str, object]]:
    return list(json.loads(stack.ok("sql", query, "--format", "json")))


def test_sql_tells_what_was_seen(stack: Stack, bikes: dict[str, str]) -> None:
    rows = sql(
        stack,
        f"SELECT class_name, count(*) AS n FROM detections WHERE video_id = '{bikes['video_id']}' "
        "AND confidence >= 0.4 GROUP BY ALL",
    )
    seen = {str(row["class_name"]): row["n"] for row in rows}
    assert {"person", "car"} <= seen.keys(), seen


def test_every_planned_frame_is_accounted_for(stack: Stack, bikes: dict[str, str]) -> None:
    row = sql(stack, f"SELECT * FROM completeness WHERE video_id = '{bikes['video_id']}'")[0]
    assert row["n_planned"] == row["n_loaded"] > 0  # type: ignore[operator]
    assert (row["n_gaps"], row["n_open"], row["n_unexplained"]) == (0, 0, 0)
    mine = sql(stack, f"SELECT count(*) AS n FROM job_frames WHERE job_id = '{bikes['job_id']}'")[0]["n"]
    assert mine == 50


def test_results_are_the_wire_contract_and_supervision_reads_them(stack: Stack, bikes: dict[str, str]) -> None:
    results = json.loads(stack.ok("results", bikes["job_id"]))
    assert set(results) == {"frame_offset", "time_offset", "detector"}
    assert results["frame_offset"] == list(range(0, 250, 5))
    assert results["time_offset"] == [round(i / 5, 4) for i in range(50)]
    assert len(results["detector"]) == 50
    boxes = [sv.Detections.from_inference(frame) for frame in results["detector"]]
    assert sum(len(found) for found in boxes) > 20
    for found in boxes:
        assert np.all(found.confidence >= 0.4)
        assert np.all(found.xyxy[:, 2] <= 640.5)


def test_a_second_job_infers_only_what_is_new(
    stack: Stack, bikes: dict[str, str], sample_videos: dict[str, Path]
) -> None:
    parts = stack.home / "lake" / "parts" / bikes["video_id"]
    before = {path: path.stat().st_mtime_ns for path in parts.rglob("*.parquet")}
    again = json.loads(stack.ok("run", str(sample_videos["bikes.mp4"]), "--confidence", "0.6", "--json"))[0]
    assert again["status"] == "done"
    assert {path: path.stat().st_mtime_ns for path in parts.rglob("*.parquet")} == before
    assert len(json.loads(stack.ok("results", again["job_id"]))["frame_offset"]) == 50


def test_render_keeps_timing(
    stack: Stack, bikes: dict[str, str], sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "annotated.mp4"
    stack.ok("render", str(sample_videos["bikes.mp4"]), "--out", str(out))
    with av.open(str(sample_videos["bikes.mp4"])) as source, av.open(str(out)) as made:
        times = [[float(p.pts * p.time_base) for p in c.demux(video=0) if p.pts is not None] for c in (source, made)]
    assert np.allclose(sorted(times[0]), sorted(times[1]), atol=1e-4)


def test_what_reads_works_with_the_stack_down(stack: Stack, bikes: dict[str, str], tmp_path: Path) -> None:
    """Same home, no supervisor: a home without a stack is what a stopped stack leaves."""
    copy = tmp_path / "home"
    subprocess.run(["cp", "-a", str(stack.home / "store"), str(stack.home / "lake"), str(tmp_path)], check=True)
    copy.mkdir()
    for name in ("store", "lake"):
        (tmp_path / name).rename(copy / name)
    cold = Stack(copy, stack.env | {"FRAMEHOUSE_HOME": str(copy)})
    assert cold.ok("sql", "SELECT count(*) FROM videos", "--format", "csv").splitlines()[-1] != "0"
    assert json.loads(cold.ok("results", bikes["job_id"]))["frame_offset"]
    assert "detector/1" in cold.ok("models", "list")
    assert cold.run("run", "x.mp4").returncode != 0


def test_cancel_and_retry(stack: Stack, tmp_path: Path, sample_videos: dict[str, Path]) -> None:
    job = json.loads(stack.ok("run", str(sample_videos["bigbuckbunny.mp4"]), "--fps", "all", "--no-wait", "--json"))[0]
    stack.ok("jobs", "cancel", job["job_id"])
    assert wait_for(stack, job["job_id"]) == "cancelled"
    stack.ok("jobs", "retry", job["job_id"])
    assert wait_for(stack, job["job_id"]) == "done"


def wait_for(stack: Stack, job_id: str) -> str:
    from framehouse.jobs.submit import wait_for_jobs
    from framehouse.state import open_state

    state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
    return wait_for_jobs(state, [job_id], timeout_s=240.0)[0].status


def test_every_hop_is_measured_over_all_processes(stack: Stack, bikes: dict[str, str]) -> None:
    figures = json.loads(stack.ok("status", "--json"))["figures"]

    def total(name: str, **labels: str) -> float:
        family = name.removesuffix("_count").removesuffix("_sum")
        return sum(
            sample["value"]
            for sample in figures[family]
            if sample["name"] == name and labels.items() <= sample["labels"].items()
        )

    for hop in ("fetch", "probe", "plan", "infer", "load"):
        assert total("framehouse_hop_seconds_count", hop=hop) >= 1, hop
        assert total("framehouse_hop_seconds_sum", hop=hop) > 0, hop
    assert total("framehouse_frames_total", model="detector/1", outcome="inferred") >= 50
    assert total("framehouse_frames_decoded_total") >= 50
    assert total("framehouse_infer_seconds_total", model="detector/1") > 0
    assert total("framehouse_worker_cpu_seconds_total") > 0
    assert total("framehouse_chunks_total", outcome="inferred") >= 1
    assert total("framehouse_parts_bytes_total") > 0
    assert total("framehouse_loads_total", kind="parts") >= 1
    assert total("framehouse_publish_seconds_count") >= 1
    assert total("framehouse_job_seconds_count") >= 1
    assert total("framehouse_jobs_ended_total", outcome="done") >= 1
    assert total("framehouse_triton_up") == 1
    assert total("framehouse_triton_requests_total", triton_model="detector") >= 1
    assert total("framehouse_triton_request_seconds_total", triton_model="detector") > 0
    text = stack.ok("status")
    assert "detector/1" in text and "fetch" in text, text


def test_a_job_is_one_trace_over_all_its_processes(stack: Stack, traces: Receiver, bikes: dict[str, str]) -> None:
    """The command that submitted it, its run, its workers, the loader: nobody meets another's tracer."""
    hops = {(hop, "run") for hop in ("fetch", "probe", "plan", "infer", "load")}
    wanted = {
        ("submit", "job"), ("run", "job"), ("publish", "job"), ("chunk", "infer"), ("part", "chunk"), *hops
    }  # fmt: skip
    deadline = time.monotonic() + 30.0
    while (found := parents_in(traces, bikes["job_id"])) != wanted:  # each process sends its own, about once a second
        assert time.monotonic() < deadline, found ^ wanted
        time.sleep(0.2)


def parents_in(traces: Receiver, job_id: str) -> set[tuple[str, str]]:
    """(span, the one that it belongs to), by names, over the trace of a job."""
    spans = traces.of_trace(tracing.trace_id(job_id))
    names = {span.span_id: span.name for span in spans}
    return {(span.name, names.get(span.parent_span_id, "")) for span in spans if span.parent_span_id}
