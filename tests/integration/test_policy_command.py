"""Policies over stored rows of real files: intervals with reasons, proof frames, honesty about what was not seen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import structlog

import media
from archives import Box, Says, archive_of, boxes, nothing, put_video, rebuild_store, written
from framehouse.analytics.policy import FOUND, UNJUDGED, USE, Line, PolicyParams, lines_of, unjudged_rules
from framehouse.analytics.policy_file import Rule
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.results.elements.base import Prompts
from framehouse.results.records.embeddings import Embeddings
from framehouse.store.archive import Archive, Video
from framehouse.store.query import run_query

FPS = Fraction(5)
SECONDS = 20
SIZE = (320, 240)
AT: Box = (20.0, 200.0, 60.0, 230.0)
SMALL: Box = (10.0, 10.0, 20.0, 20.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s at 10 frames a second, each of which says its number."""
    recipe = media.Recipe("my clip.mp4", n_frames=SECONDS * 10, rate=Fraction(10), size=SIZE)
    return media.write(tmp_path_factory.mktemp("clip"), recipe)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def seen(found: dict[int, Sequence[tuple[str, float, Box]]], **facts: Any) -> Says:
    return Says("detector/1", "detections", boxes(found), **facts)


def every(numbers: Sequence[int], *objects: tuple[str, float, Box]) -> dict[int, Sequence[tuple[str, float, Box]]]:
    return dict.fromkeys(numbers, objects)


def judged(
    home: Path, clip: Path, says: Sequence[Says], *rules: Rule, vectors: dict[str, Prompts] | None = None
) -> Any:
    """The finding of some rules."""
    video_id = put_video(home, clip, says, FPS)
    params = PolicyParams(rules=rules).known_as(vectors or {}, "no server")
    with archive_of(home) as archive:
        return USE.judge(archive, archive.video(video_id), params, USE.ruleset(params))


def spans(finding: Any, kind: str = FOUND) -> list[tuple[str, float, float]]:
    return [(line.rule, round(line.start_s, 3), round(line.end_s, 3)) for line in lines_of(finding.events, kind)]


ALCOHOL = Rule(name="alcohol", classes=("bottle",), confidence=0.5, join_s=0)


OBJECT_CASES: tuple[tuple[dict[str, Any], Any, list[tuple[float, float]]], ...] = (
    ({}, {}, []),
    ({}, every(range(10, 20), ("bottle", 0.8, AT)), [(2.0, 4.0)]),
    ({}, every(range(10, 20), ("bottle", 0.49, AT)), []),
    ({}, every(range(10, 20), ("cup", 0.9, AT)), []),
    ({}, every(range(95, 100), ("bottle", 0.8, AT)), [(19.0, 20.0)]),
    ({"min_s": 2.1}, every(range(10, 20), ("bottle", 0.8, AT)), []),
    ({"min_s": 2}, every(range(10, 20), ("bottle", 0.8, AT)), [(2.0, 4.0)]),
    ({"join_s": 1}, every([10, 11, 15, 22], ("bottle", 0.8, AT)), [(2.0, 3.2), (4.4, 4.6)]),
    ({"stay": 0.2}, {9: [("bottle", 0.3, AT)], 10: [("bottle", 0.6, AT)], 11: [("bottle", 0.3, AT)]}, [(1.8, 2.4)]),
    ({"classes": ("b*",)}, every([10], ("BOTTLE", 0.8, AT)), [(2.0, 2.2)]),
    ({"min_area": 0.01}, every([10], ("bottle", 0.8, SMALL)), []),
    ({"min_area": 0.01}, every([10], ("bottle", 0.8, AT)), [(2.0, 2.2)]),
    ({"at_least": 2}, every([10], ("bottle", 0.8, AT)), []),
    ({"at_least": 2}, every([10], ("bottle", 0.8, AT), ("bottle", 0.4, SMALL)), []),
    ({"at_least": 2}, every([10], ("bottle", 0.8, AT), ("bottle", 0.6, SMALL)), [(2.0, 2.2)]),
    ({"fewer_than": 1}, every(range(5, 100), ("bottle", 0.8, AT)), [(0.0, 1.0)]),
    ({"fewer_than": 2}, every(range(100), ("bottle", 0.8, AT)), [(0.0, 20.0)]),
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Archive, Video]]:
    """A detector for each of the cases."""
    home = tmp_path_factory.mktemp("cases")
    says = [
        Says(f"case{n}/1", "detections", boxes(found) if found else nothing("detections"))
        for n, (_, found, _) in enumerate(OBJECT_CASES)
    ]
    video_id = put_video(home, clip, says, FPS)
    with archive_of(home) as archive:
        yield archive, archive.video(video_id)


