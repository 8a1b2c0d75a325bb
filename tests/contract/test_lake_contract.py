"""The lake: the same in a folder, behind the protocol of object stores, and in a bucket of a real server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from framehouse.errors import LakeUnavailable, StoreError
from framehouse.results.bucket import Bucket
from framehouse.results.indexes import read_index, write_index
from framehouse.results.lake import Lake, VideoLocation
from framehouse.results.opening import open_lake
from framehouse.results.quarantine import (
    DeathNote,
    Quarantined,
    clear_suspect,
    note_suspect,
    put_in_quarantine,
    quarantined,
    quarantined_chunks,
    release,
    suspects,
)
from framehouse.storage.folder import LocalObjects
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.load import pick
from framehouse.store.rebuild import rebuild
from framehouse.video.probe import probe
from lakes import DETECTOR, fill_small, plan, put_part, run, small_lake, video, video_name
from media import Recipe, write

VIDEO = video_name(0)
CHUNK = "c000000000"
Host = Callable[[str], Lake]


@pytest.fixture(params=["folder", "objects", "bucket"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """A function that opens one lake as a host does: by host, its cache is another."""
    if request.param == "folder":
        return lambda _name: Lake(tmp_path / "a lake [1] ü")
    if request.param == "objects":
        store = LocalObjects(tmp_path / "shared")
    else:
        store = request.getfixturevalue("s3_cloud").new_store()
    return lambda name: Lake(tmp_path / name, Bucket(store, "a lake ü/", tmp_path / name))


def test_an_empty_lake(host: Host) -> None:
    lake = host("a")
    assert (lake.job_ids(), lake.video_ids(), lake.part_keys(), lake.digests_of(VIDEO)) == ([], [], [], [])
    assert (lake.read_plan("j"), lake.read_run("j"), lake.read_video(VIDEO)) == (None, None, None)
    assert lake.part_paths(VIDEO, DETECTOR) == []
    assert [found.tolist() for found in lake.settled(VIDEO, DETECTOR)] == [[], []]


def test_what_one_host_writes_another_reads(host: Host) -> None:
    here, there = host("a"), host("b")
    fill_small(here)
    assert there.job_ids() == ["j_one", "j_two"]
    assert there.video_ids() == sorted([VIDEO, video_name(1)])
    assert there.part_keys() == sorted([(VIDEO, DETECTOR), (video_name(1), DETECTOR)])
    assert there.digests_of(VIDEO) == [DETECTOR]
    video_id, stored = there.read_plan("j_one") or ("", plan([]))
    assert (video_id, stored.frame_offset.tolist()) == (VIDEO, list(range(0, 60, 6)))
    assert there.read_run("j_two") == here.read_run("j_two") is not None
    loaded, gaps = there.settled(VIDEO, DETECTOR)
    assert (loaded.tolist(), gaps.tolist()) == ([0, 12, 18, 24, 30, 36, 42, 48, 54], [6])
    assert there.settled(VIDEO, DETECTOR, CHUNK)[0].tolist() == [0, 12, 18, 24]


def test_the_tables_are_those_of_a_folder(host: Host, tmp_path: Path) -> None:
    fill_small(host("a"))
    done = rebuild(tmp_path / "store", host("b"))
    assert (done.n_videos, done.n_jobs, done.n_loads, done.set_aside) == (2, 2, 2, ())
    rebuild(tmp_path / "reference", small_lake(tmp_path / "reference-lake"))
    assert snapshot_checksum(tmp_path / "store") == snapshot_checksum(tmp_path / "reference")


def test_records_are_replaced(host: Host) -> None:
    host("a").write_run(run("j_1", status="running"))
    host("b").write_run(run("j_1", status="done"))
    found = host("a").read_run("j_1")
    assert found is not None and found.status == "done"


def test_places_of_many_hosts_are_all_kept(host: Host) -> None:
    uris = [f"/videos/{n} ü?.mp4" for n in range(12)]

    def see(n: int) -> None:
        seen = replace(video(0, uris=[uris[n]]), first_seen_at=f"2026-11-{n + 1:02}T00:00:00+00:00")
        host(f"host{n % 3}").add_video(seen)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(see, range(12)))
    found = host("another").read_video(VIDEO)
    assert found is not None and {place.uri for place in found.locations} == set(uris)
    assert found.first_seen_at == "2026-11-01T00:00:00+00:00"


def test_a_later_sight_of_a_place_counts_and_the_first_time_stays(host: Host) -> None:
    host("a").add_video(video())
    place = VideoLocation("/videos/0.mp4", "new", 1000, "2027-01-01T00:00:00+00:00")
    later = replace(video(), locations=(place,), first_seen_at="2027-01-01T00:00:00+00:00")
    merged = host("b").add_video(later)
    assert merged.locations == (place,)
    assert merged.first_seen_at == video().first_seen_at
    assert host("a").read_video(VIDEO) == merged


def test_a_video_record_is_replaced_with_its_places(host: Host) -> None:
    host("a").add_video(video(uris=["/videos/a.mp4", "/videos/b.mp4"]))
    host("b").write_video(video(uris=["/videos/b.mp4"]))
    found = host("a").read_video(VIDEO)
    assert found is not None and [place.uri for place in found.locations] == ["/videos/b.mp4"]


def test_an_index_crosses(host: Host, media_dir: Path) -> None:
    index = probe(write(media_dir, Recipe(name="lake.mp4")))
    write_index(host("a"), VIDEO, index)
    assert read_index(host("b"), VIDEO).pts.tolist() == index.pts.tolist()
    assert host("b").video_ids() == []


def test_a_part_is_written_once(host: Host) -> None:
    first = put_part(host("a"), [1, 2], job_id="j_a")
    assert put_part(host("b"), [1, 2], job_id="j_b") == first
    (path,) = host("c").part_paths(VIDEO, DETECTOR)
    assert host("c").read_part(VIDEO, DETECTOR, path).header.job_id == "j_a"


def test_a_bad_part_is_set_aside_for_all_and_owed_again(host: Host) -> None:
    here, there = host("a"), host("b")
    put_part(here, [1, 2])
    (name,) = [path.name for path in here.part_paths(VIDEO, DETECTOR)]
    here.write_bytes(here.parts_dir(VIDEO, DETECTOR) / name, b"rot")
    picked = pick(there, VIDEO, DETECTOR)
    assert picked.table.num_rows == 0
    assert [(item.code, item.video_id) for item in picked.set_aside] == [("results.misaligned_parts", VIDEO)]
    assert picked.set_aside[0].path.endswith(name)
    assert here.part_paths(VIDEO, DETECTOR) == []
    bad = [path.name for path in here.paths(here.parts_dir(VIDEO, DETECTOR))]
    assert bad == [f"{name}.bad"]
    put_part(here, [1, 2])
    assert there.settled(VIDEO, DETECTOR)[0].tolist() == [1, 2]
    assert here.part_keys() == [(VIDEO, DETECTOR)]


def test_a_chunk_in_quarantine_is_so_on_every_host(host: Host) -> None:
    note = Quarantined(
        VIDEO, CHUNK, "j", "/v.mp4", 0.0, 1.0, (1,), {"detector/1": DETECTOR}, "h:1",
        (DeathNote("SIGSEGV", 1.0, ""),), {}, "framehouse",
    )  # fmt: skip
    put_in_quarantine(host("a"), note)
    assert quarantined_chunks(host("b"), VIDEO) == {CHUNK}
    assert [found.name for found in quarantined(host("b"))] == [f"{VIDEO}/{CHUNK}"]
    assert release(host("b"), VIDEO, CHUNK) and quarantined_chunks(host("a"), VIDEO) == set()


def test_what_is_held_against_a_chunk_is_known_on_every_host(host: Host) -> None:
    note_suspect(host("a"), VIDEO, CHUNK, [])
    assert suspects(host("b"), VIDEO) == {CHUNK: ()}
    death = DeathNote("SIGSEGV", 1.0, "line \udcff")
    note_suspect(host("b"), VIDEO, CHUNK, [death])
    assert suspects(host("a"), VIDEO) == {CHUNK: (death,)}
    clear_suspect(host("c"), VIDEO, CHUNK)
    assert suspects(host("a"), VIDEO) == suspects(host("b"), VIDEO) == {}


# ---------------------------------------------------------------- what only a bucket has


@pytest.fixture
def shared(tmp_path: Path) -> Host:
    return lambda name: Lake(tmp_path / name, Bucket(LocalObjects(tmp_path / "shared"), "", tmp_path / name))


def test_a_damaged_copy_is_made_again_and_accuses_no_part(shared: Host) -> None:
    put_part(shared("a"), [1, 2])
    lake = shared("b")
    (path,) = lake.part_paths(VIDEO, DETECTOR)
    for damage in (b"rot", b"", path.read_bytes()[:-20]):
        path.write_bytes(damage)
        assert lake.settled(VIDEO, DETECTOR)[0].tolist() == [1, 2]
    assert [p.suffix for p in lake.paths(lake.parts_dir(VIDEO, DETECTOR))] == [".parquet"]


def test_copies_are_made_once_and_anew_for_another_version(shared: Host, tmp_path: Path) -> None:
    put_part(shared("a"), [1, 2], job_id="j_a")
    lake = shared("b")
    (path,) = lake.part_paths(VIDEO, DETECTOR)
    before = path.stat()
    assert lake.part_paths(VIDEO, DETECTOR) == [path] and path.stat() == before
    stored = lake.parts_dir(VIDEO, DETECTOR) / path.name
    lake.delete(stored)
    put_part(shared("a"), [1, 2], job_id="a job with a longer name")
    (other,) = lake.part_paths(VIDEO, DETECTOR)
    assert lake.read_part(VIDEO, DETECTOR, other).header.job_id == "a job with a longer name"


def test_a_copy_may_be_removed_at_any_time(shared: Host) -> None:
    put_part(shared("a"), [1, 2])
    lake = shared("b")
    (path,) = lake.part_paths(VIDEO, DETECTOR)
    path.unlink()
    assert lake.settled(VIDEO, DETECTOR)[0].tolist() == [1, 2]


def test_an_address_opens_the_same_lake_everywhere(tmp_path: Path) -> None:
    assert open_lake(str(tmp_path), tmp_path / "cache") == Lake(tmp_path)
    address = f"file://{tmp_path}/a lake"
    lake = open_lake(address, tmp_path / "cache")
    put_part(lake, [1])
    again = open_lake(lake.where, tmp_path / "other cache")
    assert again.where == lake.where and again.settled(VIDEO, DETECTOR)[0].tolist() == [1]
    assert open_lake(address, tmp_path / "cache") is lake


@pytest.mark.parametrize(("what", "error", "code"), [
    ("throttled", LakeUnavailable, "store.lake_unavailable"), ("broken", LakeUnavailable, "store.lake_unavailable"),
    ("forbidden", StoreError, "store.lake_forbidden"),
])  # fmt: skip
def test_a_store_that_refuses_is_named_as_the_lake(
    s3_cloud: object, tmp_path: Path, what: str, error: type[StoreError], code: str
) -> None:
    store = s3_cloud.new_store()  # type: ignore[attr-defined]
    lake = Lake(tmp_path, Bucket(store, "", tmp_path))
    s3_cloud.gate.refuse(s3_cloud.refusal(what))  # type: ignore[attr-defined]
    for act in (lambda: put_part(lake, [1]), lambda: lake.read_run("j"), lake.job_ids):
        with pytest.raises(error) as caught:
            act()
        assert caught.value.code == code and store.uri in caught.value.message
    s3_cloud.gate.open()  # type: ignore[attr-defined]


def test_a_bucket_that_is_not_there_is_an_error_not_an_empty_lake(s3_cloud: object, tmp_path: Path) -> None:
    store = replace(s3_cloud.new_store(), bucket="no-such-bucket")  # type: ignore[attr-defined]
    with pytest.raises(StoreError) as caught:
        Lake(tmp_path, Bucket(store, "", tmp_path)).job_ids()
    assert caught.value.code == "store.lake"
