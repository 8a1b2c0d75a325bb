"""Shared memory regions and the pool that hands them out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from framehouse.errors import InferenceError, TritonUnavailable
from framehouse.inference.regions import SHARED_MEMORY_DIR
from framehouse.inference.shm import Region, RegionPool, room_for

SIZE = 4096


class FakeServer:
    """What a server knows of regions; the same pool runs against a real one in integration/test_triton_client.py."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.reading: set[str] = set()
        self.error: InferenceError | None = None

    def register(self, region: Region) -> None:
        if self.error is not None:
            raise self.error
        self.known.add(region.name)

    def unregister(self, name: str) -> bool:
        if name in self.reading:
            return False
        self.known.discard(name)
        return True


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def pool(server: FakeServer) -> Iterator[RegionPool]:
    made = RegionPool(server.register, server.unregister, max_retired=2)
    yield made
    made.close()


def file_of(region: Region) -> Path:
    return SHARED_MEMORY_DIR / region.name


def taken(pool: RegionPool, size_bytes: int = SIZE) -> Region:
    region = pool.take(size_bytes)
    assert region is not None
    return region


def test_a_region_holds_what_was_put_in() -> None:
    tensors = {"a": np.arange(5, dtype=np.uint8), "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    region = Region(room_for(tensors))
    try:
        offsets = region.fill(tensors)
        content = file_of(region).read_bytes()
        assert file_of(region).stat().st_mode & 0o777 == 0o600
    finally:
        region.discard()
    assert np.array_equal(np.frombuffer(content, np.uint8, 5, offsets["a"]), tensors["a"])
    assert np.array_equal(np.frombuffer(content, np.float32, 6, offsets["b"]).reshape(2, 3), tensors["b"])
    assert not file_of(region).exists()


def test_a_strided_picture_is_copied_in_order() -> None:
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)[:, ::2]
    region = Region(SIZE)
    try:
        region.fill({"a": picture})
        assert file_of(region).read_bytes()[:32] == picture.tobytes()
    finally:
        region.discard()


def test_too_much_does_not_fit() -> None:
    region = Region(SIZE)
    try:
        with pytest.raises(ValueError, match="do not fit"):
            region.fill({"a": np.zeros(SIZE - 10, np.uint8), "b": np.zeros(SIZE, np.uint8)})
    finally:
        region.discard()


def test_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"."):
        Region(1 << 62, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_room_means_bytes(pool: RegionPool) -> None:
    assert pool.take(1 << 62) is None


def test_a_region_given_back_is_used_again(pool: RegionPool, server: FakeServer) -> None:
    first = taken(pool)
    second = taken(pool)
    assert first.name != second.name
    pool.give_back(first)
    assert taken(pool) is first
    assert server.known == {first.name, second.name}


def test_sizes_do_not_mix(pool: RegionPool) -> None:
    small = taken(pool)
    pool.give_back(small)
    assert taken(pool, 2 * SIZE).size_bytes == 2 * SIZE


def test_a_retired_region_is_never_filled_again(pool: RegionPool, server: FakeServer) -> None:
    region = taken(pool)
    server.reading.add(region.name)
    pool.retire(region)
    assert not file_of(region).exists()
    assert taken(pool).name != region.name
    assert pool.n_retired == 1
    server.reading.clear()
    assert taken(pool).name != region.name
    assert (pool.n_retired, region.name in server.known) == (0, False)


def test_many_retired_regions_mean_bytes_until_the_server_lets_go(pool: RegionPool, server: FakeServer) -> None:
    for _ in range(3):
        region = taken(pool)
        server.reading.add(region.name)
        pool.retire(region)
    assert pool.take(SIZE) is None
    server.reading.clear()
    assert pool.take(SIZE) is not None


def test_a_restarted_server_is_told_again(pool: RegionPool, server: FakeServer) -> None:
    free, reading = taken(pool), taken(pool)
    server.reading.add(reading.name)
    pool.retire(reading)
    pool.give_back(free)
    server.known.clear()
    pool.forget_server()
    assert pool.n_retired == 0
    assert taken(pool) is free
    assert server.known == {free.name}


def test_a_refusal_means_bytes_and_a_dead_server_is_an_error(pool: RegionPool, server: FakeServer) -> None:
    server.error = InferenceError("Unable to open shared memory region")
    assert pool.take(SIZE) is None
    server.error = TritonUnavailable("gone")
    with pytest.raises(TritonUnavailable):
        pool.take(SIZE)


def test_close_unlinks_everything_and_names_what_the_server_has(pool: RegionPool) -> None:
    free, out = taken(pool), taken(pool)
    pool.give_back(free)
    assert pool.close() == sorted([free.name, out.name])
    assert not file_of(free).exists() and not file_of(out).exists()
    pool.give_back(out)
    assert taken(pool) is not out


@pytest.mark.parametrize(
    ("shapes", "expected"), [((), 4096), (((10,),), 4096), (((4096,),), 4096), (((4000,), (90,)), 8192)]
)
def test_room(shapes: tuple[tuple[int, ...], ...], expected: int) -> None:
    assert room_for({str(i): np.zeros(shape, np.uint8) for i, shape in enumerate(shapes)}) == expected
