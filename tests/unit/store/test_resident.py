"""Embeddings kept in memory give the moments that the database gives, and follow the published snapshot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from framehouse.errors import QueryRejected
from framehouse.results.lake import Lake
from framehouse.store import resident
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.search import Moment, Place, vector_moments
from kind_rows import DIMENSIONS
from lakes import put_part, video, video_name

DIGEST = "e" * 32
FRAMES = {0: range(0, 120, 2), 1: [0, 2, 4, 30, 32, 60], 2: [7]}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    for number, frames in FRAMES.items():
        lake.add_video(video(number))
        put_part(lake, frames, number=number, kind="embeddings", model_id="clip/1", digest=DIGEST,
                 gaps={4: "decode.failed"} if number == 0 else {})  # fmt: skip
    publish(tmp_path, lake, [0, 1, 2])
    return lake


def publish(root: Path, lake: Lake, numbers: list[int], kind: str = "parts") -> None:
    """Load the embeddings of videos, or forget them."""
    with Publisher(root / "store", lake) as publisher:
        first = publisher.published_seq + 1
        entries = [
            LoadEntry(first + i, "parts" if kind == "parts" else "forget", video_name(n), DIGEST)
            for i, n in enumerate(numbers)
        ]
        publisher.publish(entries)


def both(place: Place, vector: np.ndarray, top: int) -> tuple[list[Moment], list[Moment]]:
    """(from memory, from the database)."""
    return tuple(vector_moments(replace(place, resident=way), vector, DIGEST, top) for way in (True, False))  # type: ignore[return-value]


def assert_same(place: Place, vector: np.ndarray, top: int) -> None:
    mine, theirs = both(place, vector, top)
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert replace(one, score=0.0) == replace(other, score=0.0)
        assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize("top", [1, 2, 5, 50])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_moments_as_the_database(tmp_path: Path, lake: Lake, seed: int, top: int) -> None:
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
    assert_same(Place(tmp_path / "store"), vector, top)
    assert_same(Place(tmp_path / "store", (video_name(1), "v_none")), vector, top)


def test_newer_loads_and_forgotten_videos_are_seen(tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    place, vector = Place(tmp_path / "store"), np.ones(DIMENSIONS, np.float32)
    assert_same(place, vector, 50)
    read: list[str] = []
    plain = resident._read_frames
    monkeypatch.setattr(
        resident, "_read_frames", lambda c, name, digest: (read.append(name), plain(c, name, digest))[1]
    )
    put_part(lake, range(200, 260, 2), number=1, kind="embeddings", model_id="clip/1", digest=DIGEST,
             chunk_id="c000000200")  # fmt: skip
    publish(tmp_path, lake, [1])
    assert_same(place, vector, 50)
    assert read == [video_name(1)], "only what was loaded since is read"
    publish(tmp_path, lake, [0], "forget")
    assert_same(place, vector, 50)
    assert video_name(0) not in {one.video_id for one in both(place, vector, 50)[0]}


def test_a_vector_of_another_length_is_named(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(QueryRejected, match="another length"):
        both(Place(tmp_path / "store"), np.ones(DIMENSIONS + 1, np.float32), 5)


def test_nothing_is_like_a_vector_without_length_and_no_model_has_no_moments(tmp_path: Path, lake: Lake) -> None:
    place = Place(tmp_path / "store", resident=True)
    assert vector_moments(place, np.zeros(DIMENSIONS, np.float32), DIGEST, 5) == []
    assert vector_moments(place, np.ones(DIMENSIONS, np.float32), "f" * 32, 5) == []


def test_too_much_for_memory_is_left_to_the_database(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "MOST_BYTES", 100)
    vector = np.ones(DIMENSIONS, np.float32)
    assert resident.resident_moments(tmp_path / "store", vector, DIGEST, 5) is None
    assert_same(Place(tmp_path / "store"), vector, 5)
