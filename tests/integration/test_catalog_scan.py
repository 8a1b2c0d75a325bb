"""Scans of a place that the test fills: what gets a job, what is marked, what costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lakes
from framehouse.catalog.entries import entry_uri
from framehouse.errors import SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.local import LocalSource
from places import OLD, Bucket, Watched

A_TAG, B_TAG = "a" * 32, "b" * 32


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched.of(tmp_path)
    yield found
    found.state.close()


def test_an_empty_place(watched: Watched) -> None:
    empty = Bucket(error=SourceNotFound("no video", code="source.no_videos"))
    report = watched.scan(empty)
    assert (report.n_listed, report.n_jobs, report.line()) == (0, 0, f"nothing there ({report.elapsed_s:.1f} s)")


def test_everything_is_new_once(watched: Watched) -> None:
    bucket = Bucket()
    for number in range(1234):
        bucket.put(f"{number:04}.mp4")
    first, second = watched.scan(bucket), watched.scan(bucket)
    assert (first.n_new, first.n_jobs, first.n_same) == (1234, 1234, 0)
    assert (second.n_new, second.n_jobs, second.n_same) == (0, 0, 1234)
    assert watched.uris() == [f"{number:04}.mp4" for number in range(1234)]


def test_a_changed_one_gets_another_job_and_nothing_else_does(watched: Watched) -> None:
    bucket = Bucket()
    bucket.put("a.mp4"), bucket.put("b.mp4", etag="1"), bucket.put("c.mp4", etag="1")
    watched.scan(bucket)
    bucket.put("a.mp4", modified_at="2026-02-01T00:00:00+00:00")
    bucket.put("b.mp4", modified_at="2026-02-01T00:00:00+00:00", etag="1")  # stored again, the same bytes
    bucket.put("c.mp4", etag="2")
    report = watched.scan(bucket)
    assert (report.n_changed, report.n_same, report.n_jobs) == (2, 1, 2)
    assert sorted(watched.uris()) == ["a.mp4", "a.mp4", "b.mp4", "c.mp4", "c.mp4"]


def test_a_failed_video_is_not_submitted_again_until_it_changes(watched: Watched) -> None:
    bucket = Bucket()
    bucket.put("a.mp4")
    watched.scan(bucket)
    job = watched.state.list_jobs()[0]
    watched.state.conclude(job.job_id, "failed", [], error=("media.unreadable", "no", ""))
    assert watched.scan(bucket).n_jobs == 0
    bucket.put("a.mp4", size=101)
    assert watched.scan(bucket).n_jobs == 1


def test_gone_is_told_to_the_tables_and_a_return_costs_no_job(watched: Watched) -> None:
    watched.lake.write_video(lakes.video(1, uris=["s3://bucket/v/a.mp4"]))
    video = lakes.video_name(1)
    bucket = Bucket()
    bucket.put("a.mp4"), bucket.put("b.mp4")
    watched.scan(bucket)
    watched.done("a.mp4", video)
    kept = dict(bucket.objects)
    bucket.drop("a.mp4")
    before = watched.state.last_load_seq()
    assert watched.scan(bucket).n_gone == 1
    gone = watched.lake.read_video(video)
    assert gone is not None
    assert gone.locations[0].gone_at is not None
    assert [(load.kind, load.video_id) for load in watched.state.loads_after(before)] == [("video", video)]
    assert watched.scan(bucket).n_gone == 0, "told once"
    bucket.objects = kept
    report = watched.scan(bucket)
    assert (report.n_returned, report.n_jobs) == (1, 0)
    back = watched.lake.read_video(video)
    assert back is not None
    assert (back.locations[0].gone_at, [entry.gone_at for entry in watched.entries.all()]) == (None, [None, None])


def test_what_goes_before_its_job_began_is_not_tried_and_tried_when_it_is_back(watched: Watched) -> None:
    bucket = Bucket()
    bucket.put("a.mp4")
    watched.scan(bucket)
    first = watched.state.list_jobs()[0]
    kept, bucket.objects = bucket.objects, {}
    watched.scan(bucket)
    assert [job.job_id for job in watched.state.cancel_wanted()] == [first.job_id]
    bucket.objects = kept
    report = watched.scan(bucket)
    assert (report.n_returned, report.n_jobs) == (1, 1)
    assert len(watched.uris()) == 2
    assert watched.scan(bucket).n_same == 1


@pytest.mark.parametrize("after", [0, 1, 700])
@pytest.mark.parametrize("error", [SourceUnavailable("slow down"), SourceForbidden("no"), SourceNotFound("no bucket")])
def test_a_listing_that_breaks_off_marks_nothing_gone(watched: Watched, after: int, error: Exception) -> None:
    bucket = Bucket()
    for number in range(1500):
        bucket.put(f"{number:04}.mp4")
    watched.scan(bucket)
    for number in range(0, 1500, 2):
        bucket.drop(f"{number:04}.mp4")
    bucket.put("0000 new.mp4")
    bucket.break_after, bucket.error = after, error
    with pytest.raises(type(error)):
        watched.scan(bucket)
    assert watched.entries.counts()["gone"] == 0
    bucket.break_after = bucket.error = None
    report = watched.scan(bucket)
    assert (report.n_gone, watched.entries.counts()["here"]) == (750, 751)
    assert watched.uris().count("0000 new.mp4") == 1


class Killed(BaseException):
    """Stands for the death of the process."""


@pytest.mark.parametrize("at", range(1, 7))
def test_a_scan_that_dies_anywhere_is_repeated_without_a_second_job(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Death before the Nth transaction of a scan that adds, changes and loses 1,200 places."""
    from framehouse.state import catalog_entries

    bucket = Bucket()
    for number in range(1200):
        bucket.put(f"old {number:04}.mp4")
    watched.scan(bucket)
    bucket.objects = {uri: ref for uri, ref in bucket.objects.items() if int(uri[-8:-4]) % 3}
    for number in range(0, 1200, 3):
        bucket.put(f"new {number:04}.mp4")
    for number in range(1, 1200, 3):
        bucket.put(f"old {number:04}.mp4", size=101)
    real, n_left = catalog_entries.writing, [at]

    def dying(engine: object) -> object:
        n_left[0] -= 1
        if n_left[0] == 0:
            raise Killed
        return real(engine)  # type: ignore[arg-type]

    monkeypatch.setattr(catalog_entries, "writing", dying)
    with pytest.raises(Killed):
        watched.scan(bucket)
    monkeypatch.setattr(catalog_entries, "writing", real)
    watched.scan(bucket)
    counts = watched.entries.counts()
    assert (counts["here"], counts["gone"]) == (1200, 400)
    assert len(watched.uris()) == 1200 + 400 + 400
    assert watched.scan(bucket).n_same == 1200


