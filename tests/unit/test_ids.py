from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse import ids

MIB = 1024 * 1024


@pytest.mark.parametrize("n_bytes", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1])
def test_content_sha256_is_that_of_all_bytes(tmp_path: Path, n_bytes: int) -> None:
    content = (b"framehouse" * (n_bytes // 10 + 1))[:n_bytes]
    file = tmp_path / "a b ü.mp4"
    file.write_bytes(content)
    assert ids.content_sha256(file) == hashlib.sha256(content).hexdigest()


def test_video_id_takes_the_content_alone() -> None:
    assert ids.video_id("0123456789abcdef" * 4) == "v_0123456789abcdef01234567"


def test_job_ids_are_stable_in_form() -> None:
    assert ids.new_job_id(0.0, 0) == "j_" + "0" * 20
    assert ids.new_job_id(1_700_000_000.123, (1 << 50) - 1) == "j_01hf7yat3vzzzzzzzzzz"


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=8))
def test_job_ids_sort_by_time(times: list[float]) -> None:
    by_time = [ids.new_job_id(second, 0) for second in sorted(times)]
    assert by_time == sorted(by_time)


def test_job_ids_are_new_each_time_and_safe_in_a_url() -> None:
    made = {ids.new_job_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"j_[0-9a-hjkmnp-tv-z]{20}", job_id) for job_id in made)


def offsets(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def flags(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.bool_)


def test_instants_digest_is_part_of_the_storage_format() -> None:
    """These digests name files on disk: a change here makes every stored part a stranger."""
    assert ids.instants_digest(offsets(), flags()) == "e3b0c44298fc1c14"
    assert ids.instants_digest(offsets(0, 6, 12), flags(1, 1, 1)) == expected([0, 6, 12], [1, 1, 1])


def expected(frame_offset: list[int], loaded: list[int]) -> str:
    content = b"".join(value.to_bytes(8, "little") for value in frame_offset) + bytes(loaded)
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(
    ("frame_offset", "loaded"),
    [
        (offsets(0, 6), flags(1, 1)),
        (offsets(0, 6, 12), flags(1, 1, 0)),
        (offsets(0, 6, 13), flags(1, 1, 1)),
        (offsets(), flags()),
    ],
)
def test_instants_digest_differs_by_instant_and_by_status(frame_offset: np.ndarray, loaded: np.ndarray) -> None:
    assert ids.instants_digest(frame_offset, loaded) != ids.instants_digest(offsets(0, 6, 12), flags(1, 1, 1))


def test_instants_digest_looks_at_values_not_at_memory() -> None:
    strided = np.arange(20, dtype=np.int64)[::4]
    big_endian = strided.astype(">i8")
    plain = ids.instants_digest(strided.copy(), flags(1, 0, 1, 0, 1))
    assert ids.instants_digest(strided, flags(1, 0, 1, 0, 1)) == plain
    assert ids.instants_digest(big_endian, flags(1, 0, 1, 0, 1)) == plain


pieces = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=16)), max_size=5, unique_by=lambda piece: piece[0])


@given(pieces, st.randoms(use_true_random=False))
def test_model_digest_ignores_order(given_pieces: list[tuple[str, bytes]], random: object) -> None:
    shuffled = [*given_pieces]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ids.model_digest(shuffled) == ids.model_digest(given_pieces)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [("a", b"xy")],
        [("a", b"x"), ("b", b"z")],
        [("a", b"xb"), ("", b"y")],  # the same bytes, cut elsewhere
        [("b", b"x"), ("a", b"y")],  # names swapped
    ],
)
def test_model_digest_tells_models_apart(other: list[tuple[str, bytes]]) -> None:
    one = ids.model_digest([("a", b"x"), ("b", b"y")])
    assert re.fullmatch(r"[0-9a-f]{32}", one)
    assert ids.model_digest(other) != one
