"""Tracked objects with the way they came, and lines and zones with the count so far. Values in, pixels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.render.marks import label, thick
from framehouse.render.obscure import Picture
from framehouse.render.overlay import class_colour

TRAIL_S = 3.0
"""Seconds of its way that are drawn behind an object."""
_LINE_COLOUR = (255, 255, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One tracked object.

    Args:
        number: its tracker id; the colour belongs to it.
        name: its class.
        second: float64 [N], increasing.
        xyxy: float64 [N, 4], its box, pixels.
        xy: float64 [N, 2], the point of it that leaves the trail, pixels.
    """

    number: int
    name: str
    second: NDArray[np.float64]
    xyxy: NDArray[np.float64]
    xy: NDArray[np.float64]

    def at(self, second: float, bridge_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Box [4] and point [2] at this time; None where it was not seen.

        Between sightings at most `bridge_s` apart it is interpolated; further apart, or at the ends, the nearest one
        stands for half of that.
        """
        after = int(np.searchsorted(self.second, second, "left"))
        before = after - 1
        if 0 < after < len(self.second) and self.second[after] - self.second[before] <= bridge_s:
            share = (second - self.second[before]) / (self.second[after] - self.second[before])
            mixed = [(1 - share) * rows[before] + share * rows[after] for rows in (self.xyxy, self.xy)]
            return mixed[0], mixed[1]
        nearest = int(np.argmin(np.abs(self.second - second)))
        if abs(self.second[nearest] - second) > bridge_s / 2:
            return None
        return self.xyxy[nearest], self.xy[nearest]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A line or a zone, and when its count changes.

    Args:
        name: of it.
        points: float64 [K, 2], pixels; two for a line, else the corners of an area.
        up_s: float64 [A], sorted: crossings inwards, or entries.
        down_s: float64 [B], sorted: crossings outwards, or leavings.
    """

    name: str
    points: NDArray[np.float64]
    up_s: NDArray[np.float64]
    down_s: NDArray[np.float64]

    def count(self, second: float) -> str:
        """What has been counted up to and with this time.

        >>> edge = np.array([[0.0, 0], [9, 0]])
        >>> Place("door", edge, np.array([1.0, 2.0]), np.array([3.0])).count(2.0)
        'door: in 2, out 0'
        """
        up, down = (int(np.searchsorted(times, second, "right")) for times in (self.up_s, self.down_s))
        return f"{self.name}: in {up}, out {down}" if len(self.points) == 2 else f"{self.name}: {up - down} inside"


class Trails:
    """A step that draws each object's box, `class number`, and trail."""

    def __init__(self, ways: Sequence[Way], second: NDArray[np.float64], bridge_s: float) -> None:
        self._ways, self._second, self._bridge_s = ways, second, bridge_s

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Draw on the picture."""
        now = float(self._second[frame_offset])
        for way in self._ways:
            here = way.at(now, self._bridge_s)
            if here is None:
                continue
            (box, point), colour = here, class_colour(way.number)
            passed = (way.second >= now - TRAIL_S) & (way.second <= now)
            trail = np.vstack([way.xy[passed], point]).round().astype(np.int32)
            cv2.polylines(picture, [trail], False, colour, thick(picture), cv2.LINE_AA)
            left, top, right, bottom = (round(float(side)) for side in box)
            cv2.rectangle(picture, (left, top), (right, bottom), colour, thick(picture))
            label(picture, f"{way.name} {way.number}", (left, top), colour)


class Places:
    """A step that draws lines and zones with what was counted so far."""

    def __init__(self, places: Sequence[Place], second: NDArray[np.float64]) -> None:
        self._places, self._second = places, second

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Draw on the picture."""
        for place in self._places:
            corners = place.points.round().astype(np.int32)
            cv2.polylines(picture, [corners], len(corners) > 2, _LINE_COLOUR, thick(picture) + 1, cv2.LINE_AA)
            x, y = place.points.mean(axis=0)
            label(picture, place.count(float(self._second[frame_offset])), (float(x), float(y)), (30, 30, 30))
