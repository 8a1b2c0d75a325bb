"""Framing: how the upright source picture becomes the picture that a model takes, and how its pixels map back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) in pixels."""
Mode = Literal["stretch", "letterbox", "crop", "fit"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the whole scaled source lies in the model's picture: parts outside of it are cut off.

    Attributes:
        scaled: size of the scaled source.
        left: column of its left edge; negative where it is cropped.
        top: row of its upper edge.
    """

    scaled: Size
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Framing:
    """How a model wants to see a picture. Hashable: models with equal framings share one picture.

    Attributes:
        mode: `stretch`: the whole source, its aspect given up. `letterbox`: the whole source in its aspect, borders
            filled. `crop`: the shorter side scaled to `short_side`, the middle cut out. `fit`: the source in its
            aspect, scaled down where it is larger than width x height, never up; each video has its own size.
        width, height: of the model's picture; for `fit` the largest.
        anchor: `letterbox` only: where the source lies.
        pad: `letterbox` only: grey value of the border, 0..255.
        short_side: `crop` only; 0 takes the shorter one of width and height.
        resample: `bilinear` is FFmpeg's scaler; `bicubic` is Pillow's, with its antialiasing, as CLIP was trained with.
    """

    mode: Mode
    width: int
    height: int
    anchor: Literal["centre", "corner"] = "centre"
    pad: int = 0
    short_side: int = 0
    resample: Literal["bilinear", "bicubic"] = "bilinear"

    def picture_size(self, source: Size) -> Size:
        """Size of the pictures made of a source of this size."""
        return self.placement(source).scaled if self.mode == "fit" else (self.width, self.height)

    def placement(self, source: Size) -> Placement:
        """How a source of this size is laid into the model's picture.

        >>> Framing("letterbox", 640, 640).placement((1920, 1080))
        Placement(scaled=(640, 360), left=0, top=140)
        >>> Framing("crop", 224, 224).placement((640, 272))
        Placement(scaled=(527, 224), left=-152, top=0)
        """
        if self.mode == "stretch":
            return Placement((self.width, self.height), 0, 0)
        if self.mode == "crop":
            return self._cropped(source)
        factor = min(self.width / source[0], self.height / source[1])
        if self.mode == "fit":
            return Placement(_scaled(source, min(1.0, factor)), 0, 0)
        scaled = _scaled(source, factor)
        if self.anchor == "corner":
            return Placement(scaled, 0, 0)
        return Placement(scaled, (self.width - scaled[0]) // 2, (self.height - scaled[1]) // 2)

    def to_source(self, xy: NDArray[Any], source: Size) -> NDArray[np.float64]:
        """Points of the model's picture as points of the source, float64 [..., 2], not clipped to it."""
        place = self.placement(source)
        scale = np.array(source, np.float64) / np.array(place.scaled, np.float64)
        return (np.asarray(xy, np.float64) - (place.left, place.top)) * scale

    def _cropped(self, source: Size) -> Placement:
        """As the usual preprocessing rounds: the longer side down, the offset to even."""
        short = self.short_side or min(self.width, self.height)
        width, height = source
        scaled = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
        return Placement(scaled, -round((scaled[0] - self.width) / 2), -round((scaled[1] - self.height) / 2))


def stretched(size: Size) -> Framing:
    """The whole source at a size; at its own size, the source itself."""
    return Framing("stretch", *size)


def _scaled(source: Size, factor: float) -> Size:
    return max(1, round(source[0] * factor)), max(1, round(source[1] * factor))
