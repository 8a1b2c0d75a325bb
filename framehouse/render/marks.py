"""What a model saw, drawn on one picture: every kind of rows has its own marks.

Boxes carry `class confidence`; masks are tinted; points are dots, joined where the skeleton is COCO's; a look is an
arrow as long as the face, from between its eyes; a line of text has its polygon and what was read; classes of the whole
picture are a list in its corner. An embedding has nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray

from framehouse.render.overlay import class_colour
from framehouse.results.contract import FrameRows
from framehouse.results.masks import decode
from framehouse.results.records.boxes import Detections, Keypoints, Segmentations
from framehouse.results.records.classes import Classifications
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright, in one block of memory."""
Colour = tuple[int, int, int]

SEEN_POINT = 0.2
"""Points below it are guesses and are not drawn."""
_COCO = 17
_BONES = ((5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16))
_LOOK: Colour = (255, 70, 70)
_FACE: Colour = (70, 220, 120)
_LINE: Colour = (255, 160, 40)
_TINT = 0.45
_LEAST_SCALE, _SHARE_OF_SCALE = 0.4, 0.85


def draw_rows(picture: Picture, rows: FrameRows) -> Picture:
    """Draw the rows of one frame, whose size the picture has; the picture given is drawn on, and returned."""
    for record, draw in _MARKS.items():
        if isinstance(rows, record):
            draw(picture, rows)
            return picture
    return picture


def label(picture: Picture, text: str, at: tuple[float, float], colour: Colour) -> None:
    """A text on a ground of this colour, its lower left corner there, but inside of the picture."""
    (height, width), scale = picture.shape[:2], _scale(picture)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    left = int(np.clip(at[0], 0, max(0, width - wide - 6)))
    bottom = int(np.clip(at[1], high + 6, height))
    cv2.rectangle(picture, (left, bottom - high - 6), (left + wide + 6, bottom), colour, cv2.FILLED)
    ink = (255, 255, 255) if sum(colour) < 384 else (0, 0, 0)
    cv2.putText(picture, text, (left + 3, bottom - 4), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)


def _boxes(picture: Picture, rows: Detections) -> None:
    for i in range(len(rows)):
        colour = class_colour(int(rows.class_id[i]))
        _box(picture, rows.xcycwh[i], colour, f"{rows.class_name[i]} {rows.confidence[i]:.2f}")


def _masks(picture: Picture, rows: Segmentations) -> None:
    height, width = picture.shape[:2]
    for i in range(len(rows)):
        inside = decode(str(rows.mask[i]), (width, height))
        colour = np.array(class_colour(int(rows.class_id[i])), np.float32)
        picture[inside] = ((1 - _TINT) * picture[inside] + _TINT * colour).astype(np.uint8)
    _boxes(picture, rows)


def _points(picture: Picture, rows: Keypoints) -> None:
    _boxes(picture, rows)
    for i in range(len(rows)):
        colour = class_colour(int(rows.class_id[i]) + 1)
        seen, places = rows.keypoint_confidence[i] >= SEEN_POINT, rows.keypoint_xy[i]
        for start, end in _BONES if len(seen) == _COCO else ():
            if seen[start] and seen[end]:
                cv2.line(picture, _pixel(places[start]), _pixel(places[end]), colour, thick(picture), cv2.LINE_AA)
        for place in places[seen]:
            cv2.circle(picture, _pixel(place), 2 + thick(picture), colour, cv2.FILLED, cv2.LINE_AA)


def _looks(picture: Picture, rows: Gazes) -> None:
    for i in range(len(rows)):
        yaw, pitch = float(rows.yaw_rad[i]), float(rows.pitch_rad[i])
        _box(picture, rows.xcycwh[i], _FACE, f"yaw {np.degrees(yaw):+.0f} pitch {np.degrees(pitch):+.0f}")
        start, length = rows.landmarks[i, :2].mean(axis=0), float(rows.xcycwh[i, 2])
        end = start + length * np.array([-np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
        cv2.arrowedLine(picture, _pixel(start), _pixel(end), _LOOK, 1 + thick(picture), cv2.LINE_AA, tipLength=0.2)


def _texts(picture: Picture, rows: Texts) -> None:
    for i in range(len(rows)):
        corners = rows.polygon[i].round().astype(np.int32)
        cv2.polylines(picture, [corners], True, _LINE, thick(picture), cv2.LINE_AA)
        place = (float(corners[:, 0].min()), float(corners[:, 1].min()) - 1)
        label(picture, f"{rows.text[i]} {rows.confidence[i]:.2f}", place, _LINE)


def _classes(picture: Picture, rows: Classifications) -> None:
    names = [f"{name} {sure:.2f}" for name, sure in zip(rows.class_name, rows.confidence, strict=True)]
    listed(picture, names)


def listed(picture: Picture, lines: list[str]) -> None:
    """Lines of text in the upper left corner."""
    step = 10 + round(22 * _scale(picture))
    for i, line in enumerate(lines):
        label(picture, line, (0, (i + 1) * step), (30, 30, 30))


def _box(picture: Picture, xcycwh: NDArray[Any], colour: Colour, text: str) -> None:
    low, high = xcycwh[:2] - xcycwh[2:] / 2, xcycwh[:2] + xcycwh[2:] / 2
    cv2.rectangle(picture, _pixel(low), _pixel(high), colour, thick(picture))
    label(picture, text, (float(low[0]), float(low[1])), colour)


def _pixel(place: NDArray[Any]) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))


def thick(picture: Picture) -> int:
    """Pixels that a line on this picture is thick."""
    height, width = picture.shape[:2]
    return max(1, sv.calculate_optimal_line_thickness((width, height)))


def _scale(picture: Picture) -> float:
    height, width = picture.shape[:2]
    return max(_LEAST_SCALE, _SHARE_OF_SCALE * sv.calculate_optimal_text_scale((width, height)))


_MARKS: dict[type[FrameRows], Callable[[Picture, Any], None]] = {
    Segmentations: _masks,
    Keypoints: _points,
    Detections: _boxes,
    Gazes: _looks,
    Texts: _texts,
    Classifications: _classes,
}
"""The more special record first: `Segmentations` and `Keypoints` are `Detections` too."""
