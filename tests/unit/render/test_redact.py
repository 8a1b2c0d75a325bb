"""What is covered cannot be recognised in any frame, the rest is left alone, and what nobody saw is covered whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import media
from framehouse.errors import ConfigError
from framehouse.render.audit import as_csv, as_json, entries
from framehouse.render.compose import changed_pictures, compose
from framehouse.render.obscure import STYLES, Style, cells, obscure
from framehouse.render.redact import NEVER_RAN, Redaction, Redactor, Source, Wish, plan_redaction
from framehouse.render.regions import Growth, Samples
from framehouse.render.tracklets import Sightings
from framehouse.results.contract import time_offsets_s
from framehouse.results.masks import encode
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe

SIZE = (320, 240)
N_FRAMES, RATE, STEP = 60, 30, 6
SIDE = 48


def place(frame: int) -> tuple[int, int]:
    """Left and top of the thing: it comes in at frame 12, runs to the right, turns, and is gone from frame 49 on."""
    swing = 1.0 - abs((frame - 30) / 20.0)
    return 20 + round(130 * max(swing, 0.0)), 90 + frame // 2


def is_there(frame: int) -> bool:
    return 12 <= frame < 49


def _checks(seed: int, height: int, width: int) -> media.Picture:
    noise = np.random.default_rng(seed).integers(0, 2, (height // 4 + 1, width // 4 + 1, 3)) * 200 + 25
    return np.kron(noise, np.ones((4, 4, 1)))[:height, :width].astype(np.uint8)


GROUND = np.repeat((_checks(1, SIZE[1], SIZE[0]) // 3 + 60)[:, :, :1], 3, axis=2).astype(np.uint8)
THING = _checks(2, SIDE, SIDE)
"""A pattern of many contrasts: what is left of it can be measured."""


def scene(frame: int) -> media.Picture:
    picture = GROUND.copy()
    if is_there(frame):
        left, top = place(frame)
        picture[top : top + SIDE, left : left + SIDE] = THING
    return picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "thing.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "10", "preset": "veryfast", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv444p"
        stream.codec_context.thread_count = 1
        for i in range(N_FRAMES):
            frame = av.VideoFrame.from_ndarray(scene(i), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def index(clip: Path) -> VideoIndex:
    return probe(clip)


def seconds(index: VideoIndex) -> np.ndarray:
    return time_offsets_s(index.pts, int(index.pts[0]), index.stream.time_base)


def seen_in(frames: Sequence[int], masks: bool = False) -> Sightings:
    at = [frame for frame in frames if is_there(frame)]
    boxes = np.array([(x, y, x + SIDE, y + SIDE) for x, y in map(place, at)], np.float32).reshape(-1, 4)
    outlines = ["" for _ in at]
    if masks:
        for i, frame in enumerate(at):
            left, top = place(frame)
            mask = np.zeros((SIZE[1], SIZE[0]), np.bool_)
            mask[top : top + SIDE, left : left + SIDE] = True
            outlines[i] = encode(mask)
    return Sightings(np.array(at, np.int64), boxes, np.full(len(at), 0.3, np.float32), np.array(outlines, np.object_))


def source(asked: Sequence[int] = range(0, N_FRAMES, STEP), gaps: Sequence[int] = (), masks: bool = False) -> Source:
    frames = np.array(asked, np.int64)
    loaded = ~np.isin(frames, gaps)
    reasons = np.where(loaded, "", "decode.damaged").astype(np.object_)
    seen = seen_in([int(frame) for frame in frames[loaded]], masks)
    return Source("detector/1", "d" * 32, seen, Samples(frames, loaded, reasons))


def plan(index: VideoIndex, *sources: Source, style: Style = "pixelate", shape: str = "box") -> Redaction:
    wish = Wish("thing", style, sources)
    return plan_redaction([wish], seconds(index), SIZE, growth=Growth(), shape=shape)  # type: ignore[arg-type]


def likeness(picture: media.Picture, frame: int) -> float:
    """How much of the thing's pattern is left where it is: correlation of all its pixels, -1..1."""
    left, top = place(frame)
    there = picture[top : top + SIDE, left : left + SIDE].astype(float)
    there, pattern = there - there.mean(axis=(0, 1)), THING - THING.mean(axis=(0, 1))
    return float((there * pattern).sum() / (np.sqrt((there**2).sum() * (pattern**2).sum()) + 1e-9))


def contrast(picture: media.Picture, frame: int) -> float:
    """Mean step between pixels four apart, where the thing is: 0..255."""
    left, top = place(frame)
    there = picture[top : top + SIDE, left : left + SIDE].astype(float)
    return float(np.abs(there[4:] - there[:-4]).mean() + np.abs(there[:, 4:] - there[:, :-4]).mean()) / 2