@pytest.mark.parametrize("number", range(len(OBJECT_CASES)), ids=lambda n: f"{OBJECT_CASES[n][0]}-{n}")
def test_rules_about_objects(cases: tuple[Archive, Video], number: int) -> None:
    changes, _, expected = OBJECT_CASES[number]
    params = PolicyParams(rules=(ALCOHOL.model_copy(update={"model": f"case{number}", **changes}),))
    finding = USE.judge(*cases, params, USE.ruleset(params))
    assert spans(finding) == [("alcohol", *span) for span in expected]
    assert (round(finding.judged_s, 3), finding.unjudged_s) == (20.0, 0.0)
    assert spans(finding, UNJUDGED) == []


def test_a_moment_says_why_and_shows_where(home: Path, clip: Path) -> None:
    found = {10: [("bottle", 0.6, AT)], 11: [("bottle", 0.9, AT), ("bottle", 0.55, SMALL), ("bottle", 0.3, SMALL)]}
    rule = ALCOHOL.model_copy(update={"why": "no drinks"})
    (line,) = lines_of(judged(home, clip, [seen(found)], rule).events)
    assert isinstance(line, Line)
    assert (line.frame_offset, line.score) == (22, pytest.approx(0.9))
    assert line.facts["reason"] == "bottle 0.90, bottle 0.55"
    assert line.facts["boxes"] == [list(AT), list(SMALL)]
    assert (line.facts["why"], line.facts["model_id"], line.facts["n_frames"]) == ("no drinks", "detector/1", 2)
    assert not line.facts["open_start"]
    assert not line.facts["open_end"]


def test_a_gap_is_neither_there_nor_absent(home: Path, clip: Path) -> None:
    """Frames without an answer in the midst: neither was the person away, nor did the bottle stay."""
    gaps = dict.fromkeys(range(20, 30), "decode.damaged")
    says = seen(every(range(100), ("person", 0.9, AT), ("bottle", 0.9, AT)), gaps=gaps)
    absence = Rule(name="absence", classes=("person",), fewer_than=1)
    finding = judged(home, clip, [says], absence, ALCOHOL)
    assert spans(finding) == [("alcohol", 0.0, 4.0), ("alcohol", 6.0, 20.0)]
    assert spans(finding, UNJUDGED) == [("absence", 4.0, 6.0), ("alcohol", 4.0, 6.0)]
    assert finding.unjudged_s == pytest.approx(2.0)
    first, second = lines_of(finding.events)
    assert (first.facts["open_end"], second.facts["open_start"]) == (True, True)
    assert lines_of(finding.events, UNJUDGED)[0].facts["why_not"] == ["decode.damaged"]


def test_what_nobody_asked_about_is_not_judged(home: Path, clip: Path) -> None:
    """A run that was killed: the second half has no rows, neither loaded nor a gap."""
    finding = judged(home, clip, [seen(every([10], ("bottle", 0.9, AT)), asked=range(50))], ALCOHOL)
    assert spans(finding) == [("alcohol", 2.0, 2.2)]
    ((_, start_s, end_s),) = spans(finding, UNJUDGED)
    assert (start_s, end_s) == (11.8, 20.0)  # the last frame speaks for two seconds, not for the rest of the video
    assert lines_of(finding.events, UNJUDGED)[0].facts["why_not"] == ["not_asked"]


