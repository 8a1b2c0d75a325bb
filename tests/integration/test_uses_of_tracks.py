"""`framehouse lines`, `presence` and `rulesets` as they are called, on boxes whose ways are known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from framehouse.api.app import create_app
from framehouse.cli.main import main
from framehouse.config import Settings, load_settings
from framehouse.results.lake import Lake
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from lakes import video_name
from moving import moving_lake, moving_store, walk

Cli = Callable[..., tuple[int, str, str]]
VIDEO = video_name(0)
TWICE = walk([(1, 100, 340), (4, 100, 40), (5, 100, 40), (8, 100, 350)])
"""Up over the middle and down again."""
PARKED = walk([(0, 400, 100), (20, 400, 100)], size=(90, 50), class_name="car")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twice over the line, and the frames of the way back over it are gaps."""
    return moving_store(tmp_path_factory.mktemp("made"), [TWICE, PARKED], gaps=(31, 32), jitter_px=0.7)


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "home"))


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run a command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(home))
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

    def run(*arguments: str) -> tuple[int, str, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", *arguments])
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


def ok(cli: Cli, *arguments: str) -> str:
    code, out, err = cli(*arguments)
    assert code == 0, err
    return out


def sql(home: Path, query: str) -> list[tuple[Any, ...]]:
    return run_query(home / "store", query).rows()


MIDDLE = ("lines", VIDEO, "--line", "middle=0,0.5,1,0.5", "--class", "person")


def test_twice_over_the_line_is_once_in_and_once_out(cli: Cli, home: Path) -> None:
    out = ok(cli, *MIDDLE)
    assert "judged 9.6 of 10.0 s; 0.4 s unseen (4 %)" in out
    assert out.splitlines()[-2].split() == ["middle", "person", "1", "1"]
    shown = ok(cli, *MIDDLE, "--events").splitlines()
    assert [line.split()[1] for line in shown if "middle" in line] == ["line_in", "line_out"]
    assert "0.6 s unseen" in shown[-2]  # it crossed in the gap


def test_asked_again_it_is_made_anew_where_frames_came(
    cli: Cli, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok(cli, *MIDDLE, "--name", "door")
    (kept,) = (home / "lake" / "findings").glob("*/*.parquet")
    written = kept.stat().st_mtime_ns
    assert [row["findings"] for row in json.loads(ok(cli, "rulesets", "again", "door", "--json"))] == ["the same"]
    assert kept.stat().st_mtime_ns == written, "the same is not written again"
    later = moving_store(tmp_path / "later", [TWICE, PARKED], jitter_px=0.7)  # the frames that were gaps are there
    shutil.copytree(home / "lake" / "findings", later / "lake" / "findings")
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(later))
    tried = json.loads(ok(cli, "rulesets", "again", "door", "--json", "--dry-run"))
    assert [(row["findings"], row["unjudged_s"]) for row in tried] == [("changed", 0.0)]
    assert "changed" in ok(cli, "rulesets", "again", "door").splitlines()[-1]
    assert "the same" in ok(cli, "rulesets", "again", "door").splitlines()[-1]
    code, _, err = cli("rulesets", "again", "window")
    assert (code != 0, "store.no_ruleset" in err) == (True, True)


def test_a_ruleset_is_asked_of_videos_that_came_since(cli: Cli, home: Path) -> None:
    ok(cli, *MIDDLE, "--name", "door")
    moving_lake(home / "lake", [PARKED], number=1)
    rebuild(home / "store", Lake(home / "lake"))
    own = json.loads(ok(cli, "rulesets", "again", "door", "--json"))
    assert [(row["video_id"], row["findings"]) for row in own] == [(VIDEO, "the same")]
    every = json.loads(ok(cli, "rulesets", "again", "door", "--all", "--json"))
    assert {row["video_id"]: row["findings"] for row in every} == {VIDEO: "the same", video_name(1): "new"}
    ok(cli, "db", "publish")
    assert sql(home, "SELECT r.name, count(*) FROM findings JOIN rulesets r USING (ruleset_id) GROUP BY 1") == [
        ("door", 2)
    ]


def test_findings_reach_the_tables_and_survive_a_rebuild(cli: Cli, home: Path) -> None:
    ok(cli, *MIDDLE, "--name", "door", "--zone", "top=0,0,1,0,1,0.5,0,0.5")
    code, _, err = cli("rulesets", "list")
    assert (code, "1 findings wait to be loaded" in err) == (0, True)
    ok(cli, "db", "publish")
    assert sql(home, "SELECT name, line, minute, n_in, n_out, in_so_far FROM line_counts_per_minute") == [
        ("door", "middle", 0, 1, 1, 1)
    ]
    inside = sql(home, "SELECT second, n_objects, round(object_s, 1) FROM zone_occupancy_per_second ORDER BY second")
    assert [row[:2] for row in inside] == [(s, 1 if 2 <= s <= 6 else 0) for s in range(10)]
    assert inside[4] == (4, 1, 1.0)
    (dwell,) = sql(home, "SELECT time_offset_s, end_s, score, tracker_id FROM events WHERE kind = 'zone_dwell'")
    assert (dwell[0], dwell[1]) == pytest.approx((2.6, 6.2), abs=0.25)  # what comes after is a gap
    assert sql(home, "SELECT class_name, n_boxes FROM tracks_per_video") == [("person", 33)]
    assert "door" in ok(cli, "rulesets", "list")
    before = snapshot_checksum(home / "store")
    rebuild(home / "store", Lake(home / "lake"))
    assert snapshot_checksum(home / "store") == before
    ok(cli, "rulesets", "remove", "door")
    ok(cli, "db", "publish")
    assert sql(home, "FROM events") == sql(home, "FROM tracks") == sql(home, "FROM rulesets") == []


def test_another_process_finds_the_same(cli: Cli, home: Path) -> None:
    here = json.loads(ok(cli, *MIDDLE, "--json"))
    command = [sys.executable, "-m", "framehouse.cli.main", *MIDDLE, "--json", "--dry-run"]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env={"FRAMEHOUSE_HOME": str(home)})
    assert json.loads(there.stdout) == here
    assert len(here[0]["events"]) == 2


