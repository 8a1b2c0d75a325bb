"""Shapes of objects: bool pictures, their run-length text (COCO's compressed counts), their outline.

Run lengths go down the columns and begin with the pixels outside, as in COCO; pycocotools writes the text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from framehouse.errors import ContractViolation

Size = tuple[int, int]


def encode(mask: NDArray[np.bool_]) -> str:
    """Run-length text of a bool [height, width]."""
    counts: bytes = coco.encode(np.asfortranarray(mask, np.uint8))["counts"]
    return counts.decode("ascii")


def decode(counts: str, size: Size) -> NDArray[np.bool_]:
    """The mask, bool [height, width], of a run-length text over a picture of `size` (width, height).

    Raises:
        ContractViolation: the text does not fill the picture.
    """
    width, height = size
    runs = _runs_of(counts, size)
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def area(counts: str, size: Size) -> int:
    """Pixels inside of a run-length text over a picture of `size` (width, height).

    Raises:
        ContractViolation: as `decode`.
    """
    return sum(_runs_of(counts, size)[1::2])


def polygon(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Outline of the largest connected piece, int32 [P, 2] x, y, P >= 3; [0, 2] where there is none of 3 corners."""
    import cv2  # noqa: PLC0415  half a second that a decoder's worker need not wait for

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea, default=np.empty((0, 1, 2), np.int32))
    outline = np.asarray(largest, np.int32).reshape(-1, 2)
    return outline if len(outline) >= 3 else np.empty((0, 2), np.int32)


def _runs_of(counts: str, size: Size) -> list[int]:
    width, height = size
    runs = _runs(counts)
    if min(runs, default=0) < 0 or sum(runs) != width * height:
        raise ContractViolation(f"mask does not fit {width} x {height}")
    return runs


def _runs(counts: str) -> list[int]:
    """Run lengths of a text, outside first; [-1] where it is none.

    A run is written in groups of five bits, lowest first, each plus 48; the bit 32 says that more follow, the bit 16 of
    the last group is the sign. From the fourth run on it is the difference to the run two before (COCO's maskApi).
    """
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        group = ord(letter) - 48
        if not 0 <= group < 64:
            return [-1]
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs if shift == 0 else [-1]
