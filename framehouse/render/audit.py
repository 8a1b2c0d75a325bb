"""What was covered in a video, and why: a list for whoever has to answer for it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.render.redact import Covered, Redaction, outward
from framehouse.render.regions import AFTER, BEFORE, WHY
from framehouse.video.index import Size

LEFT_OUT = "does not decode: left out"
_SEEN = "seen, and between sightings"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was covered over some frames, first..last, or the seconds from start to end.

    Attributes:
        what: a class, or the classes that a frame is covered whole for.
        why: in what way it is known, or why it is not.
        left, top, right, bottom: a box that holds all that was covered, pixels; the whole picture where `is_whole`.
        model_id: who saw it; empty for a whole picture.
        tracklet: number of the thing among those of its class and model; -1 for a whole picture.
        n_seen: frames in which it was seen by the model.
        confidence: highest of those sightings; 0 for a whole picture.
    """

    first_frame: int
    last_frame: int
    start_s: float
    end_s: float
    what: str
    why: str
    is_whole: bool
    left: int
    top: int
    right: int
    bottom: int
    model_id: str
    tracklet: int
    n_seen: int
    confidence: float


def entries(
    redaction: Redaction, second: NDArray[np.float64], size: Size, left_out: tuple[int, ...] = ()
) -> list[Entry]:
    """The list, by first frame: three lines at most for every tracklet, one for every stretch that is covered whole.

    Args:
        second: float64 [n_frames].
        left_out: frames that did not decode.
    """
    ends_s = np.append(second[1:], second[-1] + (np.median(np.diff(second)) if len(second) > 1 else 0.0))

    def whole(first: int, last: int, what: str, why: str) -> Entry:
        start_s, end_s = _seconds(second, first), _seconds(ends_s, last)
        return Entry(first, last, start_s, end_s, what, why, True, 0, 0, size[0], size[1], "", -1, 0, 0.0)

    found = [whole(lost.first_frame, lost.last_frame, lost.what, lost.why) for lost in redaction.lost]
    found += [whole(frame, frame, "", LEFT_OUT) for frame in left_out]
    for covered in redaction.covered:
        for rows, why in _parts(covered):
            found.append(_entry(covered, rows, why, second, ends_s, size))
    return sorted(found, key=lambda entry: (entry.first_frame, entry.what, entry.tracklet, entry.last_frame))


def _entry(
    covered: Covered,
    rows: NDArray[np.int64],
    why: str,
    second: NDArray[np.float64],
    ends_s: NDArray[np.float64],
    size: Size,
) -> Entry:
    regions, sightings = covered.regions, covered.source.sightings
    frames, boxes = regions.frame_offset[rows], regions.xyxy[rows]
    first, last = int(frames.min()), int(frames.max())
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    left, top, right, bottom = outward(np.concatenate([low, high]), size).tolist()
    seen = np.unique(regions.sighting[rows])
    n_seen = int(np.isin(sightings.frame_offset[seen], frames).sum())
    sure = round(float(sightings.confidence[seen].max()), 4)
    return Entry(
        first, last, _seconds(second, first), _seconds(ends_s, last), covered.what, why, False, left, top, right,
        bottom, covered.source.model_id, int(regions.tracklet[rows[0]]), n_seen, sure,
    )  # fmt: skip


def _seconds(times: NDArray[np.float64], frame: int) -> float:
    return round(float(times[frame]), 4)


def _parts(covered: Covered) -> list[tuple[NDArray[np.int64], str]]:
    """(rows, why) of every tracklet: before, while and after it was seen."""
    regions = covered.regions
    kind = np.where(regions.why == BEFORE, 0, np.where(regions.why == AFTER, 2, 1))
    order = np.lexsort((regions.frame_offset, kind, regions.tracklet))
    key = regions.tracklet[order] * 3 + kind[order]
    parts = np.split(order, np.flatnonzero(np.diff(key)) + 1) if len(order) else []
    return [(part, (WHY[BEFORE], _SEEN, WHY[AFTER])[int(kind[part[0]])]) for part in parts]


def as_json(header: Mapping[str, Any], found: list[Entry]) -> str:
    """One document: the header's fields, and the entries."""
    return json.dumps({**header, "entries": [asdict(entry) for entry in found]}, indent=1, ensure_ascii=False) + "\n"


def as_csv(found: list[Entry]) -> str:
    """The entries with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Entry)])
    writer.writerows([asdict(entry).values() for entry in found])
    return text.getvalue()
