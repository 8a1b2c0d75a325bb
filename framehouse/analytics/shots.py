"""Shots between changes, and scenes out of shots that go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.changes import Changes
from framehouse.analytics.gradual import colours_of, correlation, overlap
from framehouse.video.looks import Looks

_FOR_COLOURS, _FOR_PICTURES = 50, 10  # frames of a shot


@dataclass(frozen=True, slots=True)
class SceneRules:
    """When shots belong to one scene.

    Attributes:
        alike: two shots show one place from where this much is common to their colours (overlap), and to their most
            similar pictures (correlation), 0..1. So it means one camera that is cut away from and back to; two views of
            one place are two scenes.
        within_s: two such shots with no more than this between them tie all that lies between into one scene: shot
            and counter-shot. 0: every shot is a scene.
    """

    alike: float = 0.75
    within_s: float = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """Shots in order; they cover the video.

    Attributes:
        start_s, end_s: float64 [K], seconds, half-open; a gradual change is split in its middle.
        first_frame_offset, last_frame_offset: int64 [K], of the frames that were looked at.
        scene: int64 [K], number of the scene from 0, non-decreasing.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    first_frame_offset: NDArray[np.int64]
    last_frame_offset: NDArray[np.int64]
    scene: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def n_scenes(self) -> int:
        """How many scenes."""
        return int(self.scene[-1]) + 1 if len(self.scene) else 0

    def shots_of(self, scene: int) -> NDArray[np.intp]:
        """Indices of a scene's shots."""
        return np.flatnonzero(self.scene == scene)


def cut_up(
    changes: Changes,
    frame_offset: NDArray[np.int64],
    time_s: NDArray[np.float64],
    end_s: float,
    scene: NDArray[np.int64] | None = None,
) -> Shots:
    """Shots between changes; each is a scene of its own unless scenes [C + 1] are given.

    Args:
        frame_offset, time_s: [N], the frames that were looked at; N >= 1.
        end_s: of the video.
    """
    starts = np.concatenate([[0.0], changes.at_s])
    ends = np.concatenate([changes.at_s, [max(end_s, float(time_s[-1]))]])
    first = np.searchsorted(time_s, starts)
    last = np.concatenate([first[1:] - 1, [len(time_s) - 1]])
    numbers = np.arange(len(starts), dtype=np.int64) if scene is None else scene
    return Shots(starts, ends, frame_offset[first], frame_offset[np.maximum(last, first)], numbers)


def tied(looks: Looks, changes: Changes, rules: SceneRules) -> Shots:
    """Shots with scenes: shots of one place tie what lies between them, but never across a fade."""
    single = cut_up(changes, looks.frame_offset, looks.time_s, looks.end_s)
    samples = [_sample(looks, *_untouched(single, changes, i)) for i in range(len(single))]
    is_fade = changes.kind == "fade"
    is_within = np.zeros(len(changes), np.bool_)  # change i lies between shots i and i + 1
    for i in range(len(single)):
        for j in range(i + 1, len(single)):
            if single.start_s[j] - single.end_s[i] > rules.within_s or is_fade[i:j].any():
                break
            if rules.within_s > 0 and samples[i].likeness(samples[j]) >= rules.alike:
                is_within[i:j] = True
    scene = np.concatenate([[0], np.cumsum(~is_within)]).astype(np.int64)
    return cut_up(changes, looks.frame_offset, looks.time_s, looks.end_s, scene)


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Colours of a shot, and some of its small pictures."""

    colours: NDArray[np.float64]
    pictures: NDArray[np.uint8]

    def likeness(self, other: _Sample) -> float:
        """0..1; the lesser of what both ways to compare say."""
        return min(overlap(self.colours, other.colours), float(correlation(self.pictures, other.pictures).max()))


def _untouched(shots: Shots, changes: Changes, i: int) -> tuple[float, float]:
    """The part of a shot that no gradual change mixes with another: (start, end), seconds."""
    start_s = float(changes.end_s[i - 1]) if i else float(shots.start_s[i])
    end_s = float(changes.start_s[i]) if i < len(changes) else float(shots.end_s[i])
    return start_s, end_s


def _sample(looks: Looks, start_s: float, end_s: float) -> _Sample:
    first, end = np.searchsorted(looks.time_s, [start_s, end_s])
    last = max(int(first), int(end) - 1)
    whole = np.unique(np.linspace(first, last, _FOR_COLOURS).astype(np.int64))
    some = np.unique(np.linspace(first, last, _FOR_PICTURES).astype(np.int64))
    return _Sample(colours_of(looks.thumbs[whole]), looks.thumbs[some])