def near(frame: int, room: int) -> np.ndarray:
    """bool [height, width]: within some pixels of the way of the thing, from half a second before to after."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    for other in range(max(12, frame - 20), min(48, frame + 20) + 1):
        left, top = place(other)
        mask[max(0, top - room) : top + SIDE + room, max(0, left - room) : left + SIDE + room] = True
    return mask


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", ["box", "mask"])
def test_it_is_unrecognisable_in_every_frame_and_the_rest_is_left_alone(
    clip: Path, index: VideoIndex, tmp_path: Path, style: Style, shape: str
) -> None:
    redaction = plan(index, source(masks=shape == "mask"), style=style, shape=shape)
    out = tmp_path / "out.mp4"
    compose(clip, index, [Redactor(redaction, SIZE)], out)
    before = {frame: picture for frame, _, picture in changed_pictures(clip, index, [])}
    copy = probe(out)
    after = {frame: picture for frame, _, picture in changed_pictures(out, copy, [])}
    assert (copy.pts * copy.stream.time_base == index.pts * index.stream.time_base).all()
    assert not redaction.whole.any()
    for frame in range(N_FRAMES):
        picture, original = after[frame], before[frame]
        assert picture is not None
        assert original is not None
        if is_there(frame):
            assert likeness(original, frame) > 0.95, "the measure sees it where it is not covered"
            assert abs(likeness(picture, frame)) < 0.35, frame
            assert contrast(picture, frame) < 0.15 * contrast(original, frame), frame
        untouched = ~near(frame, 60)
        assert untouched.sum() > 8000
        assert np.abs(picture.astype(int) - original)[untouched].mean() < 4, frame


def test_a_gap_is_covered_whole_from_sample_to_sample(index: VideoIndex, clip: Path) -> None:
    redaction = plan(index, source(gaps=(30,)))
    assert np.flatnonzero(redaction.whole).tolist() == list(range(25, 36))
    assert [(lost.first_frame, lost.last_frame, lost.why) for lost in redaction.lost] == [(25, 35, "decode.damaged")]
    pictures = {frame: picture for frame, _, picture in changed_pictures(clip, index, [Redactor(redaction, SIZE)])}
    for frame in range(25, 36):
        picture = pictures[frame]
        assert picture is not None
        upper = picture[: SIZE[1] - 40].astype(float)  # below stands what it is
        assert np.abs(upper[4:] - upper[:-4]).mean() < 3, "nothing is left of the ground's pattern either"


@pytest.mark.parametrize(
    ("sources", "whole", "why"),
    [
        ((), range(60), NEVER_RAN),
        ((source([]),), range(60), "not inferred"),
        ((source([*range(0, 19, STEP), *range(42, 60, STEP)]),), range(19, 42), "not inferred"),
        ((source(range(0, 31, STEP)),), range(38, 60), "not inferred"),
        ((source(range(30, 60, STEP)),), range(23), "not inferred"),
        ((source(range(0, 31, STEP)), source(range(30, 60, STEP))), (), ""),
    ],
)
def test_what_nobody_looked_at_is_covered_whole(
    index: VideoIndex, sources: tuple[Source, ...], whole: Sequence[int], why: str
) -> None:
    redaction = plan(index, *sources)
    assert np.flatnonzero(redaction.whole).tolist() == list(whole)
    assert {lost.why for lost in redaction.lost} == ({why} if why else set())


def test_one_class_that_no_model_knows_covers_all(index: VideoIndex) -> None:
    both = [Wish("thing", "pixelate", (source(),)), Wish("text", "solid", ())]
    redaction = plan_redaction(both, seconds(index), SIZE, growth=Growth())
    assert redaction.whole.all()
    assert redaction.whole_style == "solid"


def test_nothing_named_is_refused(index: VideoIndex) -> None:
    with pytest.raises(ConfigError):
        plan_redaction([], seconds(index), SIZE, growth=Growth())


# --- pixels ---


@pytest.mark.parametrize("style", ["pixelate", "blur"])
@pytest.mark.parametrize("side", [9, 40, 200])
def test_a_handful_of_colours_is_all_that_is_left(style: Style, side: int) -> None:
    one = np.random.default_rng(3).integers(0, 255, (side, side, 3)).astype(np.uint8)
    few = cells(side, side)
    assert max(few) <= 4
    # another picture with the same means gives the same: nothing but the means is kept
    rows, columns = [np.minimum(np.arange(side) * n // side, n - 1) for n in few[::-1]]
    if side % few[0] == 0:
        block = side // few[0]
        means = one.reshape(few[1], block, few[0], block, 3).mean(axis=(1, 3))
        flat = np.rint(means[rows][:, columns]).astype(np.uint8)
        box = np.array([0, 0, side, side])
        covered, other = one.copy(), flat.copy()
        obscure(covered, box, style)
        obscure(other, box, style)
        assert np.abs(covered.astype(int) - other).max() <= 2
    else:
        covered = one.copy()
        obscure(covered, np.array([0, 0, side, side]), style)
        assert covered.std() < one.std() / 2


def test_only_the_box_is_touched_and_solid_is_solid() -> None:
    picture = scene(20)
    obscure(picture, np.array([10, 20, 60, 90]), "solid")
    assert len(np.unique(picture[20:90, 10:60].reshape(-1, 3), axis=0)) == 1
    picture[20:90, 10:60] = scene(20)[20:90, 10:60]
    assert (picture == scene(20)).all()


# --- the list ---


def test_the_list_says_what_was_covered_and_why(index: VideoIndex) -> None:
    redaction = plan(index, source(gaps=(30,)))
    found = entries(redaction, seconds(index), SIZE, left_out=(3,))
    assert [(e.first_frame, e.last_frame, e.what, e.why) for e in found] == [
        (0, 11, "thing", "before the first sighting"),
        (3, 3, "", "does not decode: left out"),
        (12, 48, "thing", "seen, and between sightings"),
        (25, 35, "thing", "decode.damaged"),
        (49, 59, "thing", "after the last sighting"),
    ]
    whole, seen = found[3], found[2]
    assert (whole.is_whole, whole.left, whole.top, whole.right, whole.bottom) == (True, 0, 0, *SIZE)
    assert (seen.start_s, seen.end_s, seen.n_seen, seen.model_id) == (0.4, round(49 / 30, 4), 6, "detector/1")
    assert (seen.left <= 34, seen.right >= 159) == (True, True)
    document = json.loads(as_json({"video_id": "v_1"}, found))
    assert (document["video_id"], len(document["entries"])) == ("v_1", 5)
    lines = as_csv(found).splitlines()
    assert (lines[0].split(",")[:5], len(lines)) == (["first_frame", "last_frame", "start_s", "end_s", "what"], 6)
