from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import media
from framehouse.errors import ConfigError
from framehouse.render.annotate import Marks, Painter
from framehouse.render.compose import Written, changed_pictures, compose
from framehouse.render.overlay import Inferred, class_colour
from framehouse.results.records.boxes import Detections
from framehouse.results.records.gazes import Gazes
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe
from framehouse.video.sampling import plan_frames

BOX = (64.0, 60.0, 40.0, 30.0)


def rows(frames: list[int], class_id: int = 3, box: tuple[float, ...] = BOX) -> Detections:
    n = len(frames)
    return Detections(
        np.array(frames, np.int64),
        np.full(n, class_id, np.int32),
        np.array(["thing"] * n, np.object_),
        np.full(n, 0.5, np.float32),
        np.tile(np.array(box, np.float32), (n, 1)),
    )


def inferred(index: VideoIndex, gaps: tuple[int, ...] = (), drawn: int = 3) -> Inferred:
    """Every planned frame at 5 a second; the first `drawn` of them with one box."""
    plan = plan_frames(index, None)
    loaded = ~np.isin(plan.frame_offset, gaps)
    return Inferred(plan.frame_offset, plan.pts, loaded, rows(plan.frame_offset[:drawn].tolist()))


def annotated_pictures(source: Path, index: VideoIndex, seen: Inferred) -> list[tuple[int, media.Picture]]:
    found = changed_pictures(source, index, [Marks(index, seen)])
    return [(pts, picture) for _, pts, picture in found if picture is not None]


def annotate(source: Path, index: VideoIndex, seen: Inferred, out: Path, **options: Any) -> Written:
    return compose(source, index, [Marks(index, seen)], out, **options)


def times(index: VideoIndex) -> list[float]:
    return [float(pts * index.stream.time_base) for pts in index.pts.tolist()]


@pytest.mark.parametrize("name", ["cfr.mp4", "vfr.mkv", "turned_90.mp4", "odd_size.mp4", "sound.mp4", "one_frame.mp4"])
def test_timing_size_and_pictures_of_the_source_are_kept(tmp_path: Path, name: str) -> None:
    source = media.write(tmp_path, media.RECIPES[name])
    index = probe(source)
    out = tmp_path / "out é.mp4"
    told: list[int] = []
    assert annotate(source, index, inferred(index, drawn=0), out, progress=told.append) == Written(index.n_frames, ())
    copy = probe(out)
    assert times(copy) == pytest.approx(times(index), abs=0.001)
    assert told == list(range(1, index.n_frames + 1))
    even = tuple(side + side % 2 for side in index.stream.size)
    assert (copy.stream.size, copy.stream.rotation_deg) == (even, 0)
    nothing = Inferred(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), Detections.empty())
    seen = [media.read_frame_number(picture) for _, picture in annotated_pictures(out, copy, nothing)]
    assert seen == list(range(index.n_frames))


def test_boxes_stand_until_the_next_inferred_frame_is_nearer(tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])  # 30 fps, planned 0, 6, 12 …: boxes at 0, 6 and 12
    index = probe(source)
    plain = dict(annotated_pictures(source, index, inferred(index, drawn=0)))
    drawn = dict(annotated_pictures(source, index, inferred(index)))
    changed = [n for n, pts in enumerate(index.pts.tolist()) if (plain[pts] != drawn[pts]).any()]
    assert changed == list(range(16))  # 15 is as near to 12 as to 18: a tie takes the earlier


def test_a_gap_is_marked_and_shows_no_box(tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    index = probe(source)
    plain = dict(annotated_pictures(source, index, inferred(index, drawn=0)))
    marked = dict(annotated_pictures(source, index, inferred(index, gaps=(6,))))
    pts = int(index.pts[6])
    different = (plain[pts] != marked[pts]).any(axis=2)
    assert different.any()
    box_top = int(BOX[1] - BOX[3] / 2)
    assert not different[:box_top].any()


def test_the_box_has_the_colour_of_its_class_and_the_place_of_its_row() -> None:
    found = rows([0], class_id=7, box=(40, 60, 20, 10))
    picture = np.zeros((96, 128, 3), np.uint8)
    Painter((128, 96), found.class_id).draw(picture, found)
    assert tuple(picture[60, 30].tolist()) == class_colour(7)
    assert tuple(picture[60, 50].tolist()) == class_colour(7)
    assert tuple(picture[65, 40].tolist()) == class_colour(7)
    assert picture[60, 40].tolist() == [0, 0, 0]
    assert picture[60, 60:].sum() == 0


@pytest.mark.parametrize("box", [(5, 2, 10, 4), (123, 94, 10, 4), (64, 48, 128, 96), (64, 48, 0, 0)])
def test_a_label_stays_in_the_picture(box: tuple[float, ...]) -> None:
    found = rows([0], box=box)
    picture = np.zeros((96, 128, 3), np.uint8)
    Painter((128, 96), found.class_id).draw(picture, found)
    filled = (picture == class_colour(3)).all(axis=2)
    assert filled.sum() > 200  # the label's ground, not the box's line alone


@pytest.mark.parametrize("name", ["source itself", "out.avi", "no suffix"])
def test_outputs_that_are_refused(tmp_path: Path, name: str) -> None:
    source = media.write(tmp_path, media.RECIPES["one_frame.mp4"])
    before = source.read_bytes()
    index = probe(source)
    out = source if name == "source itself" else tmp_path / name
    with pytest.raises(ConfigError) as caught:
        annotate(source, index, inferred(index), out)
    assert caught.value.code == "config.output"
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_a_failure_midway_leaves_no_file(tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    index = probe(source)

    def fail(n_frames: int) -> None:
        if n_frames == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate(source, index, inferred(index), tmp_path / "out.mp4", progress=fail)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_frames_that_do_not_decode_are_left_out_and_the_rest_keeps_its_time(tmp_path: Path) -> None:
    whole = media.write(tmp_path, media.RECIPES["mpeg4.avi"])
    source = media.damaged_packet(whole, 25)
    index = probe(source)
    out = tmp_path / "out.mp4"
    written = annotate(source, index, inferred(index), out)
    assert 25 in written.left_out
    assert written.n_frames + len(written.left_out) == index.n_frames
    assert set(np.round(times(probe(out)), 2)) <= set(np.round(times(index), 2))


def test_other_kinds_are_drawn_with_their_own_marks(tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    index = probe(source)
    plan = plan_frames(index, None)
    angle = np.array([-0.8], np.float32)
    look = Gazes(
        plan.frame_offset[:1], np.array([0.9], np.float32), np.array([BOX], np.float32),
        np.full((1, 6, 2), 60.0, np.float32), angle, np.zeros(1, np.float32),
    )  # fmt: skip
    loaded = np.ones(len(plan.frame_offset), np.bool_)
    plain = dict(annotated_pictures(source, index, Inferred(plan.frame_offset, plan.pts, loaded, Gazes.empty())))
    drawn = dict(annotated_pictures(source, index, Inferred(plan.frame_offset, plan.pts, loaded, look)))
    changed = [(drawn[pts] != plain[pts]).any() for pts in index.pts.tolist()]
    assert changed[:3] == [True] * 3, "the look stands until the next inferred frame is nearer"
    assert not any(changed[4:])
    assert (drawn[int(index.pts[0])] != plain[int(index.pts[0])])[55:66, 62:85].any(), "an arrow to the right"
