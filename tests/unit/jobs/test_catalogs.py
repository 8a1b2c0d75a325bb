"""Catalogues as they are asked for: what is refused, and what a place is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framehouse.config import Settings
from framehouse.errors import CatalogExists, CatalogNotFound, ConfigError, FramehouseError, JobError, SourceNotFound
from framehouse.jobs.catalogs import add_catalog, check_schedule, default_name, scan_catalog
from framehouse.state.catalogs import Catalogs, CatalogWish
from jobs_in_hand import new_state


def wish(folder: Path, **changes: Any) -> CatalogWish:
    return CatalogWish(**{"name": "videos", "uri": str(folder), "models": ("detector",), **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Straße 1"
    made.mkdir()
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "a/b"}, "config.catalog_name"),
        ({"name": "-a"}, "config.catalog_name"),
        ({"name": "n" * 81}, "config.catalog_name"),
        ({"schedule": "every hour"}, "config.schedule"),
        ({"models": ("nothing",)}, "config.unknown_model"),
        ({"models": ()}, "config.unknown_model"),
        ({"infer_fps": "0"}, "config.infer_fps"),
        ({"confidence": 0.01}, "config.confidence"),
        ({"uri": "ftp://h/x"}, "config.source_scheme"),
    ],
)
def test_what_cannot_be_is_refused_and_not_stored(
    folder: Path, settings: Settings, tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    state = new_state(tmp_path)
    with pytest.raises(FramehouseError) as caught:
        add_catalog(state, wish(folder, **changes), settings)
    assert caught.value.code == code
    assert Catalogs(state.engine).all() == []


def test_a_place_that_is_not_there_and_one_that_is_no_folder(folder: Path, settings: Settings, tmp_path: Path) -> None:
    state = new_state(tmp_path)
    with pytest.raises(SourceNotFound):
        add_catalog(state, wish(folder / "none"), settings)
    (folder / "a.mp4").write_bytes(b"x")
    with pytest.raises(ConfigError) as caught:
        add_catalog(state, wish(folder / "a.mp4"), settings)
    assert caught.value.code == "config.catalog_source"


def test_a_catalogue_is_stored_as_asked_and_its_name_is_taken(folder: Path, settings: Settings, tmp_path: Path) -> None:
    state = new_state(tmp_path)
    asked = wish(folder, name="", infer_fps="2", include=("*.mp4",), exclude=("x",), schedule="0 * * * *", priority=3)
    made = add_catalog(state, asked, settings)
    assert (made.name, made.wish.uri, made.schedule_pending) == ("Stra-e-1", f"file://{folder}", True)
    assert (made.wish.include, made.wish.exclude, made.wish.priority) == (("*.mp4",), ("x",), 3)
    assert Catalogs(state.engine).get(made.catalog_id) == made
    with pytest.raises(CatalogExists):
        add_catalog(state, asked, settings)
    Catalogs(state.engine).remove(made.catalog_id)
    with pytest.raises(CatalogNotFound):
        Catalogs(state.engine).get(made.name)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/videos", "videos"),
        ("file:///data/a b/", "a-b"),
        ("s3://bucket", "bucket"),
        ("s3://bucket/x/2026/", "bucket-x-2026"),
        ("https://h.example/list.txt?sig=1", "h.example-list.txt"),
        ("/", "videos"),
        ("/夏", "videos"),
    ],
)
def test_default_names(uri: str, name: str) -> None:
    assert default_name(uri) == name


@pytest.mark.parametrize("text", ["", "0 * * * *", "*/5 0-6,20 1 JAN-mar mon-FRI", "0 0 * * 7", "59 23 31 12 0"])
def test_schedules_that_can_be(text: str) -> None:
    check_schedule(text)


@pytest.mark.parametrize(
    "text",
    ["0", "0 * * *", "0 * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
     "5-1 * * * *", "a * * * *", "@hourly", "1,, * * * *"],
)  # fmt: skip
def test_schedules_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_schedule(text)
    assert caught.value.code == "config.schedule"


def test_two_scans_of_one_catalogue_do_not_run_at_once(folder: Path, settings: Settings, tmp_path: Path) -> None:
    state = new_state(tmp_path)
    made = add_catalog(state, wish(folder), settings)
    lease = state.acquire(f"catalog/{made.catalog_id}", "another", 60.0)
    assert lease is not None
    assert state.lease_owners("catalog/") == {"another"}
    with pytest.raises(JobError) as caught:
        scan_catalog(state, "videos", settings, owner="we")
    assert caught.value.code == "job.scan_running"
    state.release(lease)
    assert scan_catalog(state, "videos", settings, owner="we").n_listed == 0
    assert state.lease_owners("catalog/") == set()


def test_a_scan_that_fails_is_told_until_one_goes_well(folder: Path, settings: Settings, tmp_path: Path) -> None:
    state = new_state(tmp_path)
    add_catalog(state, wish(folder), settings)
    folder.rename(tmp_path / "away")
    with pytest.raises(SourceNotFound):
        scan_catalog(state, "videos", settings, owner="we")
    failed = Catalogs(state.engine).get("videos")
    assert failed.scan_error is not None
    assert (failed.scan_error["code"], failed.scanned_at) == ("source.not_found", None)
    (tmp_path / "away").rename(folder)
    scan_catalog(state, "videos", settings, owner="we")
    well = Catalogs(state.engine).get("videos")
    assert (well.scan_error, well.scanned_at is not None) == (None, True)
    assert well.scan_report is not None