# ---------------------------------------------------------------- content


def test_an_object_with_a_known_tag_is_the_same_video(watched: Watched) -> None:
    watched.lake.write_video(lakes.video(1, uris=["s3://bucket/v/a.mp4"]))
    video = lakes.video_name(1)
    bucket = Bucket()
    bucket.put("a.mp4", etag=A_TAG)
    watched.scan(bucket)
    watched.done("a.mp4", video)
    bucket.drop("a.mp4")
    bucket.put("z renamed.mp4", etag=A_TAG)
    bucket.put("copy.mp4", etag=A_TAG)
    bucket.put("larger.mp4", size=101, etag=A_TAG)  # no MD5 has two sizes, but who knows
    bucket.put("other.mp4", etag=B_TAG)
    report = watched.scan(bucket)
    assert (report.n_recognised, report.n_jobs, report.n_gone) == (2, 2, 1)
    assert sorted(watched.uris()) == ["a.mp4", "larger.mp4", "other.mp4"]
    known = watched.lake.read_video(video)
    assert known is not None
    places = {place.uri.rpartition("/")[2]: place.gone_at is None for place in known.locations}
    assert places == {"a.mp4": False, "copy.mp4": True, "z renamed.mp4": True}


@pytest.mark.parametrize(
    ("uri", "etag"), [("az://account/container", "0x8DC3F"), ("s3://bucket/v", None), ("s3://bucket/v", "W/abc")]
)
def test_a_tag_that_is_not_made_of_the_content_says_nothing(tmp_path: Path, uri: str, etag: str | None) -> None:
    watched, bucket = Watched.of(tmp_path, uri=uri), Bucket(uri)
    bucket.put("a.mp4", etag=etag)
    watched.scan(bucket)
    watched.done("a.mp4", lakes.video_name(1))
    bucket.put("copy.mp4", etag=etag)
    assert (report := watched.scan(bucket)).n_recognised == 0
    assert report.n_jobs == 1


def test_a_changed_place_is_gone_for_the_old_content(watched: Watched) -> None:
    watched.lake.write_video(lakes.video(1, uris=["s3://bucket/v/a.mp4"]))
    bucket = Bucket()
    bucket.put("a.mp4", etag=A_TAG)
    watched.scan(bucket)
    watched.done("a.mp4", lakes.video_name(1))
    bucket.put("a.mp4", etag=B_TAG)
    watched.scan(bucket)
    old = watched.lake.read_video(lakes.video_name(1))
    assert old is not None
    assert old.locations[0].gone_at is not None
    assert [entry.video_id for entry in watched.entries.all()] == [None], "the new content is not known yet"


# ---------------------------------------------------------------- what is taken


def test_a_file_that_was_changed_just_now_waits_and_is_not_gone(watched: Watched) -> None:
    bucket = Bucket()
    bucket.put("old.mp4"), bucket.put("growing.mp4")
    now = datetime.fromisoformat(OLD).timestamp()
    assert watched.scan(bucket, now_s=now + 9).n_waiting == 2
    assert watched.scan(bucket, now_s=now + 10).n_new == 2
    bucket.put("growing.mp4", size=200, modified_at="2026-01-01T01:00:00+00:00")
    report = watched.scan(bucket, now_s=now + 3601)
    assert (report.n_waiting, report.n_same, report.n_gone, report.n_jobs) == (1, 1, 0, 0)
    assert watched.scan(bucket, now_s=now + 3610).n_changed == 1


