"""Proctoring over stored looks and objects of a real file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import structlog

import media
from archives import Box, Says, archive_of, boxes, looks, nothing, put_video, rebuild_store
from framehouse.analytics.proctor import UNJUDGED, USE, WHOLE, ProctorParams
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.errors import ConfigError, StoreError
from framehouse.results.findings import Finding
from framehouse.store.archive import Archive
from framehouse.store.query import run_query

FPS = Fraction(5)
FACE: Box = (100.0, 40.0, 200.0, 160.0)
OTHER: Box = (240.0, 60.0, 290.0, 120.0)
BODY: Box = (60.0, 30.0, 260.0, 235.0)
PHONE: Box = (150.0, 180.0, 180.0, 230.0)
Looks = Mapping[int, Sequence[tuple[float, float, Box]]]
ALL = range(100)
Cli = Callable[..., tuple[int, str, str]]


def straight(*but: tuple[range, Sequence[tuple[float, float, Box]]]) -> dict[int, Sequence[tuple[float, float, Box]]]:
    """A face that looks where neutral is, 5 degrees to the left and 8 down, but in some frames."""
    found: dict[int, Sequence[tuple[float, float, Box]]] = {i: [(5 + i % 3, -8, FACE)] for i in ALL}
    for frames, faces in but:
        found.update(dict.fromkeys(frames, faces))
    return found


def sees(*frames: tuple[range, Sequence[tuple[str, float, Box]]]) -> dict[int, list[tuple[str, float, Box]]]:
    """The candidate in every frame, and what else is in some."""
    found: dict[int, list[tuple[str, float, Box]]] = {i: [("person", 0.9, BODY)] for i in ALL}
    for some, objects in frames:
        for i in some:
            found[i] = [*found[i], *objects]
    return found


GAZES: dict[str, Looks] = {
    "straight": straight(),
    "left": straight((range(20, 40), [(45, -8, FACE)])),
    "down": straight((range(20, 40), [(5, -50, FACE)])),
    "wavers": straight((range(20, 40), [(33, -8, FACE)]), (range(30, 34), [(28, -8, FACE)])),
    "glance": straight((range(20, 25), [(60, -8, FACE)])),
    "gone": straight((range(20, 40), [])),
    "two": straight((range(20, 40), [(5, -8, FACE), (0, 0, OTHER)])),
    "flicker": straight((range(30, 31), [(5, -8, FACE), (0, 0, OTHER)])),
    "nobody": {},
    "away": {i: [(5, -8, FACE)] if i < 20 else [(50, 0, FACE)] for i in ALL},
}  # fmt: skip
OBJECTS = {
    "plain": sees(),
    "nothing": {},
    "phone": sees((range(50, 60), [("cell phone", 0.7, PHONE)])),
    "faint": sees((range(50, 60), [("cell phone", 0.3, PHONE)])),
    "second": sees((range(20, 40), [("person", 0.8, OTHER)])),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s at 10 frames a second, each of which says its number."""
    recipe = media.Recipe("exam.mp4", n_frames=200, rate=Fraction(10), size=(320, 240))
    return media.write(tmp_path_factory.mktemp("clip"), recipe)


@pytest.fixture(scope="module")
def archive(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Archive, str]]:
    """Every gaze model and every detector of the cases, over one video."""
    home = tmp_path_factory.mktemp("cases")
    gaps = dict.fromkeys(range(20, 40), "decode.damaged")
    says = [
        *(Says(f"{name}/1", "gazes", looks(found)) for name, found in GAZES.items()),
        *(Says(f"{name}/2", "detections", boxes(found)) for name, found in OBJECTS.items()),
        Says("holes/1", "gazes", looks(GAZES["gone"]), gaps=gaps),
        Says("blind/2", "detections", boxes(OBJECTS["phone"]), gaps=dict.fromkeys(range(50, 60), "inference.timeout")),
        Says("slow/2", "detections", boxes(OBJECTS["phone"]), asked=range(0, 100, 5)),
    ]
    video_id = put_video(home, clip, says, FPS)
    with archive_of(home) as opened:
        yield opened, video_id


