"""A reel shows exactly the frames of its pieces, at their times, with their sound, and is whole or absent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

import edits
import media
from framehouse.errors import MediaError
from framehouse.video.loudness import listen
from framehouse.video.probe import probe
from framehouse.video.splice import Piece, splice


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


def piece(path: Path, start_s: float, end_s: float, title: str = "x") -> Piece:
    return Piece(path, probe(path), start_s, end_s, title)


def shown(path: Path, size: tuple[int, int] = media.SIZE) -> list[tuple[float, int]]:
    """(second, number that the picture carries) of every frame."""
    index = probe(path)
    pictures = media.every_picture(path, size)
    seconds = [float((pts - index.pts[0]) * index.stream.time_base) for pts in index.pts.tolist()]
    return [(round(second, 4), media.read_frame_number(pictures[i])) for i, second in enumerate(seconds)]


def test_frames_and_times_of_two_videos(shelf: media.Shelf, tmp_path: Path) -> None:
    cfr, b_frames = shelf.get("cfr.mp4"), shelf.get("bframes.mp4")  # 30 a second, numbered from 0
    out = tmp_path / "reel.mp4"
    laid = splice([piece(b_frames, 0.5, 0.8), piece(cfr, 1.0, 1.2)], out, media.SIZE)
    assert [(one.n_frames, one.n_gaps) for one in laid] == [(9, 0), (6, 0)]
    assert [laid[0].start_s, laid[0].end_s, laid[1].end_s] == pytest.approx([0, 0.3, 0.5])
    found = shown(out)
    assert [number for _, number in found] == [*range(15, 24), *range(30, 36)]
    assert [second for second, _ in found] == pytest.approx([i / 30 for i in range(15)], abs=2e-4)


def test_a_variable_rate_stays_and_the_frame_that_stands_is_shown_first(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("vfr.mp4"), tmp_path / "reel.mp4"
    index = probe(path)
    seconds = ((index.pts - index.pts[0]) * float(index.stream.time_base)).tolist()
    start = (seconds[10] + seconds[11]) / 2  # between two frames: the earlier stands
    splice([piece(path, start, seconds[20])], out, media.SIZE)
    found = shown(out)
    assert [number for _, number in found] == list(range(10, 20))
    assert [second for second, _ in found] == pytest.approx([0.0, *(s - start for s in seconds[11:20])], abs=2e-4)


def test_other_shapes_lie_on_black(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("turned_90.mp4"), tmp_path / "reel.mp4"
    splice([piece(path, 0.0, 0.2)], out, (256, 96))
    picture = media.every_picture(out, (256, 96))[0]
    assert picture[:, :40].max() < 20
    assert picture[:, -40:].max() < 20
    assert media.read_frame_number(picture[:, 64:192]) == 0


def test_sound_is_in_step_and_silence_where_there_is_none(shelf: media.Shelf, tmp_path: Path) -> None:
    noisy = edits.write(tmp_path / "noisy.mp4", [edits.painted(1)(0)] * 150, silences=[(4.0, 4.5)])
    out = tmp_path / "reel.mp4"
    laid = splice([piece(shelf.get("cfr.mp4"), 0.0, 1.0), piece(noisy, 3.5, 5.0)], out, media.SIZE)
    assert [one.has_sound for one in laid] == [False, True]
    level = listen(out, probe(out)).level_db
    assert level[:19].max() < -60  # a video without sound
    assert level[21:29].min() > -30  # 3.55 to 3.95
    assert level[32:39].max() < -60  # 4.1 to 4.45: the silence
    assert level[41:48].min() > -30


@pytest.mark.parametrize("name", ["sound.mkv", "bframes.ts", "plain.flv"])
def test_sound_of_other_containers(shelf: media.Shelf, tmp_path: Path, name: str) -> None:
    out = tmp_path / "reel.mp4"
    splice([piece(shelf.get(name), 0.5, 1.5)], out, media.SIZE)
    assert listen(out, probe(out)).level_db[2:-2].min() > -30


def test_no_sound_when_none_is_wanted_or_there(shelf: media.Shelf, tmp_path: Path) -> None:
    for name, sound in (("sound.mp4", False), ("cfr.mp4", True)):
        splice([piece(shelf.get(name), 0.0, 0.5)], tmp_path / "reel.mp4", media.SIZE, sound=sound)
        with av.open(str(tmp_path / "reel.mp4")) as made:
            assert not made.streams.audio


def test_chapters(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("cfr.mp4"), tmp_path / "reel.mp4"
    splice([piece(path, 0.0, 0.5, "first é"), piece(path, 1.0, 1.5, "second")], out, media.SIZE)
    with av.open(str(out)) as made:
        chapters = made.chapters()
    found = [(c["metadata"]["title"], *(float(c[end] * c["time_base"]) for end in ("start", "end"))) for c in chapters]
    assert found == [("first é", 0.0, 0.5), ("second", 0.5, 1.0)]


def test_a_damaged_frame_leaves_the_one_before_standing(shelf: media.Shelf, tmp_path: Path) -> None:
    path = media.damaged_packet(shelf.get("cfr.mp4"), 20, "damaged_for_reel.mp4")
    (laid,) = splice([piece(path, 0.5, 1.2)], tmp_path / "reel.mp4", media.SIZE)
    assert laid.n_gaps > 0
    assert laid.n_frames + laid.n_gaps == 21
    assert [number for _, number in shown(tmp_path / "reel.mp4")][:5] == [15, 16, 17, 18, 19]


def test_whole_or_absent(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("cfr.mp4"), tmp_path / "reel.mp4"
    with pytest.raises(MediaError, match="nothing"):
        splice([], out, media.SIZE)
    gone = replace(piece(path, 0.0, 0.5), path=tmp_path / "gone.mp4")
    out.write_bytes(b"old")
    with pytest.raises(Exception, match=r"gone\.mp4"):
        splice([piece(path, 0.0, 0.5), gone], out, media.SIZE)
    assert (out.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (b"old", ["reel.mp4"])
    with pytest.raises(MediaError) as caught:
        splice([piece(path, 0.0, 0.5)], tmp_path / "none" / "reel.mp4", media.SIZE)
    assert caught.value.code == "media.not_written"


def test_beyond_the_end_it_ends(shelf: media.Shelf, tmp_path: Path) -> None:
    (laid,) = splice([piece(shelf.get("cfr.mp4"), 1.5, 99.0)], tmp_path / "reel.mp4", media.SIZE)
    assert laid.end_s == pytest.approx(0.5)
    assert np.diff(probe(tmp_path / "reel.mp4").pts).min() > 0