def test_an_object_is_whole_at_once_and_a_clock_ahead_holds_no_file_for_ever(
    watched: Watched,
) -> None:
    bucket = Bucket()
    now = datetime.fromisoformat(OLD).timestamp()
    bucket.put("tagged.mp4", etag=A_TAG), bucket.put("timeless.mp4", modified_at=None)
    bucket.put("from the future.mp4", modified_at="2027-01-01T00:00:00+00:00")
    assert watched.scan(bucket, now_s=now).n_new == 3


def test_globs_choose_and_what_is_left_out_is_no_entry(tmp_path: Path) -> None:
    watched, bucket = Watched.of(tmp_path, include=("cam1/**",), exclude=("*test*",)), Bucket()
    for key in ("cam1/a.mp4", "cam1/x/b.mp4", "cam1/test.mp4", "cam2/a.mp4"):
        bucket.put(key)
    report = watched.scan(bucket)
    assert (report.n_listed, report.n_new, report.n_left_out) == (4, 2, 2)


def test_jobs_are_asked_for_as_the_catalogue_says(tmp_path: Path) -> None:
    wish = {"models": ("clip", "tags/1"), "infer_fps": "2", "confidence": 0.3, "priority": 7, "owner": "k_1"}
    watched, bucket = Watched.of(tmp_path, **wish, allow_private=False), Bucket()
    bucket.put("a.mp4")
    watched.scan(bucket)
    job = watched.state.list_jobs()[0]
    assert (job.request, job.origin.owner) == (watched.catalog.request_for("s3://bucket/v/a.mp4"), "k_1")


def test_signed_addresses_are_the_same_video_at_every_scan_and_stay_out_of_entries(tmp_path: Path) -> None:
    watched = Watched.of(tmp_path, uri="https://h/list.txt")
    first = Bucket("https://h")
    for name in ("b.mp4?X-Amz-Signature=1&id=3", "b?sig=9", "a.mp4?token=x"):
        first.put(name)
    second = Bucket("https://h", {uri.replace("=1", "=2"): ref for uri, ref in first.objects.items()})
    second.objects = {uri: replace(ref, uri=uri) for uri, ref in second.objects.items()}
    assert watched.scan(first).n_jobs == 3
    assert watched.scan(second).n_same == 3
    assert [entry.uri for entry in watched.entries.all()] == ["https://h/a.mp4", "https://h/b", "https://h/b.mp4?id=3"]
    assert "b.mp4?X-Amz-Signature=1&id=3" in watched.uris()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b/what?really=1.mp4", "s3://b/what?really=1.mp4"),
        ("https://me:pw@h/v.mp4", "https://h/v.mp4"),
        ("https://h/v.mp4?a=1&b=&Signature=x&Expires=1#t", "https://h/v.mp4?a=1&b="),
    ],
)
def test_names_of_videos_in_a_catalogue(uri: str, expected: str) -> None:
    assert entry_uri(uri) == expected


def test_a_name_too_long_for_an_index_is_left_out(watched: Watched) -> None:
    bucket = Bucket()
    bucket.put("x" * 3000), bucket.put("é" * 1000)
    assert (report := watched.scan(bucket)).n_left_out == 1
    assert report.n_new == 1


# ---------------------------------------------------------------- folders


def test_a_folder_that_may_not_be_read_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from framehouse.storage import walk

    folder = tmp_path / "videos"
    watched = Watched.of(tmp_path, uri=LocalSource(folder).uri)
    for name in ("a/1.mp4", "b/2.mp4", "c.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    watched.scan(LocalSource(folder), settle_s=0)
    (folder / "c.mp4").unlink()
    real = walk._names

    def names(path: str, quoted: object) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return real(path, quoted)  # type: ignore[arg-type]

    monkeypatch.setattr(walk, "_names", names)
    report = watched.scan(LocalSource(folder), settle_s=0)
    assert (report.n_gone, report.n_same, report.unreadable) == (1, 1, [f"{LocalSource(folder).uri}/b/"])
    monkeypatch.setattr(walk, "_names", real)
    assert watched.scan(LocalSource(folder), settle_s=0).n_same == 2


def test_a_folder_that_is_not_there_any_more_fails_and_marks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    watched = Watched.of(tmp_path, uri=LocalSource(folder).uri)
    watched.scan(LocalSource(folder), settle_s=0)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceNotFound):
        watched.scan(LocalSource(folder))
    assert watched.entries.counts()["gone"] == 0


@given(st.lists(st.text(alphabet="ab /.#%é", min_size=1, max_size=8), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_folder_is_listed_in_the_order_of_its_uris(names: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        made = set()
        for name in names:
            parts = [part.strip(".") for part in name.split("/") if part.strip(". ")]
            if not parts:
                continue
            path = Path(root, *parts[:-1], f"{parts[-1]}.mp4")
            if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                made.add(path)
        found = [ref.uri for ref in LocalSource(Path(root)).walk(lambda *_: None)]
        assert found == sorted(LocalSource(path).uri for path in made)