def judged(archive: tuple[Archive, str], gaze: str, objects: str = "plain", **params: Any) -> Finding:
    opened, video_id = archive
    asked = USE.check({"gaze": gaze, "objects": objects, **params})
    return USE.judge(opened, opened.video(video_id), asked, USE.ruleset(asked))


def events(finding: Finding, *kinds: str) -> list[dict[str, Any]]:
    rows = finding.events.table().to_pylist()
    return [{**row, "facts": json.loads(row["facts"])} for row in rows if not kinds or row["kind"] in kinds]


def alarms(finding: Finding) -> list[tuple[str, float, float]]:
    quiet = (WHOLE, UNJUDGED, "faces_count")
    rows = [row for row in events(finding) if row["kind"] not in quiet]
    return [(row["kind"], round(row["start_s"], 3), round(row["end_s"], 3)) for row in rows]


@pytest.mark.parametrize(
    ("gaze", "objects", "params", "expected"),
    [
        ("straight", "plain", {}, []),
        ("left", "plain", {}, [("look_away", 4.0, 8.0)]),
        ("left", "plain", {"away_s": 4.1}, []),
        ("left", "plain", {"away_deg": 60}, []),
        ("left", "plain", {"neutral_deg": (45, -8)}, [("look_away", 0.0, 4.0), ("look_away", 8.0, 20.0)]),
        ("down", "plain", {}, [("look_away", 4.0, 8.0)]),
        ("wavers", "plain", {}, [("look_away", 4.0, 8.0)]),
        ("wavers", "plain", {"back_deg": 25, "join_s": 0}, [("look_away", 4.0, 6.0)]),
        ("glance", "plain", {}, []),
        ("glance", "plain", {"away_s": 1}, [("look_away", 4.0, 5.0)]),
        ("away", "plain", {"calibrate_s": (0, 4)}, [("look_away", 4.0, 20.0)]),
        ("gone", "plain", {}, [("face_hidden", 4.0, 8.0)]),
        ("gone", "nothing", {}, [("absence", 4.0, 8.0)]),
        ("gone", "never", {}, [("absence", 4.0, 8.0)]),
        ("gone", "nothing", {"absent_s": 5}, []),
        ("holes", "plain", {}, []),  # a gap is no absence
        ("holes", "nothing", {}, []),
        ("two", "plain", {}, [("second_person", 4.0, 8.0)]),
        ("flicker", "plain", {}, []),
        ("straight", "second", {}, [("second_person", 4.0, 8.0)]),
        ("straight", "second", {"second_confidence": 0.85}, []),
        ("straight", "phone", {}, [("phone", 10.0, 12.0)]),
        ("straight", "phone", {"phone_classes": ("book",)}, []),
        ("straight", "faint", {}, []),
        ("straight", "faint", {"phone_confidence": 0.25}, [("phone", 10.0, 12.0)]),
        ("straight", "blind", {}, []),
        ("nobody", "plain", {}, [("face_hidden", 0.0, 20.0)]),
    ],
)
def test_alarms(
    archive: tuple[Archive, str], gaze: str, objects: str, params: dict[str, Any], expected: list[Any]
) -> None:
    assert alarms(judged(archive, gaze, objects, **params)) == expected


def test_a_look_says_how_far_and_to_which_side(archive: tuple[Archive, str]) -> None:
    (left,) = events(judged(archive, "left"), "look_away")
    assert left["facts"]["reason"] == "39 degrees left of neutral"
    assert (left["facts"]["yaw_deg"], left["facts"]["pitch_deg"]) == (45.0, -8.0)
    assert left["facts"]["boxes"] == [list(FACE)]
    assert left["score"] == pytest.approx(39, abs=1)
    (down,) = events(judged(archive, "down"), "look_away")
    assert down["facts"]["direction"] == "down"


