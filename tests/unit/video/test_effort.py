"""How many frames a decoder goes through for the wanted ones."""

from __future__ import annotations

import numpy as np
import pytest

from framehouse.video.effort import n_passed
from framehouse.video.sampling import FrameChunk


def chunk(first: int, keys: list[int], n: int, *, counted: bool = False) -> FrameChunk:
    is_key = np.isin(np.arange(n), keys)
    packet = np.full(n, -1) if counted else np.arange(n)
    return FrameChunk(first, first, first + n, np.arange(first, first + n), is_key, packet)


@pytest.mark.parametrize(
    ("wanted", "passed"),
    [
        ([], 0),
        ([100], 1),  # a key frame alone
        ([109], 10),  # the whole group for its last frame
        ([103, 105], 6),  # to the last wanted, once
        ([110], 1),  # the next key frame: nothing of the group before
        ([105, 112, 125], 6 + 3 + 6),
        (list(range(100, 130)), 30),
    ],
)
def test_groups_are_passed_from_their_key_frame(wanted: list[int], passed: int) -> None:
    assert n_passed(chunk(100, [0, 10, 20], 30), np.array(wanted, np.int64)) == passed


def test_what_can_only_be_counted_is_decoded_from_the_start_of_the_file() -> None:
    assert n_passed(chunk(100, [0], 30, counted=True), np.array([105])) == 106


def test_a_chunk_that_begins_without_a_key_frame() -> None:
    assert n_passed(chunk(0, [5], 10), np.array([2, 6])) == 3 + 2