def test_a_model_that_never_ran_leaves_its_rules_open_and_no_others(home: Path, clip: Path) -> None:
    nudity = Rule(name="nudity", model="moderation", classes=("*_EXPOSED",))
    finding = judged(home, clip, [seen({})], ALCOHOL, nudity)
    assert unjudged_rules(finding, 20.0) == {"nudity": pytest.approx(20.0)}
    assert finding.judged_s == 0.0
    assert lines_of(finding.events, UNJUDGED)[0].facts["says"] == (
        "moderation never ran on this video: framehouse run FILE --model moderation"
    )


def test_rules_about_writing(home: Path, clip: Path) -> None:
    lines = {
        10: [("GRAND CAS1NO", 0.9, AT), ("open 24 h", 0.9, SMALL)],
        11: [("GRAND CASINO", 0.4, AT)],
        30: [("FREE", 0.9, AT), ("SPINS!", 0.7, SMALL)],
        50: [("200% BONUS", 0.8, AT)],
    }
    rule = Rule(name="gambling", texts=("casino", "free spins"), patterns=(r"\d+ ?% +bonus",), join_s=0)
    finding = judged(home, clip, [Says("ocr/1", "texts", written(lines))], rule)
    assert spans(finding) == [("gambling", 2.0, 2.2), ("gambling", 6.0, 6.2), ("gambling", 10.0, 10.2)]
    first, second, third = lines_of(finding.events)
    assert first.facts["reason"] == 'casino in "GRAND CAS1NO" 0.90'
    assert first.facts["boxes"] == [list(AT)]
    assert second.facts["labels"] == ['free spins in "FREE / SPINS!"'] * 2
    assert second.score == pytest.approx(0.7)
    assert third.facts["reason"] == r'\d+ ?% +bonus in "200% BONUS" 0.80'


def test_models_that_found_nothing_leave_a_clean_video(home: Path, clip: Path) -> None:
    says = [Says(f"{model}/1", kind, nothing(kind)) for model, kind in
            (("detector", "detections"), ("tags", "classifications"), ("ocr", "texts"))]  # fmt: skip
    rules = (
        ALCOHOL, Rule(name="tag", tags=("beer *",)), Rule(name="text", texts=("casino",)),
        Rule(name="pattern", patterns=("bet",)), Rule(name="both", texts=("casino",), patterns=("bet",), min_area=0.1),
    )  # fmt: skip
    finding = judged(home, clip, says, *rules)
    assert (len(finding.events), finding.unjudged_s) == (0, 0.0)


def test_rules_about_phrases_ask_which_text_is_right(home: Path, clip: Path) -> None:
    def rows(frame_offset: Any) -> Embeddings:
        red = (frame_offset >= 20) & (frame_offset < 40)
        return Embeddings(frame_offset, np.where(red[:, None], [[1.0, 0.1]], [[0.1, 1.0]]).astype(np.float32))

    rule = Rule(name="red", phrases=("a red circle",), against=("a blue circle",), confidence=0.8)
    says = Says("clip/9", "embeddings", rows)
    prompts = Prompts("list", ("a red circle", "a blue circle"), ((1.0, 0.0), (0.0, 1.0)), 20.0)
    finding = judged(home, clip, [says], rule, vectors={says.digest: prompts})
    assert spans(finding) == [("red", 2.0, 4.0)]
    (line,) = lines_of(finding.events)
    assert line.facts["reason"] == "a red circle 1.00"
    assert line.facts["boxes"] == [None]
    without = judged(home, clip, [says], rule)
    assert unjudged_rules(without, 20.0) == {"red": pytest.approx(20.0)}
    assert lines_of(without.events, UNJUDGED)[0].facts["says"] == "no server"


