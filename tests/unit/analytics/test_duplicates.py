"""Near-duplicates by prints: copies, shifted and shared stretches are found; other videos and still cameras are not."""

from __future__ import annotations

import numpy as np
import pytest

from framehouse.analytics.duplicates import candidates, covered, matches
from framehouse.video.prints import Prints, print_bits

RNG = np.random.default_rng(5)
STEP_S = 0.2


def scenery(n: int, seed: int, *, moving: bool = True, noise: float = 3.0) -> np.ndarray:
    """Pictures float32 [N, 64, 64] that change slowly, as a moving camera sees them; or stand still but for noise."""
    rng = np.random.default_rng(seed)
    wide = np.kron(rng.uniform(0, 255, (12, 12 + n)), np.ones((8, 8))).astype(np.float32)
    pictures = [wide[:64, (4 * i if moving else 0) : (4 * i if moving else 0) + 64] for i in range(n)]
    return np.stack(pictures) + rng.normal(0, noise, (n, 64, 64)).astype(np.float32)


def printed(pictures: np.ndarray, start_s: float = 0.0) -> Prints:
    coarse, fine = print_bits(pictures.astype(np.float32))
    n = len(pictures)
    plain = pictures.std(axis=(1, 2)) < 4
    return Prints(np.arange(n, dtype=np.int64) * 6, start_s + np.arange(n) * STEP_S, coarse, fine, plain)


def worse(pictures: np.ndarray, seed: int = 9) -> np.ndarray:
    """As another encoding leaves them: darker, less contrast, noise."""
    return pictures * 0.8 - 10 + np.random.default_rng(seed).normal(0, 6, pictures.shape)


WHOLE = scenery(60, 1)
OTHER = scenery(60, 2)
BLACK = np.zeros_like(WHOLE)


def test_a_copy_is_found_from_end_to_end() -> None:
    (match,) = matches(printed(WHOLE), printed(worse(WHOLE)))
    assert (match.start_s, match.other_start_s) == (0, 0)
    assert match.end_s == pytest.approx(12)
    assert match.similarity > 0.85 and not match.still
    assert covered([match], 12.0) == pytest.approx(1)


def test_a_trimmed_copy_lies_where_it_was_cut() -> None:
    (match,) = matches(printed(worse(WHOLE[20:45])), printed(WHOLE))
    assert (match.start_s, match.end_s) == (0, pytest.approx(5))
    assert (match.other_start_s, match.other_end_s) == (pytest.approx(4), pytest.approx(9))
    back = match.turned()
    assert (back.start_s, back.other_start_s) == (match.other_start_s, match.start_s)


def test_stretches_in_another_order_are_each_found() -> None:
    cut = np.concatenate([worse(WHOLE[40:60]), OTHER[:15], worse(WHOLE[0:20])])
    found = matches(printed(cut), printed(WHOLE))
    assert [(round(m.start_s, 1), round(m.other_start_s, 1)) for m in found] == [(0.0, 8.0), (7.0, 0.0)]
    assert found[0].end_s == pytest.approx(4) and found[1].end_s == pytest.approx(11)


@pytest.mark.parametrize(
    ("one", "other"),
    [(WHOLE, OTHER), (WHOLE[:0], WHOLE), (WHOLE[:1], WHOLE), (WHOLE[:5], WHOLE), (BLACK, BLACK)],
    ids=["different", "nothing", "one frame", "one second", "black"],
)  # fmt: skip
def test_what_is_no_duplicate(one: np.ndarray, other: np.ndarray) -> None:
    assert matches(printed(one), printed(other)) == []


def test_a_still_picture_says_so_and_must_be_nearly_equal() -> None:
    still = scenery(40, 3, moving=False, noise=0.5)
    (match,) = matches(printed(still), printed(still + 1))
    assert match.still
    changed = still.copy()
    changed[:, 10:30, 10:30] += 90
    assert matches(printed(still), printed(changed)) == []


def test_a_flicker_does_not_cut_a_stretch() -> None:
    flickering = worse(WHOLE)
    flickering[30:32] = OTHER[30:32]
    (match,) = matches(printed(flickering), printed(WHOLE))
    assert match.end_s == pytest.approx(12)


def test_candidates_are_the_pairs_that_share_a_look() -> None:
    videos = {"b": printed(WHOLE), "a": printed(worse(WHOLE)), "c": printed(OTHER), "d": printed(WHOLE[:0])}
    assert candidates(videos) == [("a", "b")]
    assert candidates({}) == [] == candidates({"a": printed(WHOLE)})
