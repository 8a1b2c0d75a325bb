"""How much of a video could be judged. What was not seen is no "nothing there": each use says how much that was."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.store.archive import Frames

LEAST_REACH_S = 1.0
"""A frame a second is ordinary sampling, so an answered frame speaks for up to a second whatever the others do."""


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Where a video was seen.

    Args:
        frames: the ledger that it was made from.
        until_s: float64 [F], how far each frame of the ledger speaks, seconds after the first frame.
        duration_s: of the video.
    """

    frames: Frames
    until_s: NDArray[np.float64]
    duration_s: float

    @property
    def judged_s(self) -> float:
        """Seconds for which an answered frame speaks."""
        loaded = self.frames.loaded
        return math.fsum(self.until_s[loaded] - self.frames.time_offset_s[loaded])

    @property
    def unjudged_s(self) -> float:
        """The rest of the video."""
        return max(0.0, self.duration_s - self.judged_s)

    def holes(self) -> list[tuple[float, float]]:
        """Stretches (from, to) in seconds for which no answered frame speaks, in order."""
        begin, holes = 0.0, []
        for start_s, end_s in zip(
            self.frames.time_offset_s[self.frames.loaded], self.until_s[self.frames.loaded], strict=True
        ):
            if start_s - begin > _TICK_S:
                holes.append((begin, float(start_s)))
            begin = float(end_s)
        if self.duration_s - begin > _TICK_S:
            holes.append((begin, self.duration_s))
        return holes

    def unjudged_between(self, start_s: float, end_s: float) -> float:
        """Seconds of a stretch for which no answered frame speaks."""
        return math.fsum(max(0.0, min(end_s, to) - max(start_s, since)) for since, to in self.holes())


_TICK_S = 1e-6


def coverage(frames: Frames, duration_s: float) -> Coverage:
    """Each frame that a model was asked about speaks until the next one, or the end, but not for long.

    The limit is twice the step that 95 of 100 frames keep to, and at least a second: where a job was asked about a part
    of the video only, the rest is unseen.
    """
    times = frames.time_offset_s
    ends = np.append(times[1:], max(duration_s, times[-1])) if times.size else times
    steps = ends - times
    reach = max(LEAST_REACH_S, 2.0 * float(np.quantile(steps[:-1], 0.95))) if times.size > 1 else LEAST_REACH_S
    return Coverage(frames, times + np.minimum(steps, reach), max(duration_s, float(times[-1]) if times.size else 0.0))