def test_who_and_what_is_shown(archive: tuple[Archive, str]) -> None:
    (faces,) = events(judged(archive, "two"), "second_person")
    assert faces["facts"]["reason"] == "2 faces"
    assert faces["facts"]["boxes"] == [list(FACE), list(OTHER)]
    (persons,) = events(judged(archive, "straight", "second"), "second_person")
    assert persons["facts"]["reason"] == "two persons, the second 0.80"
    assert persons["facts"]["boxes"] == [list(BODY), list(OTHER)]
    (phone,) = events(judged(archive, "straight", "phone"), "phone")
    assert (phone["facts"]["reason"], phone["facts"]["boxes"]) == ("cell phone 0.70", [list(PHONE)])


def test_the_whole_video_is_summed_up(archive: tuple[Archive, str]) -> None:
    (whole,) = events(judged(archive, "left"), WHOLE)
    facts = whole["facts"]
    assert (whole["start_s"], whole["end_s"]) == (0.0, 20.0)
    assert (facts["neutral_yaw_deg"], facts["neutral_pitch_deg"], facts["neutral_of"]) == (6.0, -8.0, "median")
    assert facts["face_s"] == pytest.approx(20.0)
    assert facts["seconds"] == {"look_away": 4.0, "absence": 0, "face_hidden": 0, "second_person": 0, "phone": 0}
    assert facts["unjudged_s"] == {"looks": 0, "objects": 0}
    (given,) = events(judged(archive, "left", neutral_deg=(0, 0)), WHOLE)
    assert (given["facts"]["neutral_of"], given["facts"]["spread_deg"]) == ("given", None)
    (nobody,) = events(judged(archive, "nobody"), WHOLE)
    assert (nobody["facts"]["neutral_of"], nobody["facts"]["face_s"]) == ("nothing", 0.0)


def test_faces_are_counted_over_time(archive: tuple[Archive, str]) -> None:
    def counts(gaze: str) -> list[tuple[float, float, float]]:
        return [(row["start_s"], row["end_s"], row["score"]) for row in events(judged(archive, gaze), "faces_count")]

    assert counts("two") == [(0.0, 4.0, 1.0), (4.0, 8.0, 2.0), (8.0, 20.0, 1.0)]
    assert counts("gone") == [(0.0, 4.0, 1.0), (4.0, 8.0, 0.0), (8.0, 20.0, 1.0)]
    assert counts("holes") == [(0.0, 4.0, 1.0), (8.0, 20.0, 1.0)]
    assert counts("flicker") == [(0.0, 20.0, 1.0)]


def test_what_could_not_be_judged_is_told(archive: tuple[Archive, str]) -> None:
    def dark(gaze: str, objects: str) -> list[tuple[str, float, float, list[str]]]:
        finding = judged(archive, gaze, objects)
        return [
            (row["class_name"], row["start_s"], row["end_s"], row["facts"]["why_not"])
            for row in events(finding, UNJUDGED)
        ]

    assert dark("straight", "plain") == []
    assert dark("holes", "plain") == [("looks", 4.0, 8.0, ["decode.damaged"])]
    assert dark("straight", "blind") == [("objects", 10.0, 12.0, ["no answer of the detector"])]
    assert dark("straight", "never") == [("objects", 0.0, 20.0, ["never never ran on this video"])]
    assert judged(archive, "holes").unjudged_s == pytest.approx(4.0)
    with pytest.raises(StoreError) as caught:
        judged(archive, "no-such-gaze")
    assert caught.value.code == "store.no_rows"


def test_a_detector_that_looks_seldom_speaks_for_the_frames_around(archive: tuple[Archive, str]) -> None:
    """At one frame a second, beside looks at five."""
    ((kind, start_s, end_s),) = alarms(judged(archive, "straight", "slow"))
    assert kind == "phone"
    assert (start_s, end_s) == (pytest.approx(10.0, abs=0.6), pytest.approx(12.0, abs=0.6))
    assert events(judged(archive, "straight", "slow"), UNJUDGED) == []


