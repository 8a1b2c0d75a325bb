"""Catalogues and their entries behave alike on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framehouse.errors import CatalogExists
from framehouse.state import JobRequest
from framehouse.state.catalogs import Catalogs
from places import Bucket, Watched

NAMES = [
    "a.mp4",
    "B.mp4",
    "a b.mp4",
    "a/b.mp4",
    "a_b.mp4",
    "Ä.mp4",
    "é.mp4",
    "e\u0301.mp4",
    "\U0001f600.mp4",
    "z.mp4",
    "a%3Fb.mp4",
    "a%23.mp4",
    "a%25.mp4",
]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real("postgres"))])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    url = ""
    if request.param == "postgres":
        new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
        url = new_database()
    found = Watched.of(tmp_path, url)
    yield found
    found.state.close()


def test_entries_come_in_the_order_in_which_listings_come(watched: Watched) -> None:
    bucket = Bucket()
    for name in NAMES:
        bucket.put(name)
    assert watched.scan(bucket).n_new == len(NAMES)
    assert [entry.uri for entry in watched.entries.all(page=3)] == [ref.uri for ref in bucket.list()]
    assert watched.scan(bucket).n_same == len(NAMES)


def test_every_change_is_found(watched: Watched) -> None:
    bucket = Bucket()
    for number in range(1100):
        bucket.put(f"{number:04}.mp4", etag=f"{number:032x}")
    watched.scan(bucket)
    watched.done("0002.mp4", "v_2")
    bucket.drop("0000.mp4"), bucket.drop("0002.mp4")
    bucket.put("0001.mp4", etag="f" * 32)
    bucket.put("copy.mp4", etag=f"{2:032x}")
    bucket.put("new.mp4")
    found = watched.scan(bucket)
    assert (found.n_gone, found.n_changed, found.n_new, found.n_recognised, found.n_jobs) == (2, 1, 2, 1, 2)
    counts = watched.entries.counts()
    assert (counts["here"], counts["gone"], counts["done"]) == (1100, 2, 1)
    assert len(watched.uris()) == 1102


def test_the_same_token_gives_the_same_jobs(watched: Watched) -> None:
    requests = [JobRequest(f"{number}.mp4", ("detector",)) for number in range(1200)]
    first = watched.state.submit_many(requests, client_token="t")
    assert watched.state.submit_many(requests, client_token="t") == first
    assert [watched.state.job(job_id).request for job_id in first[:3]] == requests[:3]
    assert len(set(first)) == len(watched.state.list_jobs()) == 1200


def test_two_scans_at_once_make_each_job_once(watched: Watched) -> None:
    bucket = Bucket()
    for number in range(700):
        bucket.put(f"{number:04}.mp4")
    threads = [threading.Thread(target=watched.scan, args=(bucket,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(watched.uris()) == 700
    assert watched.scan(bucket).n_same == 700


def test_a_schedule_is_prefects_unless_a_person_asked_here_later(watched: Watched) -> None:
    catalogs, catalog_id = Catalogs(watched.state.engine), watched.catalog.catalog_id
    spec = {"cron": "1 * * * *", "timezone": "UTC"}
    catalogs.mirror_schedule(catalog_id, "1 * * * *", spec, active=False, deployment="d")
    mirrored = catalogs.get("videos")
    assert (mirrored.wish.schedule, mirrored.schedule_active, mirrored.schedule_spec) == ("1 * * * *", False, spec)
    catalogs.want_schedule(catalog_id, "2 * * * *")
    catalogs.mirror_schedule(catalog_id, "1 * * * *", spec, active=False, deployment="d")
    wanted = catalogs.get("videos")
    assert (wanted.wish.schedule, wanted.schedule_active, wanted.schedule_pending) == ("2 * * * *", True, True)
    catalogs.want_schedule(catalog_id, "3 * * * *")
    catalogs.schedule_told(wanted, "d")
    assert catalogs.get("videos").schedule_pending, "what was told is not what is wanted by now"
    catalogs.schedule_told(catalogs.get("videos"), "d")
    assert not catalogs.get("videos").schedule_pending


def test_a_scan_that_is_asked_for_twice_meanwhile_stays_wanted(watched: Watched) -> None:
    catalogs, catalog_id = Catalogs(watched.state.engine), watched.catalog.catalog_id
    assert catalogs.scans_wanted() == []
    catalogs.request_scan(catalog_id)
    seen = catalogs.scans_wanted()[0]
    catalogs.request_scan(catalog_id)
    catalogs.scan_assigned(seen)
    assert [c.name for c in catalogs.scans_wanted()] == ["videos"]
    catalogs.scan_assigned(catalogs.scans_wanted()[0])
    assert catalogs.scans_wanted() == []


def test_a_catalogue_that_is_removed_and_added_again_begins_anew(watched: Watched) -> None:
    bucket, catalogs = Bucket(), Catalogs(watched.state.engine)
    bucket.put("a.mp4")
    watched.scan(bucket)
    with pytest.raises(CatalogExists):
        catalogs.add(watched.catalog.wish)
    catalogs.remove(watched.catalog.catalog_id)
    again = Watched(watched.state, catalogs.add(watched.catalog.wish), watched.lake)
    assert again.scan(bucket).n_jobs == 1
    assert len(again.uris()) == 2
