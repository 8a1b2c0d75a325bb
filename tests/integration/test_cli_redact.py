"""`framehouse render --blur` and `--highlight` from the published snapshot: what is told, written and left out."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import media
from cli_runs import Cli, cli_of
from framehouse.render.obscure import obscure_whole
from framehouse.render.stills import still
from framehouse.results.masks import encode
from framehouse.results.records.boxes import Segmentations
from framehouse.results.records.texts import Texts
from framehouse.video.probe import probe
from stored_runs import Answer, detections, store_answers

PLANNED = np.arange(0, 60, 6)
BOX = (40, 50, 30, 30)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_of(home, monkeypatch, capsys)


def persons(frames: np.ndarray = PLANNED, gaps: tuple[int, ...] = ()) -> Answer:
    seen = [int(frame) for frame in frames if frame not in gaps]
    return Answer(
        "detector/1", detections(seen, [BOX] * len(seen), "person", 0, 0.2), frames,
        dict.fromkeys(gaps, "decode.damaged"),
    )  # fmt: skip


def words() -> Answer:
    n = len(PLANNED)
    corners = np.tile(np.array([[80, 30], [110, 30], [110, 40], [80, 40]], np.float32), (n, 1, 1))
    rows = Texts(
        PLANNED, np.array(["secret"] * n, np.object_), np.full(n, 0.3, np.float32),
        np.tile(np.array([95, 35, 30, 10], np.float32), (n, 1)), corners,
    )  # fmt: skip
    return Answer("ocr/1", rows, PLANNED)


def outlines() -> Answer:
    mask = np.zeros((96, 128), np.bool_)
    mask[40:60, 30:50] = True
    n, plain = len(PLANNED), detections(PLANNED.tolist(), [BOX] * len(PLANNED), "person", 0)
    return Answer("persons/1", Segmentations(**plain.arrays(), mask=np.array([encode(mask)] * n, np.object_)), PLANNED)


def two_sounds(folder: Path) -> Path:
    """A clip of uneven timing with a title, two sound streams and a subtitle."""
    source = media.write(folder, replace(media.RECIPES["vfr.mp4"], name="plain.mp4"))
    beep, path = media.write(folder, media.RECIPES["sound.mp4"]), folder / "two sounds.mp4"
    with av.open(str(source)) as video, av.open(str(beep)) as sound, av.open(str(path), "w") as out:
        out.metadata["title"] = "Street of Mr Secret"
        out.metadata["location"] = "+52.0-001.0/"
        pairs = [(video, video.streams.video[0]), (sound, sound.streams.audio[0]), (sound, sound.streams.audio[0])]
        targets = [out.add_stream_from_template(stream) for _, stream in pairs]
        targets[1].metadata["language"], targets[2].metadata["title"] = "deu", "Mr Secret speaks"
        for (container, stream), target in zip(pairs, targets, strict=True):
            container.seek(0, stream=stream)
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    out.mux(packet)
    return path


def packets(path: Path, number: int) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as source:
        stream = source.streams.audio[number]
        return [(p.pts * p.time_base, bytes(p)) for p in source.demux(stream) if p.size]


def test_people_and_text_are_covered_and_listed(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["sound.mp4"])
    video_id = store_answers(home, source, [persons(), words()])
    out, audit = tmp_path / "out.mp4", tmp_path / "audit.json"
    code, said = cli("render", source, "--blur", "person", "--blur", "text", "--audit", audit, "--out", out)
    assert (code, said) == (
        0,
        f"{out}: 60 frames, person covered by 10 sightings of detector/1; text covered by 10 sightings of ocr/1\n",
    )
    document = json.loads(audit.read_text())
    assert (document["video_id"], document["n_written"], document["n_whole"]) == (video_id, 60, 0)
    assert [(entry["what"], entry["first_frame"], entry["last_frame"]) for entry in document["entries"]] == [
        ("person", 0, 54), ("text", 0, 54), ("person", 55, 59), ("text", 55, 59)
    ]  # fmt: skip
    assert [(item["what"], item["style"]) for item in document["covered"]] == [
        ("person", "pixelate"),
        ("text", "solid"),
    ]
    plain, covered = media.every_picture(source, media.SIZE), media.every_picture(out, media.SIZE)
    for frame in range(60):
        assert covered[frame][31:39, 81:109].std() < 4, "solid"
        assert np.abs(covered[frame][40:60, 28:52].astype(int) - plain[frame][40:60, 28:52]).mean() > 4
        assert np.abs(covered[frame][72:].astype(int) - plain[frame][72:]).mean() < 6


def test_times_and_every_sound_are_the_same_and_nothing_else_comes_along(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = two_sounds(tmp_path)
    store_answers(home, source, [persons()])
    out = tmp_path / "out.mp4"
    assert cli("render", source, "--blur", "person", "--reach", "9", "--out", out)[0] == 0
    before, after = probe(source), probe(out)
    assert [p * before.stream.time_base for p in before.pts.tolist()] == [
        p * after.stream.time_base for p in after.pts.tolist()
    ]
    for number in (0, 1):
        assert packets(out, number) == packets(source, number) != []
    with av.open(str(out)) as made:
        assert {stream.type for stream in made.streams} == {"video", "audio"}
        told = str([made.metadata, *(stream.metadata for stream in made.streams)])
    assert b"Secret" not in out.read_bytes()
    assert not any(word in told for word in ("title", "location", "creation_time", "Secret"))
    assert cli("render", source, "--blur", "person", "--reach", "9", "--mute", "--out", out)[0] == 0
    with av.open(str(out)) as made:
        assert len(made.streams.audio) == 0


def test_gaps_are_covered_whole_and_told(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_answers(home, source, [persons(gaps=(30,))])
    out, audit = tmp_path / "out.mp4", tmp_path / "audit.csv"
    code, said = cli("render", source, "--blur", "person", "--audit", audit, "--out", out)
    assert code == 0
    assert said.splitlines()[:2] == [
        "11 of 60 frames were not analysed and are covered whole:",
        "  person: 11 frames, decode.damaged (framehouse backfill --failed)",
    ]
    rows = list(csv.DictReader(audit.read_text().splitlines()))
    assert ("25", "35", "decode.damaged") in [(row["first_frame"], row["last_frame"], row["why"]) for row in rows]
    pictures, plain = media.every_picture(out, media.SIZE), media.every_picture(source, media.SIZE)
    for frame in (24, *range(25, 36), 36):
        whole = np.ascontiguousarray(plain[frame])
        obscure_whole(whole, "pixelate")
        error = np.abs(pictures[frame][:70].astype(int) - whole[:70]).mean()
        assert bool(error < 5) is (25 <= frame <= 35), (frame, error)


def test_a_class_whose_model_never_ran_covers_all(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_answers(home, source, [persons()])
    code, said = cli("render", source, "--blur", "person", "--blur", "face", "--out", tmp_path / "out.mp4")
    assert code == 0
    assert "60 of 60 frames were not analysed and are covered whole:" in said
    assert "  face: 60 frames, no model that knows it was run (run a model that knows it: " in said


@pytest.mark.parametrize(
    ("options", "code", "starts"),
    [
        (["--blur", "persn"], 2, "config.unknown_class: no model knows the class persn (did you mean person"),
        (["--blur", "person", "--audit", "list.txt"], 2, "config.output: "),
        (["--audit", "list.json"], 2, "config.output: "),
        (["--highlight", "unicorn"], 2, "config.unknown_class: "),
    ],
)
def test_what_cannot_be_asked(cli: Cli, home: Path, tmp_path: Path, options: list[str], code: int, starts: str) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_answers(home, source, [persons()])
    found, said = cli("render", source, "--out", tmp_path / "out.mp4", *options)
    assert (found, said.startswith(starts)) == (code, True), said
    assert not (tmp_path / "out.mp4").exists()


def test_highlighting_dims_the_rest_and_follows_outlines(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_answers(home, source, [outlines()])
    out = tmp_path / "out.mp4"
    code, said = cli("render", source, "--highlight", "person", "--out", out)
    assert (code, said) == (0, f"{out}: 60 frames, person lit up from 10 sightings\n")
    plain, lit = media.every_picture(source, media.SIZE), media.every_picture(out, media.SIZE)
    for frame in (0, 3, 30, 59):
        inside, outside = np.s_[44:56, 34:46], np.s_[70:90, 70:120]
        assert lit[frame][inside].mean() == pytest.approx(plain[frame][inside].mean(), rel=0.06)
        assert lit[frame][outside].mean() == pytest.approx(0.3 * plain[frame][outside].mean(), rel=0.15)


def test_several_layers_over_what_is_covered(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_answers(home, source, [persons(), outlines()])
    out = tmp_path / "out.mp4"
    code, said = cli("render", source, "--blur", "person", "-m", "detector", "-m", "persons", "--out", out)
    assert code == 0
    assert "person covered by 20 sightings of detector/1, persons/1" in said.replace(
        "persons/1, detector/1", "detector/1, persons/1"
    )
    assert "0 boxes of detector/1" in said
    assert "10 segmentations of persons/1" in said


@pytest.mark.parametrize("name", ["turned_90.mp4", "odd_size.mp4", "bframes.mp4", "vfr.mkv"])
def test_turned_odd_and_reordered_pictures_are_covered_in_the_right_place(
    cli: Cli, home: Path, tmp_path: Path, name: str
) -> None:
    source = media.write(tmp_path, media.RECIPES[name])
    index = probe(source)
    frames = np.arange(index.n_frames)
    store_answers(
        home, source, [Answer("detector/1", detections(frames.tolist(), [BOX] * len(frames), "person", 0), frames)]
    )
    out = tmp_path / "out.mp4"
    code, said = cli("render", source, "--blur", "person", "--style", "solid", "--out", out)
    assert code == 0, said
    copy = probe(out)
    assert (copy.n_frames, copy.stream.rotation_deg) == (index.n_frames, 0)
    assert np.allclose((copy.pts - copy.pts[0]) * float(copy.stream.time_base),
                       (index.pts - index.pts[0]) * float(index.stream.time_base), atol=1e-4)  # fmt: skip
    for frame in (0, 7, 31, index.n_frames - 1):
        plain = still(source, index, frame).astype(int)  # upright
        covered = still(out, copy, frame)[: plain.shape[0], : plain.shape[1]]
        assert covered[38:62, 28:52].std() < 4, "solid"
        assert np.abs(covered[74:94, :100] - plain[74:94, :100]).mean() < 8, "nothing else"


def test_tracks_and_a_line_are_drawn_with_what_was_counted_so_far(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    way = [(20.0 + 1.5 * frame, 50.0, 16.0, 24.0) for frame in range(60)]
    store_answers(
        home,
        source,
        [Answer("detector/1", detections(PLANNED.tolist(), [way[f] for f in PLANNED], "person", 0, 0.9), PLANNED)],
    )
    out = tmp_path / "out.mp4"
    line = "door=0.5,0,0.5,1"
    code, said = cli("render", source, "--tracks", "--line", line, "--zone", "0.5,0,1,0,1,1,0.5,1", "--out", out)
    assert (code, said) == (
        0,
        f"{out}: 60 frames, 1 tracks of detector/1; door: in 1, out 0; zone 1: 1 inside\n",
    )
    plain, drawn = media.every_picture(source, media.SIZE), media.every_picture(out, media.SIZE)
    for frame in (0, 21, 45):
        changed = np.abs(drawn[frame].astype(int) - plain[frame]).sum(axis=2) > 60
        left = round(way[frame][0] - 8)
        assert changed[44:58, max(0, left - 2) : left + 3].any(axis=1).mean() > 0.6, (
            "the box's left edge, also between samples"
        )
        assert changed[2:90, 62:67].any(axis=1).mean() > 0.8, "the line"
    code, said = cli("render", source, "--line", "1,2,3", "--out", tmp_path / "other.mp4")
    assert (code != 0, said.split(":")[0]) == (True, "config.ruleset")
    code, said = cli("render", source, "--tracks", "--class", "horse", "--out", tmp_path / "none.mp4")
    assert (code, said.split(", ")[1]) == (0, "0 tracks of detector/1\n")
