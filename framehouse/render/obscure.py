"""Making a part of a picture unrecognisable.

What is left of a region is at most a handful of mean colours, however large the region is, so that no sharpening brings
it back. `solid` leaves nothing.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Style = Literal["pixelate", "blur", "solid"]
STYLES: tuple[Style, ...] = ("pixelate", "blur", "solid")
Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""

MOST_CELLS = 4
"""Mean colours along the longer side of a region."""
_LEAST_CELL_PX = 8
_FILL = (20, 20, 20)


def obscure(picture: Picture, box: NDArray[np.int64], style: Style, inside: NDArray[np.bool_] | None = None) -> None:
    """Obscure one box of a picture, in place.

    Args:
        box: int64 [4], left, top, right, bottom; inside the picture, not empty.
        inside: bool [height, width] of the box: only these pixels; None is all.
    """
    left, top, right, bottom = (int(side) for side in box)
    part = picture[top:bottom, left:right]
    covered = np.full_like(part, _FILL) if style == "solid" else _smeared(part, style)
    if inside is None:
        part[:] = covered
    else:
        part[inside] = covered[inside]


def obscure_whole(picture: Picture, style: Style) -> None:
    """Obscure all of a picture, in place."""
    height, width = picture.shape[:2]
    obscure(picture, np.array([0, 0, width, height]), style)


def cells(width: int, height: int) -> tuple[int, int]:
    """How many mean colours are kept of a region, across and down.

    >>> cells(600, 300), cells(40, 20), cells(9, 5)
    ((4, 2), (4, 2), (1, 1))
    """
    size = max(max(width, height) / MOST_CELLS, _LEAST_CELL_PX)
    return max(1, round(width / size)), max(1, int(height / size + 0.5))


def _smeared(part: Picture, style: Style) -> Picture:
    """Mean colours of a few cells, with the edges between them softened (`pixelate`) or gone (`blur`)."""
    height, width = part.shape[:2]
    few = cells(width, height)
    means = cv2.resize(part, few, interpolation=cv2.INTER_AREA)
    if style == "blur":
        return np.asarray(cv2.resize(means, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    blocks = cv2.resize(means, (width, height), interpolation=cv2.INTER_NEAREST)
    softness = max(width / few[0], height / few[1]) / 10
    return np.asarray(cv2.GaussianBlur(blocks, (0, 0), max(softness, 0.5), borderType=cv2.BORDER_REPLICATE), np.uint8)
