"""What goes and what stays: every kind, each with a file that is due and one that is needed."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from findings_in_hand import RULES, finding
from framehouse.config import KeepSettings, Settings
from framehouse.jobs.housekeeping import keepers, prune
from framehouse.keep.sweep import Found
from framehouse.results.finding_files import finding_keys, write_finding
from framehouse.results.findings import Ruleset
from framehouse.results.lake import Lake
from framehouse.room import Room
from framehouse.state import JobRequest, Origin, State, open_state
from framehouse.state.keeping import Keeping
from framehouse.state.uploads import Uploads
from framehouse.storage.fetched import evict, sidecars_of
from framehouse.storage.partfile import Identity, PartFile
from lakes import DETECTOR, small_lake, video_name

DAY_S = 86400.0
VIDEO = "v_" + "1" * 24
OTHER = "v_" + "2" * 24


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", keep=KeepSettings(floor_bytes=0))


@pytest.fixture
def state(settings: Settings) -> State:
    return open_state(settings.state_url)


def put(path: Path, n_bytes: int = 100, age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * n_bytes)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def gone(settings: Settings, state: State, **how: bool) -> dict[str, list[str]]:
    """Kind -> names of what went."""
    tallies = prune(settings, state, **how)
    return {tally.kind: [Path(item.name).name for item in tally.items] for tally in tallies if tally.items}


def job_on(state: State, video_id: str, *, ended: bool, upload_id: str | None = None) -> str:
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)), origin=Origin("", None, upload_id))
    lease = state.acquire(f"job/{job_id}", "run", 60.0)
    assert lease is not None
    state.note(lease, job_id, video_id=video_id)
    if ended:
        state.conclude(job_id, "cancelled", [])
    return job_id


def test_an_empty_home_has_nothing_to_prune(settings: Settings, state: State) -> None:
    assert gone(settings, state) == {}


@pytest.mark.parametrize(
    ("kind", "due", "stays"),
    [
        ("fetched", f"uploads/fetched/{VIDEO}.mp4", f"uploads/fetched/{OTHER}.mp4"),
        ("downloads", "uploads/fetched/aaaa.part", "uploads/fetched/bbbb.part"),
        ("results", "results/j_1-1.json.gz", "results/j_2-1.json.gz"),
        ("bad-parts", "lake/parts/v/d/c-1.parquet.bad", "lake/parts/v/d/c-2.parquet.bad"),
        ("logs", "logs/api.log.1", "logs/loader.log.1"),
        ("logs", "logs/api.log", "logs/loader.log"),
        ("leftovers", "lake/runs/.j_1.json.abc.tmp", "lake/runs/.j_2.json.abc.tmp"),
        ("leftovers", "uploads/u_0/.a.mp4.0123abcd", "uploads/u_1/.a.mp4.0123abcd"),
    ],
)
def test_what_is_old_goes_and_what_is_young_stays(
    settings: Settings, state: State, kind: str, due: str, stays: str
) -> None:
    Uploads(state.engine)
    old, young = put(settings.home / due, age_s=90 * DAY_S), put(settings.home / stays)
    os.utime(old.parent)
    assert gone(settings, state, dry_run=True)[kind] == [old.name]
    assert old.read_bytes()
    assert gone(settings, state)[kind] == [old.name]
    assert not old.exists() or old.read_bytes() == b""
    assert young.read_bytes()
    assert gone(settings, state) == {}


def test_parts_plans_and_records_stay(settings: Settings, state: State) -> None:
    names = ["parts/v/d/c-1.parquet", "plans/j_1.parquet", "runs/j_1.json", "videos/v.json"]
    kept = [put(settings.lake_dir / name, age_s=900 * DAY_S) for name in names]
    assert gone(settings, state) == {}
    assert all(path.exists() for path in kept)


def test_the_results_of_an_earlier_run_go(settings: Settings, state: State) -> None:
    put(settings.result_dir / "j_1-100.json.gz", age_s=2 * DAY_S)
    newest = put(settings.result_dir / "j_1-200.json.gz", age_s=DAY_S)
    assert gone(settings, state) == {"results": ["j_1-100.json.gz"]}
    assert newest.exists()


def test_the_end_of_a_large_log_is_kept(settings: Settings, state: State) -> None:
    settings.keep.log_bytes = 4096
    path = put(settings.log_dir / "api.log")
    path.write_text("".join(f"line {n}\n" for n in range(2000)))
    with path.open("a") as writer:  # as the process that logs there
        assert gone(settings, state) == {"logs": ["api.log"]}
        writer.write("goes on\n")
    assert path.read_text() == "goes on\n"
    kept = path.with_name("api.log.1").read_text()
    assert kept.startswith("line ")
    assert kept.endswith("line 1999\n")
    assert len(kept) <= 1024


# ---------------------------------------------------------------- fetched videos


def test_a_video_of_an_unfinished_job_stays(settings: Settings, state: State) -> None:
    for name in (VIDEO, OTHER):
        put(settings.fetch_dir / f"{name}.mp4", age_s=90 * DAY_S)
    job_id = job_on(state, VIDEO, ended=False)
    assert gone(settings, state) == {"fetched": [f"{OTHER}.mp4"]}
    state.conclude(job_id, "cancelled", [])
    assert gone(settings, state) == {}, "it has just been used"


def test_the_least_recently_used_go_first(settings: Settings, state: State) -> None:
    settings.keep.fetched_bytes = 250
    for number, age_days in enumerate([3, 9, 5, 1]):
        put(settings.fetch_dir / f"v_{str(number) * 24}.mp4", 100, age_days * DAY_S)
    assert gone(settings, state) == {"fetched": [f"v_{'1' * 24}.mp4", f"v_{'2' * 24}.mp4"]}


def test_a_full_disk_takes_fetched_videos_until_there_is_room(settings: Settings, state: State) -> None:
    fetched = next(keeper for keeper in keepers(settings, state) if keeper.kind == "fetched")
    for number in range(4):
        put(settings.fetch_dir / f"v_{str(number) * 24}.mp4", 100, (9 - number) * DAY_S)
    short = type(fetched)(
        fetched.folder, fetched.state, fetched.older_than_s, fetched.largest_bytes, 60.0,
        Room(settings.home, 1000, lambda _folder: 850),
    )  # type: ignore[attr-defined]  # fmt: skip
    assert [Path(found.name).name[2] for found in short.find()] == ["0", "1"]


def finished_download(settings: Settings, content: bytes = b"video", key: str = "k" * 8) -> Path:
    with PartFile.open(settings.fetch_dir, key) as part:
        part.begin(Identity("request", '"e"', None, len(content)))
        part.append(content)
        return part.finish(".mp4")


def test_an_evicted_file_is_fetched_anew(settings: Settings) -> None:
    path = finished_download(settings)
    sidecars = sidecars_of(settings.fetch_dir)[path.name]
    assert evict(path, sidecars, lambda: True)
    assert list(settings.fetch_dir.iterdir()) == []
    with PartFile.open(settings.fetch_dir, "k" * 8) as part:
        assert (part.finished, part.identity) == (None, None)
    assert finished_download(settings) == path


def test_a_file_that_a_fetch_holds_stays(settings: Settings) -> None:
    path = finished_download(settings)
    sidecars = sidecars_of(settings.fetch_dir)[path.name]
    with PartFile.open(settings.fetch_dir, "k" * 8):
        assert not evict(path, sidecars, lambda: True)
    assert path.exists()
    assert evict(path, sidecars, lambda: True)


def test_a_fetch_makes_the_file_young(settings: Settings, state: State) -> None:
    path = finished_download(settings)
    os.utime(path, (1.0, 1.0))
    with PartFile.open(settings.fetch_dir, "k" * 8) as part:
        assert part.finish(".mp4") == path
    assert gone(settings, state) == {}


def test_a_download_in_progress_stays(settings: Settings, state: State) -> None:
    part = put(settings.fetch_dir / "aaaa.part", age_s=90 * DAY_S)
    with part.open("a") as fetch:
        fcntl.flock(fetch, fcntl.LOCK_EX)
        (tally,) = [tally for tally in prune(settings, state) if tally.kind == "downloads"]
        assert (tally.n_items, tally.n_kept) == (0, 1)
    assert gone(settings, state) == {"downloads": ["aaaa.part"]}


# ---------------------------------------------------------------- uploads


def new_upload(settings: Settings, state: State, *, age_s: float, arrived: bool = True) -> str:
    upload = Uploads(state.engine).create("", "a.mp4", ttl_s=-age_s)
    if arrived:
        Uploads(state.engine).complete(upload.upload_id, 100)
    put(settings.upload_dir / upload.upload_id / "a.mp4", age_s=age_s)
    os.utime(settings.upload_dir / upload.upload_id, (time.time() - age_s,) * 2)
    return upload.upload_id


@pytest.mark.parametrize(
    ("arrived", "job", "goes"),
    [(True, None, True), (False, None, True), (True, "ended", True), (True, "waits", False), (False, "waits", False)],
)
def test_uploads_stay_while_a_job_needs_them(
    settings: Settings, state: State, monkeypatch: pytest.MonkeyPatch, arrived: bool, job: str | None, goes: bool
) -> None:
    upload_id = new_upload(settings, state, age_s=9 * DAY_S, arrived=arrived)
    if job:
        job_on(state, VIDEO, ended=job == "ended", upload_id=upload_id)
    assert arrived is False or gone(settings, state) == {}, "it came, or was used, a moment ago"
    later(monkeypatch, 8 * DAY_S)
    assert gone(settings, state).get("uploads", []) == ([upload_id] if goes else [])
    assert (settings.upload_dir / upload_id).exists() is not goes
    assert (upload_id in Keeping(state.engine).upload_ids()) is not goes
    assert "uploads" not in gone(settings, state)


def test_an_upload_killed_between_row_and_files_is_found_again(settings: Settings, state: State) -> None:
    upload_id = new_upload(settings, state, age_s=9 * DAY_S)
    assert Keeping(state.engine).retire_upload(upload_id)
    assert gone(settings, state) == {"uploads": [upload_id]}


def test_a_job_made_meanwhile_keeps_its_upload(settings: Settings, state: State) -> None:
    upload_id = new_upload(settings, state, age_s=9 * DAY_S)
    (uploads,) = [keeper for keeper in keepers(settings, state) if keeper.kind == "uploads"]
    job_on(state, VIDEO, ended=False, upload_id=upload_id)
    assert not uploads.remove(Found("uploads", str(settings.upload_dir / upload_id), 1, 1, "was idle"))
    assert (settings.upload_dir / upload_id / "a.mp4").exists()


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real: Callable[[], float] = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


# ---------------------------------------------------------------- rows


def test_leases_of_jobs_that_are_over_go(settings: Settings, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    over, waits = job_on(state, VIDEO, ended=True), job_on(state, VIDEO, ended=False)
    later(monkeypatch, 2 * DAY_S)
    assert gone(settings, state) == {"leases": ["1 rows of the state database"]}
    assert not state.is_held(f"job/{over}")
    assert state.acquire(f"job/{waits}", "another", 60.0).fence == 2  # type: ignore[union-attr]


# ---------------------------------------------------------------- model versions that are gone


def test_superseded_parts_go_only_when_asked_for(
    settings: Settings, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framehouse.jobs.housekeeping.load_specs", lambda _folders: {})
    for video_id in (VIDEO, OTHER):
        put(settings.lake_dir / "parts" / video_id / ("d" * 32) / "c-1.parquet")
    assert gone(settings, state) == {}
    job_on(state, VIDEO, ended=False)
    assert gone(settings, state, superseded=True)["superseded"] == ["d" * 32]
    assert not (settings.lake_dir / "parts" / OTHER / ("d" * 32)).exists()
    assert (settings.lake_dir / "parts" / VIDEO / ("d" * 32)).exists()
    assert [(load.kind, load.video_id, load.model_digest) for load in state.loads_after(0)][-1] == (
        "parts", OTHER, "d" * 32,
    )  # fmt: skip
    left = put(settings.lake_dir / "gone" / f"{OTHER}.{'e' * 32}" / "c-1.parquet")
    assert gone(settings, state, superseded=True) == {"superseded": [f"{OTHER}.{'e' * 32}"]}, "all of the first is gone"
    assert not left.exists()
    assert state.loads_after(0)[-1].model_digest == "e" * 32


def test_what_was_found_in_superseded_parts_goes_with_them(
    settings: Settings, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framehouse.jobs.housekeeping.load_specs", lambda _folders: {})
    lake, kept = Lake(settings.lake_dir), Ruleset("presence", "", {})
    write_finding(lake, finding())
    write_finding(lake, finding(kept, model_digests=("e" * 32,)))
    put(lake.parts_dir(video_name(0), DETECTOR) / "c-1.parquet")
    gone(settings, state, superseded=True)
    assert finding_keys(lake) == [(kept.ruleset_id, video_name(0))]
    assert [load.model_digest for load in state.loads_after(0)] == [DETECTOR, RULES.ruleset_id]


# ---------------------------------------------------------------- whole videos


def test_old_videos_are_forgotten_only_where_the_settings_say_so(
    settings: Settings, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = small_lake(settings.lake_dir)
    for number, job_id in enumerate(("j_one", "j_two")):
        state.submit(JobRequest("clip.mp4", ("detector",)), job_id=job_id)
        lease = state.acquire(f"job/{job_id}", "run", 60.0)
        assert lease is not None
        state.note(lease, job_id, video_id=video_name(number))
    state.conclude("j_one", "cancelled", [])
    later(monkeypatch, 40 * DAY_S)
    assert "videos" not in gone(settings, state)
    settings.keep.videos_days = 60
    assert "videos" not in gone(settings, state)
    settings.keep.videos_days = 30
    assert gone(settings, state, dry_run=True)["videos"] == [video_name(0)]
    assert lake.video_ids() == sorted([video_name(0), video_name(1)])
    assert gone(settings, state)["videos"] == [video_name(0)], "the other has a job that is not over"
    assert (lake.video_ids(), lake.job_ids()) == ([video_name(1)], ["j_two"])
    assert state.loads_after(0)[-1].kind == "forget"
    assert "videos" not in gone(settings, state)


def test_of_each_kind_of_backup_the_newest_stay(settings: Settings, state: State) -> None:
    folder = settings.backups.folder
    for name in (
        "state-v2-20260101T000000000001Z.db",
        "state-v10-20250101T000000000001Z.db",
        "store-v1-20260101T000000000001Z.duckdb",
        "backup-0.1.0-20260101T000000000001Z/state.db",
        "my-own.db",
    ):
        put(folder / name)
    for number in range(5):
        put(folder / f"state-v3-20260201T00000000000{number}Z.db")
        put(folder / f"backup-0.2.0-20260201T00000000000{number}Z" / "manifest.json")
    found = gone(settings, state)
    assert found == {
        "backups": [
            "state-v10-20250101T000000000001Z.db",
            "state-v2-20260101T000000000001Z.db",
            "backup-0.1.0-20260101T000000000001Z",
        ]
    }
    left = {path.name for path in folder.iterdir()}
    assert {"my-own.db", "store-v1-20260101T000000000001Z.duckdb"} < left
    assert len(left) == 12
    assert gone(settings, state) == {}
