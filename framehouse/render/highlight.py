"""Things of interest as they are, everything else dimmed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.render.obscure import Picture
from framehouse.render.redact import Source, outward, stretched_mask
from framehouse.render.regions import Growth, Regions, not_analysed, regions_of
from framehouse.render.tracklets import link
from framehouse.video.index import Size

_GROWTH = Growth(share=0.04, side_per_s=0.0, frame_per_s=0.0, hold_s=0.0, hull=False)
_BRIDGE_S = 0.5
_LIGHT = 0.3
"""Brightness that is left of the rest."""
_SOFT_SHARE = 0.008


class Highlighter:
    """A step that dims what is not of interest; outlines are followed where a model gave them.

    Frames that no model could speak for stay as they are.
    """

    def __init__(self, sources: Sequence[Source], second: NDArray[np.float64], size: Size) -> None:
        self._size = size
        self._seen: list[tuple[Source, Regions]] = [
            (
                source,
                regions_of(
                    source.sightings, link(source.sightings, second, _BRIDGE_S), source.samples, second, size, _GROWTH
                ),
            )
            for source in sources
        ]
        missing = [not_analysed(source.samples, second)[0] for source in sources]
        self._unknown = np.all(missing, axis=0) if missing else np.ones(len(second), np.bool_)

    @property
    def n_regions(self) -> int:
        """Regions in all frames together."""
        return sum(len(regions) for _, regions in self._seen)

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Dim it in place."""
        if self._unknown[frame_offset]:
            return
        bright = np.zeros(picture.shape[:2], np.float32)
        for source, regions in self._seen:
            here = regions.in_frame(frame_offset)
            for i in range(len(here)):
                self._light(bright, source, int(here.sighting[i]), outward(here.xyxy[i], self._size))
        soft = cv2.GaussianBlur(bright, (0, 0), max(1.0, _SOFT_SHARE * max(self._size)))
        share = (_LIGHT + (1 - _LIGHT) * np.maximum(soft, bright))[:, :, None]
        np.multiply(picture, share, out=picture, casting="unsafe")

    def _light(self, bright: NDArray[np.float32], source: Source, row: int, box: NDArray[np.int64]) -> None:
        left, top, right, bottom = (int(side) for side in box)
        mask = source.sightings.mask[row]
        inside = stretched_mask(str(mask), source.sightings.xyxy[row], box, self._size) if mask else None
        bright[top:bottom, left:right] = np.maximum(
            bright[top:bottom, left:right], 1.0 if inside is None else inside.astype(np.float32)
        )
