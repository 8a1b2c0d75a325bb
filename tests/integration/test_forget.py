"""A forgotten video leaves nothing: no file, no row in any table of either database file, none after a rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from findings_in_hand import RULES, finding
from framehouse import loader
from framehouse.config import KeepSettings, Settings
from framehouse.errors import JobError, SourceNotFound
from framehouse.jobs.housekeeping import forget
from framehouse.results.finding_files import write_finding
from framehouse.results.lake import Lake
from framehouse.room import Room
from framehouse.state import JobRequest, Origin, State, open_state
from framehouse.state.uploads import Uploads
from framehouse.storage.partfile import Identity, PartFile
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.publish import Publisher
from framehouse.store.rebuild import rebuild
from framehouse.store.snapshots import snapshots
from lakes import DETECTOR, put_job, put_part, small_lake, video_name

pytestmark = [pytest.mark.real("duckdb"), pytest.mark.timeout(120)]
ROOM = Room(Path("/"), 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", keep=KeepSettings(floor_bytes=0))


@pytest.fixture
def state(settings: Settings) -> State:
    return open_state(settings.state_url)


@pytest.fixture
def lake(settings: Settings, state: State) -> Lake:
    lake = small_lake(settings.lake_dir)
    for number, job_id in enumerate(("j_one", "j_two")):
        upload = Uploads(state.engine).create("", "a.mp4", ttl_s=60)
        folder = settings.upload_dir / upload.upload_id
        folder.mkdir(parents=True)
        (folder / "a.mp4").write_bytes(b"a video")
        state.submit(JobRequest("clip.mp4", ("detector",)), job_id=job_id, origin=Origin("", None, upload.upload_id))
        lease = state.acquire(f"job/{job_id}", "run", 60.0)
        assert lease is not None
        state.note(lease, job_id, video_id=video_name(number))
        state.conclude(job_id, "done", [(video_name(number), DETECTOR)], lease=lease)
        write_finding(lake, finding(number=number))
        state.request_findings([(RULES.ruleset_id, video_name(number))])
    return lake


def publish(settings: Settings, state: State, times: int = 1) -> None:
    """What the loader does; a second time for the file that rests, with some other load."""
    with Publisher(settings.store_dir, Lake(settings.lake_dir)) as publisher:
        for _ in range(times):
            loader._drain_once(publisher, state, ROOM)
            state.request_load([(video_name(1), DETECTOR)])


def named_in(path: Path, *names: str) -> dict[str, int]:
    """Table -> rows that name one of these, in any column of a database file."""
    found = {}
    with duckdb.connect(str(path), read_only=True) as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall():
            rows = " OR ".join(f"contains(r::VARCHAR, '{name}')" for name in names)
            (n,) = connection.execute(f'SELECT count(*) FROM "{table}" r WHERE {rows}').fetchone()  # type: ignore[misc]
            found |= {table: n} if n and table != "loads" else {}
    return found


def in_files(home: Path, name: str) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if name in path.name)


def test_nothing_of_it_stays(settings: Settings, state: State, lake: Lake) -> None:
    publish(settings, state, times=2)
    state.settle_published(99)
    with PartFile.open(settings.fetch_dir, "key") as part:
        part.begin(Identity("request", '"e"', None, 5))
        part.append(b"video")
        part.finish(".mp4").rename(settings.fetch_dir / f"{video_name(0)}.mp4")
    looked_at = settings.media_dir / video_name(0) / "stills" / "3-320.jpg"
    looked_at.parent.mkdir(parents=True)
    looked_at.write_bytes(b"a picture")
    settings.result_dir.mkdir()
    (settings.result_dir / "j_one-1.json.gz").write_bytes(b"")
    upload_id = state.job("j_one").origin.upload_id
    assert all(named_in(path, video_name(0), "j_one") for path in snapshots(settings.store_dir))

    done = forget(settings, state, video_name(0))

    assert (done.n_jobs, done.n_bytes > 0) == (1, True)
    publish(settings, state, times=2)
    assert len(snapshots(settings.store_dir)) == 2
    for path in snapshots(settings.store_dir):
        assert named_in(path, video_name(0), "j_one") == {}
        assert named_in(path, "j_two")
    for name in (video_name(0), "j_one", str(upload_id)):
        assert in_files(settings.home, name) == []
    assert [job.job_id for job in state.list_jobs()] == ["j_two"]
    assert in_files(settings.home, str(state.job("j_two").origin.upload_id))
    left = snapshot_checksum(settings.store_dir)
    rebuild(settings.store_dir, lake)
    assert snapshot_checksum(settings.store_dir) == left


def test_run_again_it_comes_back(settings: Settings, state: State, lake: Lake) -> None:
    publish(settings, state, times=2)
    state.settle_published(99)
    before = snapshot_checksum(settings.store_dir)
    forget(settings, state, video_name(0))
    put_job(lake, "j_three", range(0, 60, 6), 0)
    put_part(lake, range(0, 30, 6), gaps={6: "decode.failed"}, job_id="j_three")
    put_part(lake, range(30, 60, 6), chunk_id="c000000030", job_id="j_three")
    state.request_load([(video_name(0), DETECTOR)], ["j_three"])
    publish(settings, state, times=2)
    assert snapshot_checksum(settings.store_dir)["findings"] != before["findings"]  # nobody has asked again
    write_finding(lake, finding())
    state.request_findings([(RULES.ruleset_id, video_name(0))])
    publish(settings, state, times=2)
    assert snapshot_checksum(settings.store_dir) == before


def test_a_video_that_a_job_works_on_is_refused(settings: Settings, state: State, lake: Lake) -> None:
    publish(settings, state)  # published, but the state has not been told yet
    state.reopen("j_one")
    state.settle_published(0)
    with pytest.raises(JobError) as caught:
        forget(settings, state, video_name(0))
    assert caught.value.code == "job.video_busy"
    assert lake.part_keys() == sorted((video_name(n), DETECTOR) for n in (0, 1))


def test_killed_half_way_the_same_call_does_the_rest(
    settings: Settings, state: State, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, state, times=2)
    state.settle_published(99)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("framehouse.state.keeping.Keeping.forget_video", die)
        with pytest.raises(Killed):
            forget(settings, state, video_name(0))
    forget(settings, state, video_name(0))
    publish(settings, state, times=2)
    assert all(named_in(path, video_name(0), "j_one") == {} for path in snapshots(settings.store_dir))


def test_a_video_that_was_never_here(settings: Settings, state: State) -> None:
    with pytest.raises(SourceNotFound):
        forget(settings, state, "v_" + "0" * 24)
