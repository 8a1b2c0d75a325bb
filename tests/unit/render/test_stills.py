"""A still is exactly the frame that was asked for, at its own size or smaller."""

from __future__ import annotations

import numpy as np
import pytest

import media
from framehouse.errors import MediaError
from framehouse.render.stills import as_jpeg, frame_at, still
from framehouse.video.pictures import read_still
from framehouse.video.probe import probe


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


@pytest.mark.parametrize(
    "name", ["open_gop.mp4", "vfr.mkv", "turned_90.mp4", "odd_size.mkv", "bframes.avi", "raw.h264"]
)
def test_every_frame_is_the_one_that_was_asked_for(shelf: media.Shelf, name: str) -> None:
    path = shelf.get(name)
    index = probe(path)
    for offset in (0, 1, 17, 31, index.n_frames - 1):
        picture = still(path, index, offset)
        assert media.read_frame_number(picture) == offset
        assert (picture.shape[1], picture.shape[0]) == index.stream.size


def test_a_still_is_the_same_picture_as_a_plain_full_decode_gives(shelf: media.Shelf) -> None:
    path = shelf.get("open_gop.mp4")
    index = probe(path)
    plain = media.every_picture(path, index.stream.size)
    assert (still(path, index, 29) == plain[29]).all()


def test_a_smaller_one_keeps_its_shape_and_is_never_larger(shelf: media.Shelf) -> None:
    path = shelf.get("turned_90.mp4")
    index = probe(path)
    assert still(path, index, 5, side=64).shape == (48, 64, 3)
    assert still(path, index, 5, side=4000).shape == (96, 128, 3)
    assert media.read_frame_number(still(path, index, 5, side=64)) == 5


@pytest.mark.parametrize("offset", [-1, 60, 10**9])
def test_no_such_frame(shelf: media.Shelf, offset: int) -> None:
    path = shelf.get("cfr.mp4")
    with pytest.raises(MediaError) as caught:
        still(path, probe(path), offset)
    assert caught.value.code == "media.no_such_frame"


def test_a_damaged_frame_is_no_other_frame(shelf: media.Shelf) -> None:
    path = media.damaged_packet(shelf.get("mpeg4.avi"), 25)
    index = probe(path)
    with pytest.raises(MediaError) as caught:
        still(path, index, 25)
    assert caught.value.code == "media.frame_gap"


def test_the_frame_at_a_time(shelf: media.Shelf) -> None:
    index = probe(shelf.get("vfr.mp4"))
    seconds = (index.pts - index.pts[0]) * float(index.stream.time_base)
    assert [frame_at(index, float(second)) for second in seconds] == list(range(index.n_frames))
    assert (frame_at(index, -5.0), frame_at(index, 1e6)) == (0, index.n_frames - 1)


def test_a_jpeg_says_nothing_but_the_picture() -> None:
    data = as_jpeg(media.picture(77))
    assert (data[:3], b"Exif" in data, b"Lavc" in data) == (b"\xff\xd8\xff", False, False)
    assert media.read_frame_number(np.asarray(read_still(data))) == 77
