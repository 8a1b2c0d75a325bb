"""Cuts, dissolves and fades of a film whose changes are known; flashes and fast motion are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edits
from edits import Change, Piece, painted
from framehouse.analytics.changes import ChangeRules, changes_of_vectors, find_changes
from framehouse.analytics.shots import SceneRules, tied
from framehouse.video.looks import THUMB, Looks, look_at
from framehouse.video.probe import probe
from framehouse.video.sampling import InferFps

SLACK = 5
"""Frames: one sampled frame at 5 of 25 a second."""


def looked(path: Path, fps: InferFps = "all") -> Looks:
    return look_at(path, probe(path), fps)


def where(looks: Looks, rules: ChangeRules | None = None) -> list[tuple[str, int]]:
    found = find_changes(looks, rules)
    return list(zip(found.kind.tolist(), found.frame_offset.tolist(), strict=True))


def is_near(found: tuple[str, int], change: Change) -> bool:
    first = change.end if change.kind == "cut" else change.first
    return found[0] == change.kind and first - SLACK <= found[1] <= change.end + SLACK


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Looks, list[Change]]:
    """A film with every difficulty once; how well others go is in docs/decisions/0015."""
    frames, changes = edits.film(edits.every_kind(40))
    return looked(edits.write(tmp_path_factory.mktemp("film") / "film.mp4", frames)), changes


def test_every_change_is_found_and_nothing_else(film: tuple[Looks, list[Change]]) -> None:
    looks, changes = film
    found = where(looks)
    assert len(found) == len(changes) == 14
    assert all(is_near(one, change) for one, change in zip(found, changes, strict=True))


def test_cuts_are_exact_to_the_frame(film: tuple[Looks, list[Change]]) -> None:
    looks, changes = film
    assert [at for kind, at in where(looks) if kind == "cut"] == [c.end for c in changes if c.kind == "cut"]


def test_extent_and_order(film: tuple[Looks, list[Change]]) -> None:
    found = find_changes(film[0])
    gradual = found.kind != "cut"
    assert (found.start_s[gradual] < found.at_s[gradual]).all()
    assert (found.at_s[gradual] < found.end_s[gradual]).all()
    assert (found.start_s[~gradual] == found.end_s[~gradual]).all()
    assert (np.diff(found.at_s) > 0).all()
    assert ((found.score > 0) & (found.score <= 1)).all()


def test_the_black_of_a_fade_is_its_moment(film: tuple[Looks, list[Change]]) -> None:
    looks, _ = film
    found = find_changes(looks)
    at = np.searchsorted(looks.frame_offset, found.frame_offset[found.kind == "fade"])
    assert looks.thumbs[at].max() < 16


def test_thresholds_are_parameters(film: tuple[Looks, list[Change]]) -> None:
    looks, _ = film
    none = where(looks, ChangeRules(cut_level=255.0, bend=0.0))
    assert {kind for kind, _ in none} == {"fade"}
    lightning = frames_as_looks([noise(1)] * 30 + [noise(3)] * 8 + [noise(1)] * 30)
    assert where(lightning, ChangeRules(flash_s=0.4)) == []
    assert where(lightning, ChangeRules(flash_s=0.1)) == [("cut", 30), ("cut", 38)]


def frames_as_looks(pictures: list[edits.Picture], **other: object) -> Looks:
    n = len(pictures)
    change = [0.0, *(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(pictures[1:], pictures, strict=False))]
    whole = Looks(
        np.arange(n), np.arange(n) / 25, np.array(pictures, np.uint8).reshape(n, THUMB[1], THUMB[0], 3),
        np.array(change, np.float32), np.full(n, 9.0, np.float32), (), n / 25,
    )  # fmt: skip
    return replace(whole, **other)


def flat(value: int) -> edits.Picture:
    return np.full((THUMB[1], THUMB[0], 3), value, np.uint8)


def noise(seed: int) -> edits.Picture:
    return np.random.default_rng(seed).integers(0, 255, (THUMB[1], THUMB[0], 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([noise(1)], []),
        ([noise(1)] * 40, []),
        ([flat(0)] * 40, []),  # a black video
        ([flat(0)] * 20 + [noise(1)] * 40, []),  # begins in black
        ([noise(1)] * 40 + [flat(0)] * 20, []),
        ([noise(1)] * 30 + [noise(2)] * 30, [("cut", 30)]),
        ([noise(1)] * 30 + [flat(255)] * 2 + [noise(1)] * 30, []),  # a flash
        ([noise(1)] * 30 + [noise(3)] * 3 + [noise(1)] * 30, []),  # lightning, or a damaged picture
        ([noise(1)] * 30 + [noise(3)] * 20 + [noise(1)] * 30, [("cut", 30), ("cut", 50)]),
        ([noise(1)] * 30 + [flat(0)] * 50 + [noise(2)] * 30, [("fade", 55)]),
        ([noise(1)] * 30 + [noise(2)] * 3 + [noise(3)] * 30, [("cut", 30)]),  # two within 0.2 s
    ],
)
def test_small_cases(pictures: list[edits.Picture], expected: list[tuple[str, int]]) -> None:
    assert where(frames_as_looks(pictures)) == expected


def test_no_more_pictures_than_times_pass() -> None:
    from framehouse.errors import MediaError

    with pytest.raises(MediaError, match="differ in length"):
        frames_as_looks([noise(1)] * 3, time_s=np.zeros(2))


def test_shots_and_the_scenes_they_make(tmp_path: Path) -> None:
    a, b, c = painted(61, step=(0.1, 0)), painted(62, step=(0.1, 0)), painted(63, step=(0.1, 0))
    pieces = [
        Piece(a, 40),
        Piece(b, 40),
        Piece(a, 40),
        Piece(b, 40),
        Piece(c, 40, "fade", 10),
        Piece(a, 40, "fade", 10),
    ]
    looks = looked(edits.write(tmp_path / "talk.mp4", edits.film(pieces)[0]))
    changes = find_changes(looks)
    shots = tied(looks, changes, SceneRules())
    assert shots.scene.tolist() == [0, 0, 0, 0, 1, 2]  # back to a, but over a fade
    assert tied(looks, changes, SceneRules(within_s=0.0)).scene.tolist() == [0, 1, 2, 3, 4, 5]
    assert shots.start_s[0] == 0
    assert shots.end_s[-1] == looks.end_s
    assert (shots.start_s[1:] == shots.end_s[:-1]).all()
    assert (shots.first_frame_offset[1:] == shots.last_frame_offset[:-1] + 1).all()


def test_by_vectors_of_sampled_frames() -> None:
    way = np.random.default_rng(1).normal(0, 1, (3, 16))
    vectors = np.concatenate([np.tile(one, (10, 1)) for one in way]).astype(np.float32)
    found = changes_of_vectors(np.arange(30) * 6, np.arange(30) / 5, vectors)
    assert found.frame_offset.tolist() == [60, 120]
    assert len(changes_of_vectors(np.arange(1), np.zeros(1), vectors[:1])) == 0


def test_sampled_looks_find_a_cut_within_one_sampled_frame(tmp_path: Path) -> None:
    from fractions import Fraction

    frames, _ = edits.film([Piece(painted(71), 63), Piece(painted(72), 60)])
    path = edits.write(tmp_path / "sampled.mp4", frames)
    assert where(looked(path, Fraction(5))) == [("cut", 65)]
