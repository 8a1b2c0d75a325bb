"""`framehouse videos label`: given, seen in SQL, taken away; with the stack down until the next publish."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.results.labels import change_labels, labels_path, read_labels
from framehouse.results.lake import Lake
from framehouse.state import open_state
from framehouse.store.connection import fetch, reading
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.rebuild import rebuild
from lakes import video, video_name

Cli = Callable[..., tuple[int, str, str]]
DOOR, YARD = video_name(0), video_name(1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.add_video(video(0, uris=["file:///cctv/door 1/a.mp4", "file:///copies/a.mp4"]))
    lake.add_video(video(1, uris=["file:///cctv/yard/b.mp4"]))
    rebuild(tmp_path / "store", lake)
    return lake


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path))

    def run(*arguments: str) -> tuple[int, str, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", "videos", "label", *arguments])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    load_settings.cache_clear()
    structlog.reset_defaults()


def labels_in_sql(home: Path, lake: Lake) -> dict[str, dict[str, str]]:
    """After the loader has done what was asked of it."""
    state = open_state(f"sqlite:///{home / 'state' / 'state.db'}")
    with Publisher(home / "store", lake) as publisher:
        rows = state.loads_after(publisher.published_seq)
        publisher.apply_and_publish([LoadEntry(row.seq, row.kind, row.video_id) for row in rows])
    state.close()
    with reading(home / "store") as connection:
        return dict(fetch(connection, "SELECT video_id, labels FROM videos"))


def test_labels_are_given_and_taken_away(cli: Cli, lake: Lake, tmp_path: Path) -> None:
    assert cli(DOOR, "--set", "camera=3", "--set", "site=Übersee 1") == (0, f"{DOOR}  camera=3 site=Übersee 1\n", "")
    assert labels_in_sql(tmp_path, lake) == {DOOR: {"camera": "3", "site": "Übersee 1"}, YARD: {}}
    code, out, _ = cli("--under", "/cctv", "--set", "owner=us", "--remove", "site", "--json")
    assert (code, {row["video_id"]: row["labels"] for row in json.loads(out)}) == (
        0,
        {DOOR: {"camera": "3", "owner": "us"}, YARD: {"owner": "us"}},
    )
    assert labels_in_sql(tmp_path, lake)[YARD] == {"owner": "us"}
    assert cli("--under", "/cctv/door 1/", "--remove", "camera", "--remove", "owner")[1] == f"{DOOR}  no label\n"
    assert not labels_path(lake, DOOR).exists()
    rebuild(tmp_path / "store", lake)
    assert labels_in_sql(tmp_path, lake) == {DOOR: {}, YARD: {"owner": "us"}}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((DOOR, "--set", "camera"), "config.label"),
        ((DOOR, "--set", "Camera=3"), "config.label"),
        ((DOOR, "--set", "camera=\n"), "config.label"),
        ((DOOR, "--set", "camera=" + "x" * 257), "config.label"),
        (("--set", "camera=3"), "config.label"),
        (("--under", "/elsewhere", "--set", "camera=3"), "source.not_found"),
        ((video_name(9), "--set", "camera=3"), "source.not_found"),
    ],
)
def test_what_is_refused_changes_nothing(cli: Cli, lake: Lake, words: tuple[str, ...], code: str) -> None:
    change_labels(lake, DOOR, {"site": "1"})
    failed, out, err = cli(*words)
    assert failed != 0
    assert out == ""
    assert err.startswith(f"{code}: ")
    assert read_labels(lake, DOOR) == {"site": "1"}


def test_a_damaged_file_is_told_and_costs_only_the_labels(lake: Lake, tmp_path: Path) -> None:
    labels_path(lake, DOOR).parent.mkdir()
    labels_path(lake, DOOR).write_text("[")
    done = rebuild(tmp_path / "store", lake)
    assert [(aside.code, Path(aside.path)) for aside in done.set_aside] == [
        ("results.unreadable", labels_path(lake, DOOR))
    ]
    assert done.n_videos == 2
