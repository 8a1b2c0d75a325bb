"""What `decode` gives is bit-identical to a full decode, frame by frame, and the pixels say the right number."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import media
from framehouse.errors import MediaError
from framehouse.video.decode import FrameBatch, FrameGap, decode
from framehouse.video.framing import stretched
from framehouse.video.index import Size, VideoIndex
from framehouse.video.probe import probe
from framehouse.video.reader import Reader
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


def sampled(path: Path, index: VideoIndex, fps: Any, size: Size, target_s: float) -> dict[int, media.Picture]:
    """frame_offset -> picture, over all chunks; fails on a gap or a wrong order."""
    plan = plan_frames(index, fps)
    found: dict[int, media.Picture] = {}
    for chunk in chunks(index, target_s=target_s):
        wanted = frames_of_chunk(plan, chunk)
        for result in decode(path, index.stream, chunk, wanted, [stretched(size)], batch_size=4):
            assert isinstance(result, FrameBatch), result
            assert result.pts.tolist() == index.pts[result.frame_offset].tolist()
            found.update(zip(result.frame_offset.tolist(), result.pictures[stretched(size)], strict=True))
    assert list(found) == plan.frame_offset.tolist()
    return found


@pytest.mark.parametrize("target_s", [0.4, 20.0])
@pytest.mark.parametrize("name", media.RECIPES)
def test_same_pixels_as_a_full_decode(shelf: media.Shelf, name: str, target_s: float) -> None:
    path = shelf.get(name)
    index = probe(path)
    size = index.stream.size
    reference = media.every_picture(path, size, index.stream.rotation_deg)
    first_number = 13 if name == "negative_start.mp4" else 0  # the frames before time zero are hidden
    for fps in ("all", Fraction(10), Fraction(3), Fraction(1)):
        for offset, picture in sampled(path, index, fps, size, target_s).items():
            assert np.array_equal(picture, reference[offset]), (fps, offset)
            assert media.read_frame_number(picture) == offset + first_number


def test_every_single_frame_alone(shelf: media.Shelf) -> None:
    for name in ("open_gop.mp4", "bframes.avi", "raw_open_gop.h264", "mpeg2.ts", "hevc_open_gop.mp4"):
        path = shelf.get(name)
        index = probe(path)
        reference = media.every_picture(path, media.SIZE)
        for chunk in chunks(index, target_s=0.4):
            for offset in range(chunk.first_frame, chunk.first_frame + chunk.n_frames):
                (batch,) = decode(path, index.stream, chunk, np.array([offset]), [stretched(media.SIZE)])
                assert isinstance(batch, FrameBatch)
                assert np.array_equal(batch.pictures[stretched(media.SIZE)][0], reference[offset]), (name, offset)


@pytest.mark.parametrize("name", ["edited", "no_start"])
def test_streams_with_odd_ends(shelf: media.Shelf, name: str) -> None:
    path = {
        "edited": lambda: media.with_edit(shelf.get("bframes.mp4"), skipped_s=0.5, kept_s=1.0),
        "no_start": lambda: media.without_start(shelf.get("open_gop.ts"), 0.2, "no_start.ts"),
    }[name]()
    index = probe(path)
    for fps in ("all", Fraction(4)):
        for target_s in (0.3, 20.0):
            found = sampled(path, index, fps, media.SIZE, target_s)
            numbers = {offset: media.read_frame_number(picture) for offset, picture in found.items()}
            first = {"edited": 15, "no_start": 60 - index.n_frames}[name]
            assert numbers == {offset: offset + first for offset in found}


def test_a_clock_that_is_set_back_shifts_no_frame(shelf: media.Shelf) -> None:
    """The last pictures before the break may have lost data, says the demuxer: they are gaps."""
    path = media.backward_clock(shelf.folder)
    index = probe(path)
    n_gaps = 0
    for chunk in chunks(index, target_s=0.3):
        wanted = np.arange(chunk.first_frame, chunk.first_frame + chunk.n_frames)
        for result in decode(path, index.stream, chunk, wanted, [stretched(media.SIZE)]):
            if isinstance(result, FrameGap):
                n_gaps += 1
                assert 25 <= result.frame_offset < 30
            else:
                assert media.read_frame_number(result.pictures[stretched(media.SIZE)][0]) == result.frame_offset[0]
    assert n_gaps <= 3


def test_several_sizes_and_batches_at_once(shelf: media.Shelf) -> None:
    path = shelf.get("turned_90.mp4")
    index = probe(path)
    (chunk,) = chunks(index)
    wanted = np.array([0, 7, 8, 30, 59])
    sizes = [stretched((64, 64)), stretched(media.SIZE), stretched((40, 30))]
    batches = list(decode(path, index.stream, chunk, wanted, sizes, batch_size=2))
    assert [b.frame_offset.tolist() for b in batches if isinstance(b, FrameBatch)] == [[0, 7], [8, 30], [59]]
    for batch in batches:
        assert isinstance(batch, FrameBatch)
        for framing, pictures in batch.pictures.items():
            assert pictures.shape == (len(batch), framing.height, framing.width, 3)
            assert pictures.dtype == np.uint8
            assert pictures.flags.c_contiguous
            assert [media.read_frame_number(p) for p in pictures] == batch.frame_offset.tolist()


def test_nothing_wanted_opens_nothing(shelf: media.Shelf) -> None:
    index = probe(shelf.get("cfr.mp4"))
    assert (
        list(
            decode(Path("/not/there"), index.stream, chunks(index)[0], np.array([], np.int64), [stretched(media.SIZE)])
        )
        == []
    )


def test_a_frame_of_another_chunk_is_refused(shelf: media.Shelf) -> None:
    path = shelf.get("cfr.mp4")
    index = probe(path)
    first, *_ = chunks(index, target_s=0.4)
    with pytest.raises(MediaError, match="not all in chunk"):
        list(decode(path, index.stream, first, np.array([first.n_frames]), [stretched(media.SIZE)]))


def test_closing_the_generator_closes_the_file(shelf: media.Shelf) -> None:
    path = shelf.get("cfr.mp4")
    index = probe(path)
    results = decode(path, index.stream, chunks(index)[0], np.arange(60), [stretched(media.SIZE)])
    next(results)
    assert str(path) in {file.path for file in psutil.Process().open_files()}
    results.close()  # type: ignore[attr-defined]
    assert str(path) not in {file.path for file in psutil.Process().open_files()}


# --- economy ---


@pytest.fixture
def n_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures that the decoder gave, call by call."""
    counts: list[int] = []
    original = Reader.decode

    def counting(self: Reader, *args: Any) -> Any:
        frames = original(self, *args)
        counts.append(len(frames))
        return frames

    monkeypatch.setattr(Reader, "decode", counting)
    return counts