@pytest.mark.parametrize(
    "params",
    [
        {"away_deg": 0}, {"away_deg": 20, "back_deg": 30}, {"calibrate_s": (5, 5)}, {"calibrate_s": (-1, 5)},
        {"neutral_deg": (0, 0), "calibrate_s": (0, 5)}, {"away_s": -1}, {"face_confidence": 2}, {"what": 1},
    ],
)  # fmt: skip
def test_parameters_that_cannot_be(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        USE.check(params)
    assert caught.value.code == "config.ruleset"


def test_thresholds_are_what_a_ruleset_is() -> None:
    one, same, other = (USE.ruleset(ProctorParams(away_s=s)).ruleset_id for s in (2.0, 2.0, 3.0))
    assert one == same != other


# ---------------------------------------------------------------- the command


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, with the stack down: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

    def run(*arguments: object) -> tuple[int, str, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            load_settings.cache_clear()
            structlog.reset_defaults()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_report_its_proof_its_replay_and_its_view(cli: Cli, clip: Path, tmp_path: Path) -> None:
    says = [Says("gaze/1", "gazes", looks(GAZES["left"])), Says("detector/1", "detections", boxes(OBJECTS["phone"]))]
    put_video(tmp_path / "home", clip, says, FPS)
    rebuild_store(tmp_path / "home")
    code, out, said = cli("proctor", clip, "--proof", tmp_path / "proof")
    assert (code, said) == (1, "")
    assert "neutral yaw +6, pitch -8" in out
    assert "39 degrees left of neutral" in out
    names = sorted(path.name.partition("-")[2][9:] for path in (tmp_path / "proof").iterdir())
    assert names == ["look_away-00m04.0s-f40.jpg", "phone-00m10.0s-f100.jpg"]
    code, out, _ = cli("proctor", clip, "--away-deg", "50", "--phone-s", "5", "--against", "last", "--json")
    (document,) = json.loads(out)
    assert code == 0
    assert [(row["kind"], row["old"], row["new"]) for row in document["against"]["counts"]] == [
        ("faces_count", 1, 1), ("look_away", 1, 0), ("phone", 1, 0), ("proctor", 1, 1),
    ]  # fmt: skip
    assert cli("proctor", clip, "--neutral", "45,-8", "--dry-run")[0] == 1
    assert cli("proctor", clip, "--calibrate", "0,4", "--dry-run")[0] == 1
    code, _, said = cli("proctor", clip, "--neutral", "left")
    assert (code, said.split(":")[0]) == (2, "config.ruleset")
    store = rebuild_store(tmp_path / "home")
    rows = run_query(
        store, "SELECT what, n, seconds, longest_s, first_s, share FROM proctor_report ORDER BY what"
    ).rows()
    assert rows == [("look_away", 1, 4.0, 4.0, 4.0, 0.2), ("phone", 1, 2.0, 2.0, 10.0, 0.1)]


def test_a_video_without_a_detector_is_not_wholly_judged(cli: Cli, clip: Path, tmp_path: Path) -> None:
    put_video(tmp_path / "home", clip, [Says("gaze/1", "gazes", looks(GAZES["straight"]))], FPS)
    rebuild_store(tmp_path / "home")
    code, out, _ = cli("proctor", clip)
    assert code == 10
    assert "NOT JUDGED: objects" in out
    assert "detector never ran on this video" in out


def test_a_video_that_no_gaze_model_saw_is_refused(cli: Cli, clip: Path, tmp_path: Path) -> None:
    put_video(tmp_path / "home", clip, [Says("detector/1", "detections", nothing("detections"))], FPS)
    rebuild_store(tmp_path / "home")
    code, out, said = cli("proctor", clip)
    assert (code, out) == (7, "")
    assert said.startswith("store.no_rows: ")
    assert "--model gaze" in said
