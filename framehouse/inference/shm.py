"""System shared memory that a Triton server on the same host can read: one region, and a pool of them."""

from __future__ import annotations

import itertools
import mmap
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import InferenceError
from framehouse.inference.regions import SHARED_MEMORY_DIR, region_prefix

log = structlog.get_logger(__name__)

_ALIGN_BYTES = 64
_counter = itertools.count()


class Region:
    """One mapped region, owned by this process. Not safe for two threads at once."""

    def __init__(self, size_bytes: int, directory: Path = SHARED_MEMORY_DIR) -> None:
        """Make and map a new region; its pages are claimed at once, so that a full disk of memory shows here.

        Raises:
            OSError: no shared memory on this system, or no room in it.
        """
        self.name = f"{region_prefix('input')}{next(_counter)}"
        self.size_bytes = size_bytes
        self._path = directory / self.name
        fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size_bytes)
            self._map = mmap.mmap(fd, size_bytes)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    @property
    def key(self) -> str:
        """What a server hands to `shm_open`."""
        return f"/{self.name}"

    def fill(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, int]:
        """Copy the tensors in, one after the other; returns the offset of each in bytes.

        Raises:
            ValueError: they do not fit (`room_for` says what does).
        """
        offsets: dict[str, int] = {}
        start = 0
        for name, tensor in tensors.items():
            if start + tensor.nbytes > self.size_bytes:
                raise ValueError(f"{name}: {tensor.nbytes} bytes at {start} do not fit {self.size_bytes}")
            np.ndarray(tensor.shape, tensor.dtype, buffer=self._map, offset=start)[...] = tensor
            offsets[name] = start
            start += _aligned(tensor.nbytes)
        return offsets

    def discard(self) -> None:
        """Unlink and unmap; a server that still maps it keeps its view. Twice is fine."""
        self._path.unlink(missing_ok=True)
        self._map.close()


def room_for(tensors: Mapping[str, NDArray[Any]]) -> int:
    """Bytes that a region needs for the tensors: the next power of two, so that regions are used again.

    >>> room_for({"image": np.zeros((1, 512, 512, 3), np.uint8)})
    1048576
    """
    total = sum(_aligned(tensor.nbytes) for tensor in tensors.values())
    return 1 << max(12, (total - 1).bit_length())


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGN_BYTES) * _ALIGN_BYTES


class RegionPool:
    """Regions registered with one server, taken for a request and given back after its answer.

    A region whose request was given up is retired: the server may still read it, and other pixels in it would give
    wrong rows without an error. It is unlinked, never filled again, and its registration is dropped once the server
    lets go.
    Safe for threads.
    """

    def __init__(
        self, register: Callable[[Region], None], unregister: Callable[[str], bool], *, max_retired: int
    ) -> None:
        """Start empty.

        Args:
            register: makes the region known to the server, or raises; blocks.
            unregister: True when the server no longer reads the named region, False when it still does; blocks.
            max_retired: with more regions retired, `take` gives none.
        """
        self._register = register
        self._unregister = unregister
        self._max_retired = max_retired
        self._lock = threading.Lock()
        self._free: dict[int, list[Region]] = {}
        self._all: dict[str, Region] = {}
        self._registered: set[str] = set()
        self._retired: set[str] = set()

    def take(self, size_bytes: int) -> Region | None:
        """A registered region of that size; None when memory is short or too many are retired: send bytes then.

        Raises:
            InferenceError: whatever `register` and `unregister` raise.
        """
        self._reap()
        with self._lock:
            if len(self._retired) > self._max_retired:
                return None
            free = self._free.get(size_bytes)
            region = free.pop() if free else self._made(size_bytes)
            known = region is None or region.name in self._registered
        return region if known or region is None else self._introduced(region)

    def give_back(self, region: Region) -> None:
        """The server has answered: the region may be filled again."""
        with self._lock:
            if region.name in self._all:
                self._free.setdefault(region.size_bytes, []).append(region)

    def retire(self, region: Region) -> None:
        """The server has not answered: nobody may fill the region again."""
        with self._lock:
            self._all.pop(region.name, None)
            if region.name in self._registered:
                self._retired.add(region.name)
        region.discard()

    def forget_server(self) -> None:
        """The server was restarted: it knows no region and reads none."""
        with self._lock:
            self._registered.clear()
            self._retired.clear()

    def close(self) -> list[str]:
        """Unlink every region; returns the names that the server still has, for the caller to unregister."""
        with self._lock:
            regions, names = list(self._all.values()), sorted(self._registered)
            self._all.clear()
            self._free.clear()
            self._registered.clear()
            self._retired.clear()
        for region in regions:
            region.discard()
        return names

    @property
    def n_retired(self) -> int:
        """Regions that the server may still read although their requests were given up."""
        return len(self._retired)

    def _made(self, size_bytes: int) -> Region | None:
        try:
            region = Region(size_bytes)
        except OSError as error:
            log.warning("no shared memory", size_bytes=size_bytes, reason=str(error))
            return None
        self._all[region.name] = region
        return region

    def _introduced(self, region: Region) -> Region | None:
        try:
            self._register(region)
        except InferenceError as error:
            self.retire(region)
            if error.retryable:
                raise
            log.warning("shared memory refused", reason=error.message)
            return None
        with self._lock:
            self._registered.add(region.name)
        return region

    def _reap(self) -> None:
        with self._lock:
            names = sorted(self._retired)
        for name in names:
            if self._unregister(name):
                with self._lock:
                    self._retired.discard(name)
                    self._registered.discard(name)