@pytest.mark.parametrize(
    ("name", "wanted", "most"),
    [
        ("bframes.mp4", [0], 1),  # the key frame alone
        ("bframes.mp4", [30], 1),  # the next group without the first
        ("bframes.mp4", [0, 30], 2),
        ("bframes.mp4", [59], 19),  # of 30 in its group: no unreferenced ones
        ("prores.mov", [3, 17], 2),
        ("mpeg2.mkv", [14], 7),  # B frames left out
        ("vp9.webm", [25], 6),  # the rest of a group left out
    ],
)
def test_only_what_is_needed_is_decoded(
    shelf: media.Shelf, n_decoded: list[int], name: str, wanted: list[int], most: int
) -> None:
    path = shelf.get(name)
    index = probe(path)
    (chunk,) = chunks(index)
    results = list(decode(path, index.stream, chunk, np.array(wanted), [stretched(media.SIZE)], batch_size=8))
    assert not any(isinstance(r, FrameGap) for r in results)
    assert 0 < sum(n_decoded) <= most


def test_the_end_of_ten_hours_is_reached_by_seeking(tmp_path: Path, n_decoded: list[int]) -> None:
    path = media.long_static(tmp_path, hours=10)
    index = probe(path)
    assert (index.n_frames, index.rate) == (36000, 1)
    last = chunks(index)[-1]
    (batch,) = decode(path, index.stream, last, np.array([35999]), [stretched(media.SIZE)])
    assert isinstance(batch, FrameBatch)
    assert media.read_frame_number(batch.pictures[stretched(media.SIZE)][0]) == 0
    assert sum(n_decoded) == 1