def test_new_parameters_are_shown_against_old_ones(cli: Cli) -> None:
    ok(cli, *MIDDLE, "--name", "middle")
    code, out, _ = cli("lines", VIDEO, "--line", "middle=0.5,0.5,1,0.5", "--class", "person", "--against", "last")
    assert code == 0
    section = out.split("against middle\n")[1]
    assert section.splitlines()[2:4] == ["line_in   person    1    0", "line_out  person    1    0"]
    assert [line[0] for line in section.splitlines()[6:8]] == ["-", "-"]
    found = json.loads(ok(cli, *MIDDLE, "--against", "middle", "--json"))[0]["against"]
    assert (found["appeared"], found["vanished"]) == ([], [])
    code, _, err = cli(*MIDDLE, "--against", "nobody")
    assert (code, "store.no_ruleset" in err) == (7, True)


def test_a_trial_keeps_nothing(cli: Cli, home: Path) -> None:
    ok(cli, *MIDDLE, "--dry-run")
    assert not (home / "lake" / "findings").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lines", VIDEO), "neither a line nor a zone"),
        (("lines", VIDEO, "--line", "0,0,1"), "a line is x1,y1,x2,y2"),
        (("lines", VIDEO, "--line", "0,0,a,1"), "no list of numbers"),
        (("lines", VIDEO, "--line", "5,5,5,5"), "no length"),
        (("lines", VIDEO, "--zone", "0,0,1,1"), "three corners"),
        (("lines", VIDEO, "--line", "a=0,0,1,1", "--line", "a=0,0,1,0"), "same name"),
        (("lines", VIDEO, "--line", "0,0,1,1", "--anchor", "nose"), "anchor"),
        (("lines", "--line", "0,0,1,1"), "no video is named"),
        (("lines", VIDEO, "--all", "--line", "0,0,1,1"), "together"),
        (("presence", VIDEO, "--model", "gaze"), "no rows of gaze"),
        (("presence", "v_" + "0" * 24), "no such video"),
        (("rulesets", "show", "nobody"), "no ruleset"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(cli: Cli, words: tuple[str, ...], told: str) -> None:
    code, out, err = cli(*words)
    assert code != 0
    assert out == ""
    assert told in err
    assert len(err.strip().splitlines()) == 1


def test_presence_by_class_and_by_object(cli: Cli, home: Path) -> None:
    out = ok(cli, "presence", "--all", "--tracks")
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines()[3:-1]}
    assert set(rows) == {"car", "car 1", "person", "person 2"}
    assert rows["car"][1:4] == ["00:00.0", "00:10.0", "10"]
    assert rows["person"][1:3] == ["00:01.0", "00:08.0"]
    ok(cli, "db", "publish")
    query = (
        "SELECT class_name, n_stays, n_tracks, round(first_s, 1), round(last_s, 1), max_at_once FROM presence_per_video"
    )
    assert sorted(sql(home, query)) == [("car", 1, 1, 0.0, 10.0, 1), ("person", 1, 1, 1.0, 8.0, 1)]


def test_a_video_with_nothing_in_it_was_judged_all_the_same(cli: Cli, home: Path) -> None:
    for words in (("presence", VIDEO, "--class", "dragon"), (*MIDDLE[:-1], "dragon")):
        out = ok(cli, *words)
        assert "judged 9.6 of 10.0 s" in out
    assert "middle  -       0    0" in out
    assert "nothing found" in ok(cli, "presence", VIDEO, "--class", "dragon")
    ok(cli, "db", "publish")
    assert sql(home, "SELECT n_events, n_tracks FROM findings") == [(0, 0), (0, 0)]


def test_over_http(home: Path) -> None:
    settings = Settings(home=home)
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wish = {"video_ids": [VIDEO], "params": {"lines": [{"points": [0, 0.5, 1, 0.5]}]}, "name": "x"}
        made = client.post("/v1/rulesets/lines", json=wish).json()
        (found,) = made["findings"]
        assert [event["kind"] for event in found["events"]] == ["line_in", "line_out"]
        assert (found["n_tracks"], found["params"]["lines"][0]["name"]) == (2, "line 1")
        same = client.get(f"/v1/findings/{found['ruleset_id']}/{VIDEO}").json()
        assert same == found
        again = client.post("/v1/rulesets/lines", json={**wish, "against": found["ruleset_id"], "dry_run": True}).json()
        assert again["findings"][0]["against"]["appeared"] == []
        rebuild(home / "store", Lake(home / "lake"))
        listed = client.get("/v1/rulesets", params={"kind": "lines"}).json()
        assert [(rules["name"], rules["n_events"]) for rules in listed["rulesets"]] == [("x", 2)]
        assert {"lines", "presence"} <= {use["kind"] for use in listed["uses"]}
        assert client.get("/v1/findings", params={"video_id": VIDEO}).json()["findings"][0]["n_tracks"] == 2
        assert client.post("/v1/rulesets/nothing", json=wish).status_code == 404
        bad = client.post("/v1/rulesets/lines", json={**wish, "params": {"lines": [], "x": 1}})
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "config.ruleset")
    app.state.api.state.close()
