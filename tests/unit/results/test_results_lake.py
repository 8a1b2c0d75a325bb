from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from framehouse.errors import ResultsError
from framehouse.results.lake import Lake, VideoLocation
from lakes import plan, put_part, run, small_lake, video, video_name


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_an_empty_lake_holds_nothing(lake: Lake) -> None:
    assert (lake.job_ids(), lake.video_ids(), lake.part_keys()) == ([], [], [])
    assert lake.read_run("j_x") is None
    assert lake.read_plan("j_x") is None
    assert lake.read_video("v_x") is None


def test_records_come_back_equal(lake: Lake) -> None:
    record = replace(
        run("j_1", n_planned=5, n_gaps=2), status="failed", error_code="media.truncated", error_message="zu kurz: ü",
        error_second=1.5, error_hop="infer", uri="/a b/\udce9.mp4",
    )  # fmt: skip
    lake.write_run(record)
    assert lake.read_run("j_1") == record
    seen = replace(video(), damage=("file is 12 bytes short",), recorded_at=None)
    lake.write_video(seen)
    assert lake.read_video(seen.video_id) == seen


@pytest.mark.parametrize("frames", [[], [0], list(range(0, 900, 6))], ids=["empty", "one", "many"])
def test_a_plan_comes_back_equal(lake: Lake, frames: list[int]) -> None:
    written = plan(frames)
    lake.write_plan("j_1", "v_1", written)
    stored = lake.read_plan("j_1")
    assert stored is not None
    video_id, again = stored
    assert video_id == "v_1"
    for name in ("frame_offset", "pts", "target_s"):
        np.testing.assert_array_equal(getattr(again, name), getattr(written, name))
        assert getattr(again, name).dtype == getattr(written, name).dtype


def test_lists(tmp_path: Path) -> None:
    lake = small_lake(tmp_path)
    (lake.root / "runs" / ".j_9.json.abc.tmp").write_text("half")
    assert lake.job_ids() == ["j_one", "j_two"]
    assert lake.video_ids() == sorted([video_name(0), video_name(1)])
    assert lake.part_keys() == sorted((video_name(n), "d" * 32) for n in (0, 1))


def test_a_video_seen_again_keeps_first_sight_and_places(lake: Lake) -> None:
    lake.add_video(replace(video(uris=["/a.mp4"]), first_seen_at="2026-01-01T00:00:00+00:00"))
    lake.add_video(replace(video(uris=["/b.mp4"]), first_seen_at="2026-02-01T00:00:00+00:00"))
    newer = VideoLocation("/a.mp4", "etag", 9, None)
    stored = lake.add_video(replace(video(), locations=(newer,), first_seen_at=None))
    assert stored.first_seen_at == "2026-01-01T00:00:00+00:00"
    assert {place.uri: place for place in stored.locations}["/a.mp4"] == newer
    assert [place.uri for place in stored.locations] == ["/a.mp4", "/b.mp4"]
    assert lake.read_video(stored.video_id) == stored


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "job_id": 3, "models": 1}']
)
def test_a_damaged_record_is_named(lake: Lake, text: str) -> None:
    lake.write_run(run("j_1"))
    lake.run_path("j_1").write_text(text)
    with pytest.raises(ResultsError, match=r"j_1\.json cannot be read") as caught:
        lake.read_run("j_1")
    assert caught.value.code == "results.unreadable"


def test_a_damaged_plan_is_named(lake: Lake) -> None:
    lake.write_plan("j_1", "v_1", plan(range(100)))
    path = lake.plan_path("j_1")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ResultsError) as caught:
        lake.read_plan("j_1")
    assert caught.value.code == "results.unreadable"


def test_records_of_a_later_release_are_refused(lake: Lake) -> None:
    lake.write_run(run("j_1"))
    values = json.loads(lake.run_path("j_1").read_text())
    lake.run_path("j_1").write_text(json.dumps({**values, "schema_version": 2, "new_field": 1}))
    with pytest.raises(ResultsError, match="schema version 2") as caught:
        lake.read_run("j_1")
    assert caught.value.code == "results.schema_version"


def test_a_record_is_replaced_whole(lake: Lake) -> None:
    lake.write_run(run("j_1", status="running"))
    lake.write_run(run("j_1", status="done"))
    stored = lake.read_run("j_1")
    assert stored is not None
    assert stored.status == "done"
    assert [p.name for p in (lake.root / "runs").iterdir()] == ["j_1.json"]


def test_parts_lie_by_video_and_digest(lake: Lake) -> None:
    ref = put_part(lake, [0])
    assert Path(ref.path).parent == lake.root / "parts" / video_name(0) / ("d" * 32)
