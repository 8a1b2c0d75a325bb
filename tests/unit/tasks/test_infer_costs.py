"""What a job's models cost, from the receipts of its chunks to the view `costs`, whatever the pauses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chunk_cases import FakeTriton, numbered_video
from framehouse.config import CostSettings, Settings
from framehouse.errors import SourceUnavailable
from framehouse.jobs.costs import read_usage
from framehouse.jobs.measuring import in_hop
from framehouse.jobs.submit import resume_job, store_job
from framehouse.results.lake import Lake
from framehouse.state import JobRequest
from framehouse.state.budgets import Caps
from framehouse.state.measures import read_costs, read_measures
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import run_query
from jobs_in_hand import MODELS, new_attempt, new_state
from runs_in_line import infer_here, work


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTriton]:
    server = infer_here(monkeypatch)
    yield server
    server.close()


def test_a_hop_tells_how_long_it_took_and_how_it_failed(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    with pytest.raises(SourceUnavailable), in_hop(attempt, "fetch") as hop:
        hop.fetched(70)
        raise SourceUnavailable("away", code="source.away")
    with in_hop(attempt, "fetch"):
        pass
    found = read_measures(attempt.state.engine)
    assert found["framehouse_errors_total"] == {(("code", "source.away"), ("hop", "fetch")): 1}
    assert found["framehouse_hop_seconds_count"] == {(("hop", "fetch"),): 2}
    assert found["framehouse_fetched_bytes_total"] == {(): 70}
    assert read_costs(attempt.state.engine, attempt.job_id)[""].fetch_bytes == 70


def test_costs_of_all_attempts_add_up(fake: FakeTriton, tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    request = JobRequest(str(video), ("numbers", "small"), "10")
    job_id = store_job(state, request, Caps(max_frames=17), job_id="j_0123456789abcdef0123")
    assert work(tmp_path, video, job_id).status == "paused"
    resume_job(state, job_id, Caps(max_frames=1000))
    job = work(tmp_path, video, job_id)
    assert job.outcome == "done"

    found = read_measures(state.engine)
    for spec in MODELS:
        labels = (("model", spec.model_id), ("outcome", "inferred"))
        assert found["framehouse_frames_total"][labels] == 20
    assert found["framehouse_retries_total"] == {(("what", "job"),): 1}
    assert found["framehouse_chunks_total"][(("outcome", "inferred"),)] >= 2
    assert found["framehouse_worker_cpu_seconds_total"][()] > 0
    assert found["framehouse_parts_bytes_total"][()] > 0

    settings = Settings(home=tmp_path / "home", costs=CostSettings(cpu_hour=3600, gpu_hour=7200, currency="USD"))
    with Publisher(settings.store_dir, Lake(settings.lake_dir), prices=settings.costs.prices) as publisher:
        publisher.publish([LoadEntry(1, "job", job_id=job_id)])
        assert publisher.publish([]) is None
    rows = run_query(settings.store_dir, "SELECT * FROM costs ORDER BY model_id").records()
    assert [row["n_paid"] for row in rows] == [20, 20], "both attempts"
    for row in rows:
        assert row["cpu_s"] > 0
        assert row["money"] == pytest.approx(row["cpu_s"] + 2 * row["gpu_s"])
        assert row["currency"] == "USD"
    for by, n_rows in (("model", 2), ("job", 1), ("day", 1), ("estimate", 0)):
        assert read_usage(settings, by).n_rows == n_rows
    total = read_usage(settings, "job").records()[0]
    assert total["money"] == pytest.approx(sum(row["money"] for row in rows))

    with Publisher(settings.store_dir, Lake(settings.lake_dir), prices="0 0 0 EUR") as publisher:
        assert publisher.publish([]) is not None, "another price is published by itself"
    assert run_query(settings.store_dir, "SELECT DISTINCT money, currency FROM costs").rows() == [(0.0, "EUR")]


def test_seconds_of_a_model_on_a_gpu_are_gpu_seconds(
    fake: FakeTriton, tmp_path: Path, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from dataclasses import replace

    import runs_in_line

    on_gpu = (replace(MODELS[0], on_gpu=True), MODELS[1])
    monkeypatch.setattr(runs_in_line, "MODELS", on_gpu)
    video, state = numbered_video(media_dir), new_state(tmp_path)
    job_id = store_job(state, JobRequest(str(video), ("numbers", "small"), "10"), Caps(), job_id="j_gpu")
    work(tmp_path, video, job_id)
    costs = read_costs(state.engine, job_id)
    gpu, cpu = (costs[spec.digest] for spec in MODELS)
    assert gpu.gpu_s == gpu.infer_s > 0
    assert cpu.gpu_s == 0 < cpu.infer_s < cpu.cpu_s
