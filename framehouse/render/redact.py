"""Covering people, faces, text and other things in a video, fail-closed.

What was seen is covered in every frame, with room to spare (`regions`). What no model could speak for (a gap, frames
that were not inferred, a model that never ran) is covered whole, and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.render.marks import label
from framehouse.render.obscure import Picture, Style, obscure, obscure_whole
from framehouse.render.regions import Growth, Regions, Samples, not_analysed, regions_of
from framehouse.render.tracklets import Sightings, area, link
from framehouse.results.masks import decode
from framehouse.video.index import Size

Shape = Literal["box", "mask"]

NEVER_RAN = "no model that knows it was run"
COVERED_WHOLE = "not analysed"
_BRIDGE_S = 1.0
"""A thing that is seen again so soon was there in between."""
_LARGEST_STRETCH = 2.5
"""A region so much larger than its sighting says little about the outline: then the box is covered."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What one model says about one sort of thing: where it was seen, in which of the frames that were asked."""

    model_id: str
    model_digest: str
    sightings: Sightings
    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A sort of thing that is to be covered, and every model that can see it; none: none of them was run."""

    what: str
    style: Style
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """Regions of one wish by one model, over the whole video."""

    what: str
    style: Style
    source: Source
    regions: Regions


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames first..last that are covered whole, since nobody can say where `what` is in them."""

    what: str
    first_frame: int
    last_frame: int
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Redaction:
    """What is covered.

    Attributes:
        covered: by wish and model.
        whole: bool [n_frames], frames that are covered whole.
        lost: why, ordered by wish and frame; frames may be lost for several wishes.
        whole_style: how.
        shape: whether outlines are followed where there are any.
    """

    covered: tuple[Covered, ...]
    whole: NDArray[np.bool_]
    lost: tuple[Lost, ...]
    whole_style: Style
    shape: Shape


def plan_redaction(
    wishes: Sequence[Wish],
    second: NDArray[np.float64],
    size: Size,
    *,
    growth: Growth,
    reach_s: float | None = None,
    shape: Shape = "box",
) -> Redaction:
    """What is to be covered in which frame.

    Args:
        wishes: at least one.
        second: float64 [n_frames], time of every frame of the video, strictly increasing.
        size: (width, height) of the upright picture.
        reach_s: samples at most so far apart count as analysed; None takes what is usual for the model, up to a second.

    Raises:
        ConfigError: no wish.
    """
    if not wishes:
        raise ConfigError("nothing to cover is named", code="config.nothing_to_blur")
    covered, lost = [], []
    whole = np.zeros(len(second), np.bool_)
    for wish in wishes:
        missing, why = _lost_frames(wish, second, reach_s)
        whole |= missing
        lost += _stretches(wish.what, missing, why)
        for source in wish.sources:
            tracklet = link(source.sightings, second, _BRIDGE_S)
            regions = regions_of(source.sightings, tracklet, source.samples, second, size, growth)
            covered.append(Covered(wish.what, wish.style, source, regions))
    style: Style = "solid" if any(wish.style == "solid" for wish in wishes) else wishes[0].style
    return Redaction(tuple(covered), whole, tuple(lost), style, shape)


def _lost_frames(
    wish: Wish, second: NDArray[np.float64], reach_s: float | None
) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    """Frames that none of the models can speak for, and why the first of them cannot."""
    if not wish.sources:
        return np.ones(len(second), np.bool_), np.full(len(second), NEVER_RAN, np.object_)
    answers = [not_analysed(source.samples, second, reach_s) for source in wish.sources]
    return np.all([missing for missing, _ in answers], axis=0), answers[0][1]


def _stretches(what: str, missing: NDArray[np.bool_], why: NDArray[np.object_]) -> list[Lost]:
    frames = np.flatnonzero(missing)
    cuts = np.flatnonzero((np.diff(frames) > 1) | (why[frames][1:] != why[frames][:-1])) + 1
    parts = np.split(frames, cuts) if len(frames) else []
    return [Lost(what, int(part[0]), int(part[-1]), str(why[part[0]])) for part in parts]


class Redactor:
    """A step that covers what a redaction says."""

    def __init__(self, redaction: Redaction, size: Size) -> None:
        self._plan, self._size = redaction, size

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Cover it in place."""
        if self._plan.whole[frame_offset]:
            obscure_whole(picture, self._plan.whole_style)
            label(picture, COVERED_WHOLE, (4, picture.shape[0] - 4), (40, 40, 40))
            return
        for covered in self._plan.covered:
            regions = covered.regions.in_frame(frame_offset)
            for i in range(len(regions)):
                box = outward(regions.xyxy[i], self._size)
                inside = self._outline(covered, int(regions.sighting[i]), box)
                obscure(picture, box, covered.style, inside)

    def _outline(self, covered: Covered, row: int, box: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Pixels of a box to cover, bool [height, width]; None for all of them."""
        sightings = covered.source.sightings
        if self._plan.shape == "box" or not sightings.mask[row]:
            return None
        if area(box.astype(np.float32)) > _LARGEST_STRETCH * area(sightings.xyxy[row]):
            return None
        return stretched_mask(str(sightings.mask[row]), sightings.xyxy[row], box, self._size)


def stretched_mask(
    counts: str, seen: NDArray[np.float32], box: NDArray[np.int64], size: Size
) -> NDArray[np.bool_] | None:
    """The outline of a sighting laid into a larger box and widened by as much, bool [height, width] of the box.

    None where the mask has nothing in the sighting's box.
    """
    left, top, right, bottom = (int(side) for side in outward(seen, size))
    cut = decode(counts, size)[top:bottom, left:right]
    if not cut.any():
        return None
    width, height = int(box[2] - box[0]), int(box[3] - box[1])
    laid = cv2.resize(cut.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    wider = [max(2, (wide - was) // 2) for wide, was in ((width, right - left), (height, bottom - top))]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wider[0] + 1, 2 * wider[1] + 1))
    return np.asarray(cv2.dilate(laid, kernel)) > 0


def outward(xyxy: NDArray[np.float32], size: Size) -> NDArray[np.int64]:
    """A box in whole pixels that holds it, inside the picture and at least a pixel wide: int64 [4]."""
    low = np.clip(np.floor(xyxy[:2]), 0, np.array(size) - 1)
    high = np.clip(np.ceil(xyxy[2:]), low + 1, np.array(size))
    return np.concatenate([low, high]).astype(np.int64)
