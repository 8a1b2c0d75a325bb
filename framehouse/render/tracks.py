"""Objects followed through a video, drawn: a box with its number, the way it came; lines and zones with their counts.

Values in: which boxes are one object, and what crossed what when, is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.render.marks import Colour, label, thickness
from framehouse.render.overlay import class_colour

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright."""

TRAIL_S = 3.0
"""Seconds of its way that an object draws behind it."""
_WHITE: Colour = (255, 255, 255)
_TINT = 0.22


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """One object over time.

    Args:
        number: of the track; it chooses the colour.
        class_name: what it is.
        time_s: float64 [K], K >= 1, strictly increasing: where it was seen.
        xy: float64 [K, 2], the point that stands for it, pixels.
        xyxy: float32 [K, 4], its boxes, pixels.
    """

    number: int
    class_name: str
    time_s: NDArray[np.float64]
    xy: NDArray[np.float64]
    xyxy: NDArray[np.float32]

    def at(self, second: float, hold_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """(box [4], way so far [P, 2]) at a time, between two sightings on the straight way; None when not there.

        Args:
            hold_s: so long before its first and after its last sighting it is shown there.
        """
        if not self.time_s[0] - hold_s <= second <= self.time_s[-1] + hold_s:
            return None
        box = np.array([np.interp(second, self.time_s, self.xyxy[:, i]) for i in range(4)])
        here = np.array([np.interp(second, self.time_s, self.xy[:, i]) for i in range(2)])
        recent = (self.time_s <= second) & (self.time_s >= second - TRAIL_S)
        return box, np.concatenate([self.xy[recent], here[None]])


class Trails:
    """A step that draws every object that is there."""

    def __init__(self, trails: Sequence[Trail], seconds: NDArray[np.float64], hold_s: float) -> None:
        self._trails, self._seconds, self._hold_s = trails, seconds, hold_s

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Draw on the picture."""
        for trail in self._trails:
            found = trail.at(float(self._seconds[frame_offset]), self._hold_s)
            if found is None:
                continue
            box, way = found
            colour, thick = class_colour(trail.number), thickness(picture)
            cv2.polylines(picture, [way.round().astype(np.int32)], False, colour, thick, cv2.LINE_AA)
            left, top, right, bottom = box.round().astype(int).tolist()
            cv2.rectangle(picture, (left, top), (right, bottom), colour, thick)
            label(picture, f"{trail.class_name} {trail.number}", (left, top), colour)


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """A line or a zone, and when somebody came in or went out.

    Args:
        name: what people call it.
        points: float64 [P, 2], pixels: two of a line, three or more of a zone.
        in_s, out_s: float64, times of coming in (a line: crossing inwards) and of going out, increasing.
    """

    name: str
    points: NDArray[np.float64]
    in_s: NDArray[np.float64]
    out_s: NDArray[np.float64]

    def says(self, second: float) -> str:
        """Name and counts up to a time; of a zone how many are inside, too.

        >>> door = Counted("door", np.zeros((2, 2)), np.array([1.0, 2.0]), np.array([3.0]))
        >>> door.says(2.5)
        'door  in 2  out 0'
        """
        n_in, n_out = int((self.in_s <= second).sum()), int((self.out_s <= second).sum())
        inside = f"  now {n_in - n_out}" if len(self.points) > 2 else ""
        return f"{self.name}{inside}  in {n_in}  out {n_out}"


class Counts:
    """A step that draws lines and zones with what they have counted so far."""

    def __init__(self, shapes: Sequence[Counted], seconds: NDArray[np.float64]) -> None:
        self._shapes, self._seconds = shapes, seconds

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Draw on the picture."""
        second = float(self._seconds[frame_offset])
        for i, shape in enumerate(self._shapes):
            points, colour = shape.points.round().astype(np.int32), class_colour(100 + i)
            if len(points) > 2:
                _tint(picture, points, colour)
            cv2.polylines(picture, [points], len(points) > 2, _WHITE, thickness(picture) + 1, cv2.LINE_AA)
            x, y = points.mean(axis=0) if len(points) == 2 else points[points[:, 1].argmin()]
            label(picture, shape.says(second), (float(x), float(y)), (30, 30, 30))


def _tint(picture: Picture, corners: NDArray[np.int32], colour: Colour) -> None:
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(inside, [corners], 1)
    chosen = inside.astype(bool)
    picture[chosen] = ((1 - _TINT) * picture[chosen] + _TINT * np.array(colour)).astype(np.uint8)
