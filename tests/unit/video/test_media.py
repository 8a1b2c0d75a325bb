"""The test videos themselves: a picture must say its number, and must refuse when it is not upright."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import media


@pytest.mark.parametrize("size", [(128, 96), (127, 95), (64, 80), (1920, 1080), (40, 40)])
def test_a_picture_says_its_number(size: tuple[int, int]) -> None:
    for number in (0, 1, 5, 1000, 65535):
        assert media.read_frame_number(media.picture(number, size)) == number


def test_neighbours_differ_in_more_than_their_bits() -> None:
    change = np.abs(media.picture(2).astype(int) - media.picture(3))
    assert (change > 0).mean() > 0.5


@pytest.mark.parametrize("turned", [np.fliplr, np.flipud, np.rot90, lambda p: p[:, :, ::-1], np.zeros_like])
def test_a_picture_that_is_not_upright_is_refused(turned: object) -> None:
    with pytest.raises(ValueError, match="marks"):
        media.read_frame_number(turned(media.picture(7)))  # type: ignore[operator]


def test_no_encoder_leaves_us_a_real_time_process(tmp_path: Path) -> None:
    media.write(tmp_path, media.Recipe("priority.mp4", codec="libsvtav1", gop=20, n_frames=2))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
