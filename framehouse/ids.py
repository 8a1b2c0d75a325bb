"""Identities, as pure functions of what they identify.

Everything that is stored is found again by these names, so their make-up is part of the storage format.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_READ_BYTES = 4 * 1024 * 1024
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def content_sha256(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Hex sha256 of a file's bytes, read in 4 MiB pieces; `on_bytes` is told how many were read so far."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
            if on_bytes is not None:
                on_bytes(file.tell())
    return digest.hexdigest()


def video_id(sha256_hex: str) -> str:
    """Identity of a video: `v_` and the first 24 hex digits (96 bits) of its content's sha256.

    >>> video_id("0f" * 32)
    'v_0f0f0f0f0f0f0f0f0f0f0f0f'
    """
    return f"v_{sha256_hex[:24]}"


def new_job_id(now_s: float | None = None, random_bits: int | None = None) -> str:
    """A new job's name: `j_`, 10 characters of milliseconds, 10 random ones (50 bits). Sorts by time; URL-safe.

    >>> new_job_id(0.0, 0)
    'j_00000000000000000000'
    """
    milliseconds = int((time.time() if now_s is None else now_s) * 1000)
    return f"j_{_base32(milliseconds, 10)}{_base32(secrets.randbits(50) if random_bits is None else random_bits, 10)}"


def _base32(value: int, n_chars: int) -> str:
    return "".join(_CROCKFORD[(value >> (5 * i)) & 31] for i in reversed(range(n_chars)))


def instants_digest(frame_offset: NDArray[np.int64], loaded: NDArray[np.bool_]) -> str:
    """Digest (16 hex) of what a part settles: its instants, and which of them are loaded rather than gaps.

    Args:
        frame_offset: int64 [N], strictly increasing.
        loaded: bool [N].

    The status is in the name so that a later part that turns a gap into rows never takes the gap's file name.
    """
    digest = hashlib.sha256(np.ascontiguousarray(frame_offset, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(loaded, dtype="u1").tobytes())
    return digest.hexdigest()[:16]


def model_digest(pieces: Iterable[tuple[str, bytes]]) -> str:
    """Digest (32 hex) over everything that shapes a model's numbers.

    Args:
        pieces: (name, bytes) of every file, configuration parameter and adapter version; order does not matter.
    """
    digest = hashlib.sha256()
    for name, content in sorted(pieces):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]
