"""Where the person before the camera looks: the main face of each frame, its neutral direction, and angles from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.results.records.gazes import Gazes


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """The main face (the largest) of each frame of a ledger [F].

    Attributes:
        n_faces: int64 [F], faces in the frame.
        second: float64 [F], confidence of the second surest face; 0 where there is none.
        yaw_rad, pitch_rad: float64 [F]; NaN without a face. Yaw is above 0 to the left of the picture.
        xyxy: float32 [F, 4], box of the main face, pixels; NaN without one.
    """

    n_faces: NDArray[np.int64]
    second: NDArray[np.float64]
    yaw_rad: NDArray[np.float64]
    pitch_rad: NDArray[np.float64]
    xyxy: NDArray[np.float32]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """bool [F]: there is a face."""
        return ~np.isnan(self.yaw_rad)


@dataclass(frozen=True, slots=True)
class Neutral:
    """The direction that counts as looking straight.

    Attributes:
        n_frames: frames that it was taken from; 0 where it was given.
        spread_deg: median angle of those frames from it; NaN where there are none.
    """

    yaw_rad: float
    pitch_rad: float
    n_frames: int
    spread_deg: float


def main_looks(sure: Gazes, frame_offset: NDArray[np.int64]) -> Looks:
    """The main face of each frame of a ledger, int64 [F], out of the faces that count."""
    at = np.searchsorted(frame_offset, sure.frame_offset)
    n_frames, area = len(frame_offset), sure.xcycwh[:, 2] * sure.xcycwh[:, 3]
    second, yaw, pitch = np.zeros(n_frames), np.full(n_frames, np.nan), np.full(n_frames, np.nan)
    xyxy = np.full((n_frames, 4), np.nan, np.float32)
    by_size = np.lexsort((area, at))  # the largest of a frame is written last, and stays
    half = sure.xcycwh[:, 2:] / 2
    yaw[at[by_size]], pitch[at[by_size]] = sure.yaw_rad[by_size], sure.pitch_rad[by_size]
    xyxy[at[by_size]] = np.concatenate([sure.xcycwh[:, :2] - half, sure.xcycwh[:, :2] + half], axis=1)[by_size]
    rank = np.arange(len(at)) - np.searchsorted(at, at)
    second[at[rank == 1]] = sure.confidence[rank == 1]
    return Looks(np.bincount(at, minlength=n_frames).astype(np.int64), second, yaw, pitch, xyxy)


def calibrated(looks: Looks, within: NDArray[np.bool_]) -> Neutral | None:
    """The neutral direction as the median of the looks of some frames, bool [F]; None where none has a face."""
    chosen = looks.seen & within
    if not chosen.any():
        return None
    yaw, pitch = float(np.median(looks.yaw_rad[chosen])), float(np.median(looks.pitch_rad[chosen]))
    spread = float(np.median(angles_deg(looks.yaw_rad[chosen], looks.pitch_rad[chosen], yaw, pitch)))
    return Neutral(yaw, pitch, int(chosen.sum()), spread)


def angles_deg(
    yaw_rad: NDArray[np.float64], pitch_rad: NDArray[np.float64], from_yaw_rad: float, from_pitch_rad: float
) -> NDArray[np.float64]:
    """Angle between each look and a direction, degrees; NaN stays NaN.

    >>> angles_deg(np.radians([0.0, 30.0]), np.radians([0.0, 0.0]), 0.0, 0.0).round(6).tolist()
    [0.0, 30.0]
    """
    cosine = np.sin(pitch_rad) * np.sin(from_pitch_rad)
    cosine = cosine + np.cos(pitch_rad) * np.cos(from_pitch_rad) * np.cos(yaw_rad - from_yaw_rad)
    angles: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return angles


def side(yaw_rad: float, pitch_rad: float, neutral: Neutral) -> str:
    """Where a look goes, seen in the picture: left, right, up or down of neutral.

    >>> side(0.6, 0.1, Neutral(0.0, 0.0, 0, 0.0)), side(0.1, -0.6, Neutral(0.0, 0.0, 0, 0.0))
    ('left', 'down')
    """
    yaw, pitch = yaw_rad - neutral.yaw_rad, pitch_rad - neutral.pitch_rad
    if abs(yaw) >= abs(pitch):
        return "left" if yaw > 0 else "right"
    return "up" if pitch > 0 else "down"


def steady(
    values: NDArray[np.int64], known: NDArray[np.bool_], time_s: NDArray[np.float64], least_s: float
) -> NDArray[np.float64]:
    """Numbers over time without flicker: what lasts less than `least_s` takes the number before it; NaN where unknown.

    >>> steady(np.array([1, 1, 0, 1, 2, 2]), np.ones(6, bool), np.arange(6) * 0.5, 1.0).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]
    """
    calm = np.where(known, values.astype(np.float64), np.nan)
    n = len(calm)
    if not n:
        return calm
    step = float(np.median(np.diff(time_s))) if n > 1 else least_s
    starts = np.flatnonzero(np.append(True, (calm[1:] != calm[:-1]) & ~(np.isnan(calm[1:]) & np.isnan(calm[:-1]))))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), n], strict=True):
        lasts = (time_s[end] if end < n else time_s[-1] + step) - time_s[start]
        if start and lasts < least_s - 1e-6 and not np.isnan(calm[start]) and not np.isnan(calm[start - 1]):
            calm[start:end] = calm[start - 1]
    return calm