def test_the_same_rows_give_the_same_finding(home: Path, clip: Path, tmp_path: Path) -> None:
    rows = every(range(10, 20), ("bottle", 0.8, AT))
    one, again = judged(home, clip, [seen(rows)], ALCOHOL), judged(tmp_path / "other", clip, [seen(rows)], ALCOHOL)
    other = judged(tmp_path / "third", clip, [seen(every(range(10, 21), ("bottle", 0.8, AT)))], ALCOHOL)
    assert one.input_digest == again.input_digest != other.input_digest
    assert one.ruleset.ruleset_id == again.ruleset.ruleset_id


# ---------------------------------------------------------------- the command

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, with the stack down: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(home))
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


def policy(folder: Path, text: str, name: str = "p") -> Path:
    path = folder / "policy.yaml"
    path.write_text(f"name: {name}\nrules:\n{text}")
    return path


BOTTLES = "- name: alcohol\n  classes: [bottle]\n  confidence: 0.5\n"
NUDITY = "- name: nudity\n  model: moderation\n  classes: [FACE]\n"


@pytest.mark.parametrize(
    ("rules", "found", "code", "verdict"),
    [
        (BOTTLES, {}, 0, "clean"),
        (BOTTLES, every(range(10, 20), ("bottle", 0.8, AT)), 1, "found"),
        (BOTTLES + NUDITY, {}, 10, "unjudged"),
        (BOTTLES + NUDITY, every(range(10, 20), ("bottle", 0.8, AT)), 11, "found"),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    cli: Cli, home: Path, clip: Path, tmp_path: Path, rules: str, found: Any, code: int, verdict: str
) -> None:
    put_video(home, clip, [seen(found)], FPS)
    rebuild_store(home)
    path = policy(tmp_path, rules)
    told, out, _ = cli("policy", path, clip, "--json")
    (document,) = json.loads(out)
    assert (told, document["verdict"], document["name"]) == (code, verdict, "p")
    told, out, _ = cli("policy", path, clip, "--dry-run")
    assert told == code
    assert ("NOT JUDGED: moderation never ran" in out) == (NUDITY in rules)
    assert ("bottle 0.80" in out) == bool(found)


def test_a_video_may_be_unjudged_in_part_where_the_policy_allows_it(
    cli: Cli, home: Path, clip: Path, tmp_path: Path
) -> None:
    put_video(home, clip, [seen({}, gaps={50: "decode.missing"})], FPS)
    rebuild_store(home)
    path = policy(tmp_path, BOTTLES)
    assert cli("policy", path, clip)[0] == 10
    path.write_text("allow_unjudged: 0.02\n" + path.read_text())
    assert cli("policy", path, clip)[0] == 0


def test_proof_frames_are_the_frames_with_the_box_drawn(cli: Cli, home: Path, clip: Path, tmp_path: Path) -> None:
    put_video(home, clip, [seen({**every(range(10, 20), ("bottle", 0.7, AT)), 15: [("bottle", 0.95, AT)]})], FPS)
    rebuild_store(home)
    code, out, _ = cli("policy", policy(tmp_path, BOTTLES), clip, "--proof", tmp_path / "proof", "--json")
    assert code == 1
    (event,) = json.loads(out)[0]["events"]
    (file,) = (tmp_path / "proof").iterdir()
    assert Path(event["proof"]) == file
    assert file.name.startswith("my-clip-")
    assert file.name.endswith("-alcohol-00m02.0s-f30.jpg")
    picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    below = picture[-2 * SIZE[1] :]  # enlarged twice; what is said stands above it
    assert below.shape[1] == 2 * SIZE[0]
    assert media.read_frame_number(below) == 30
    edge = below[2 * 201 : 2 * 229, 2 * 20 : 2 * 20 + 1].astype(int)
    assert (edge[:, :, 0] - edge[:, :, 1:].max(axis=2) > 60).mean() > 0.9, "no red line at the left of the box"


def test_without_the_file_the_intervals_are_told_all_the_same(cli: Cli, home: Path, clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    video_id = put_video(home, copy, [seen(every([10], ("bottle", 0.7, AT)))], FPS)
    rebuild_store(home)
    copy.unlink()
    code, out, said = cli("policy", policy(tmp_path, BOTTLES), video_id, "--proof", tmp_path / "proof")
    assert code == 1
    assert "bottle 0.70" in out
    assert "no proof frames of copy.mp4: source.not_found" in said
    assert not (tmp_path / "proof").exists()
    assert cli("policy", policy(tmp_path, BOTTLES), clip, "--proof", tmp_path / "proof")[0] == 1
    assert len(list((tmp_path / "proof").iterdir())) == 1, "the file that is named has the same content"


def test_thresholds_replay_and_are_compared(cli: Cli, home: Path, clip: Path, tmp_path: Path) -> None:
    found = {**every(range(10, 20), ("bottle", 0.8, AT)), **every(range(40, 50), ("bottle", 0.45, AT))}
    put_video(home, clip, [seen(found)], FPS)
    rebuild_store(home)
    assert cli("policy", policy(tmp_path, BOTTLES), clip)[0] == 1
    _, out, _ = cli("policy", policy(tmp_path, BOTTLES.replace("0.5", "0.4")), clip, "--against", "last", "--json")
    against = json.loads(out)[0]["against"]
    assert against["counts"] == [{"kind": "policy", "class_name": "alcohol", "old": 1, "new": 2}]
    assert [event["time_offset_s"] for event in against["appeared"]] == [8.0]
    assert against["vanished"] == []


def test_the_views_answer(cli: Cli, home: Path, clip: Path, tmp_path: Path) -> None:
    put_video(home, clip, [seen(every(range(10, 20), ("bottle", 0.8, AT)))], FPS)
    rebuild_store(home)
    knives = "- name: knives\n  classes: [knife]\n"
    cli("policy", policy(tmp_path, BOTTLES.replace("0.5", "0.9")), clip)
    cli("policy", policy(tmp_path, BOTTLES + knives + NUDITY), clip)
    store = rebuild_store(home)
    rows = run_query(store, "SELECT rule, start_s, end_s, reason, is_newest, is_open FROM policy_intervals").rows()
    assert rows == [("alcohol", 2.0, 4.0, "bottle 0.80", True, False)]
    verdicts = run_query(
        store, "SELECT rule, verdict, n_intervals, unjudged_s FROM policy_verdicts WHERE is_newest ORDER BY rule"
    ).rows()
    assert verdicts == [("alcohol", "found", 1, 0.0), ("knives", "clean", 0, 0.0), ("nudity", "unjudged", 0, 20.0)]
    assert run_query(store, "SELECT verdict FROM policy_verdicts WHERE NOT is_newest").rows() == [("clean",)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clases: [bottle]", 'policy.yaml:4: rule "a": clases: there is no such key; did you mean "classes"?'),
        ("classes: [botle]", 'policy.yaml: rule "a": detector has no class "botle"; did you mean "bottle"?'),
    ],
)  # fmt: skip
def test_a_faulty_policy_asks_nothing(cli: Cli, home: Path, clip: Path, tmp_path: Path, text: str, told: str) -> None:
    path = policy(tmp_path, f"- name: a\n  {text}\n")
    for arguments in ((path, clip), (path, "--check")):
        code, out, said = cli("policy", *arguments)
        assert (code, out) == (2, "")
        assert said.splitlines()[0] == told
        assert said.splitlines()[-1].startswith(f"policy.invalid: {path}: ")
    assert cli("policy", policy(tmp_path, BOTTLES), "--check") == (0, "", "")


def test_every_video_at_once(cli: Cli, home: Path, clip: Path, tmp_path: Path) -> None:
    other = media.write(tmp_path, media.Recipe("other.mp4", n_frames=20, rate=Fraction(10)))
    put_video(home, clip, [seen(every([10], ("bottle", 0.8, AT)))], FPS)
    put_video(home, other, [Says("detector/1", "detections", nothing("detections"))], FPS)
    rebuild_store(home)
    code, out, _ = cli("policy", policy(tmp_path, BOTTLES), "--all", "--json")
    assert (code, sorted(one["verdict"] for one in json.loads(out))) == (1, ["clean", "found"])
