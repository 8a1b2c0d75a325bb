"""Proof frames: the frame that an event is about, with what it is about marked, large enough to be read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.render.marks import label, listed

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright."""
_RED = (230, 40, 40)
_LEAST_WIDTH = 640
_MOST_FACTOR = 4
_LABEL = 26


def proof(
    picture: Picture, boxes: Sequence[Sequence[float] | None], labels: Sequence[str], lines: Sequence[str]
) -> Picture:
    """The picture with its boxes and some lines above it; a small one is enlarged, so that they can be read.

    Args:
        picture: of the video's own size; it is left as it is.
        boxes: left, top, right, bottom, pixels; None for what has no place.
        labels: what each box is.
        lines: what is said of the whole; on a band above the picture, so that nothing is covered.
    """
    factor = min(_MOST_FACTOR, max(1, -(-_LEAST_WIDTH // picture.shape[1])))
    height, width = picture.shape[0] * factor, picture.shape[1] * factor
    drawn = np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    placed = [
        ([round(x * factor) for x in box], name) for box, name in zip(boxes, labels, strict=True) if box is not None
    ]
    for i, (box, name) in enumerate(placed):
        _mark(drawn, box, name, [other for j, (other, _) in enumerate(placed) if j != i])
    wrapped = [piece for line in lines for piece in textwrap.wrap(_plain(line), max(20, width // 9))]
    band = np.zeros((_band_height(len(wrapped), drawn), width, 3), np.uint8)
    listed(band, wrapped)
    return np.concatenate([band, drawn])


def proof_name(video: str, video_id: str, what: str, start_s: float, frame_offset: int) -> str:
    """Name of a proof's file: sorts by video, rule and time, and holds nothing that a file system minds.

    >>> proof_name("my clip.mp4", "v_0123456789ab", "alcohol", 62.5, 1500)
    'my-clip-01234567-alcohol-01m02.5s-f1500.jpg'
    """
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", video.rsplit(".", 1)[0]).strip("-")[:60] or "video"
    rule = re.sub(r"[^A-Za-z0-9_-]+", "-", what)
    tenths = round(start_s * 10)
    at = f"{tenths // 600:02d}m{tenths // 10 % 60:02d}.{tenths % 10}s"
    return f"{stem}-{video_id.removeprefix('v_')[:8]}-{rule}-{at}-f{frame_offset}.jpg"


def _mark(drawn: Picture, box: Sequence[int], name: str, others: Sequence[Sequence[int]]) -> None:
    """A box with its label above it, or below at the upper edge, or to its right where that would cover another box."""
    left, top, right, bottom = box
    thick = max(2, min(drawn.shape[:2]) // 180)
    cv2.rectangle(drawn, (left, top), (right, bottom), _RED, thick)
    covers = any(a < right and c > left and b < top and d > top - _LABEL for a, b, c, d in others)
    at = (right + thick, bottom) if covers else (left, top if top > _LABEL else bottom + _LABEL)
    label(drawn, _plain(name), at, _RED)


def _band_height(n_lines: int, drawn: Picture) -> int:
    probe = np.zeros_like(drawn)
    listed(probe, ["Mg"] * n_lines)
    rows = np.flatnonzero(probe.any(axis=(1, 2)))
    return int(rows[-1]) + 8 if len(rows) else 0


def _plain(text: str) -> str:
    """OpenCV's font has ASCII alone."""
    return text.encode("ascii", "replace").decode()
