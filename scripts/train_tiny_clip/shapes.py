"""Pictures of coloured shapes, and what is true of each: what the tiny CLIP is trained and measured on.

A picture shows one shape on a plain ground, or nothing but the ground. Six facts describe it, as numbers (`FACTS`).
Needs numpy and OpenCV only, so that tests can make fresh pictures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64
RGB = tuple[int, int, int]
COLOURS: dict[str, tuple[RGB, RGB]] = {
    "red": ((220, 30, 30), (255, 0, 0)),
    "green": ((20, 120, 40), (0, 255, 0)),
    "blue": ((40, 70, 230), (0, 0, 255)),
    "yellow": ((240, 220, 40), (255, 255, 0)),
    "purple": ((140, 40, 170), (128, 0, 128)),
    "orange": ((250, 140, 20), (255, 165, 0)),
    "pink": ((250, 130, 190), (255, 192, 203)),
    "white": ((240, 240, 240), (255, 255, 255)),
    "black": ((18, 18, 18), (0, 0, 0)),
    "cyan": ((40, 220, 220), (0, 255, 255)),
    "gray": ((105, 105, 105), (165, 165, 165)),
    "brown": ((110, 70, 40), (139, 69, 19)),
    "navy": ((20, 25, 80), (0, 0, 128)),
}
"""Two ends by name, and what lies between them has that name. Shapes take the first ten, grounds take all."""
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "heart")
NOTHING = len(SHAPES)
"""The shape of a picture that shows only its ground; the ground is then its colour."""
N_SHAPE_COLOURS = 10
SIZES, ACROSS, DOWN = ("small", "large"), ("left", "centre", "right"), ("top", "centre", "bottom")
FACTS = ("colour", "shape", "ground", "size", "across", "down")
PAIRS = tuple(itertools.product(range(N_SHAPE_COLOURS), range(len(SHAPES))))
"""Every (colour, shape)."""
HELD_OUT = frozenset(PAIRS[3::7])
"""Eleven pairs that are never trained on: a red star is learnt from red things and from stars."""
PLAIN = -2
"""Value of facts that a picture without a shape does not have; equal to nothing that a caption says."""

_USUAL_GROUNDS = [list(COLOURS).index(name) for name in ("black", "white", "gray", "brown", "navy")]
_RADIUS = ((0.11, 0.17), (0.23, 0.31))
_PLACE = (0.24, 0.5, 0.76)
_OVERSAMPLING = 2
_STRETCH = 0.65
"""Log of the most that a shape is stretched: a 16:9 frame that is squeezed to a square has log(16 / 9) = 0.58."""

Scene = NDArray[np.int64]
"""int64 [6]: the facts of one picture in the order of `FACTS`."""


def random_scene(rng: np.random.Generator, pair: tuple[int, int] | None = None) -> Scene:
    """Facts of a picture; without a pair, any that is trained on, or (one in 25) a plain ground."""
    if pair is None:
        if rng.random() < 0.04:
            colour = int(rng.integers(len(COLOURS)))
            return np.array([colour, NOTHING, colour, PLAIN, PLAIN, PLAIN], np.int64)
        pair = _TRAINED[int(rng.integers(len(_TRAINED)))]
    grounds = [ground for ground in _grounds(rng) if ground != pair[0]]
    ground = grounds[int(rng.integers(len(grounds)))]
    return np.array([*pair, ground, rng.integers(2), rng.integers(3), rng.integers(3)], np.int64)


def gallery(rng: np.random.Generator, pairs: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """One fresh picture of each pair: facts int64 [N, 6] and pictures uint8 [N, 64, 64, 3]."""
    scenes = [random_scene(rng, pair) for pair in pairs]
    return np.stack(scenes), np.stack([render(rng, scene) for scene in scenes])


def render(rng: np.random.Generator, scene: Scene, side: int = SIDE) -> NDArray[np.uint8]:
    """A picture of the facts, uint8 [side, side, 3] RGB: place, size, turn, stretch, tint, blur and noise by chance."""
    colour, shape, ground, size, across, down = (int(fact) for fact in scene)
    wide = side * _OVERSAMPLING
    canvas = np.empty((wide, wide, 3), np.uint8)
    canvas[:] = _tint(rng, ground, 10)
    if shape != NOTHING:
        radius = rng.uniform(*_RADIUS[size]) * wide
        centre = np.array([_PLACE[across], _PLACE[down]]) * wide + rng.uniform(-0.07, 0.07, 2) * wide
        stretch = math.exp(rng.uniform(-_STRETCH, _STRETCH) / 2) if rng.random() < 0.6 else 1.0
        _draw(canvas, SHAPES[shape], centre, radius, rng.uniform(-0.25, 0.25), stretch, _tint(rng, colour, 14))
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 0.9))
    noisy = small.astype(np.float32) + rng.normal(0, rng.uniform(0, 7), small.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


_TRAINED = tuple(pair for pair in PAIRS if pair not in HELD_OUT)


def _grounds(rng: np.random.Generator) -> Sequence[int]:
    return _USUAL_GROUNDS if rng.random() < 0.7 else range(len(COLOURS))


def _tint(rng: np.random.Generator, colour: int, spread: int) -> tuple[int, ...]:
    low, high = np.array(list(COLOURS.values())[colour], np.float64)
    tint = low + (high - low) * rng.random() + rng.integers(-spread, spread + 1, 3)
    return tuple(int(value) for value in np.clip(tint, 0, 255))


def _draw(
    canvas: NDArray[np.uint8], shape: str, centre: NDArray[Any], radius: float, turn: float, stretch: float,
    colour: tuple[int, ...],
) -> None:  # fmt: skip
    """Fill the outlines of a shape; a ring has two, and what lies between them is filled."""
    cos, sin = math.cos(turn), math.sin(turn)
    turned = np.array([[cos, -sin], [sin, cos]])
    lines = [np.asarray(line) @ turned.T * radius * (stretch, 1 / stretch) + centre for line in outlines(shape)]
    cv2.fillPoly(canvas, [np.rint(line).astype(np.int32) for line in lines], colour)


def outlines(shape: str) -> list[NDArray[np.float64]]:
    """Closed polygons float [P, 2] of a shape about 0, 0 with a radius of about 1; y points down."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    disc = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    if shape == "circle":
        return [disc]
    if shape == "ring":
        return [disc, disc * 0.6]
    if shape == "heart":
        cosines = [weight * np.cos(times * angle) for times, weight in ((1, 13), (2, -5), (3, -2), (4, -1))]
        return [np.stack([np.sin(angle) ** 3, -np.sum(cosines, axis=0) / 16], axis=1)]
    if shape == "star":
        tips = np.linspace(0, 2 * math.pi, 10, endpoint=False)
        reach = np.where(np.arange(10) % 2 == 0, 1.1, 0.45)
        return [np.stack([reach * np.sin(tips), -reach * np.cos(tips)], axis=1)]
    return [np.array(_CORNERS[shape], np.float64)]


_CORNERS = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -1), (0.95, 0.8), (-0.95, 0.8)],
    "diamond": [(0, -1.1), (0.75, 0), (0, 1.1), (-0.75, 0)],
    "cross": [
        (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3), (0.3, 1), (-0.3, 1), (-0.3, 0.3),
        (-1, 0.3), (-1, -0.3), (-0.3, -0.3),
    ],
}  # fmt: skip
