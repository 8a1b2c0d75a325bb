"""Pictures of docs/guide/lines.md and presence.md: what is tracked at one moment, over that frame, from stored rows.

    python scripts/make_tracks_picture.py STORE_DIR twice.mp4 3.4 docs/pictures/lines.jpg 0.5,0,0.5,1
    python scripts/make_tracks_picture.py STORE_DIR bikes.mp4 6.6 docs/pictures/presence.jpg

The line's points are shares of the picture. Each track is its way of feet, with a dot for each sampled frame.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from framehouse import ids
from framehouse.analytics.lines import pixels
from framehouse.analytics.tracked import TrackedParams, tracked
from framehouse.render.stills import frame_at, still
from framehouse.store.archive import open_archive
from framehouse.video.probe import probe

MADE = ["lines.jpg", "presence.jpg"]
COLOURS = [(66, 135, 245), (245, 130, 32), (60, 180, 75), (230, 60, 60), (150, 80, 200), (0, 170, 170)]


def main(store_dir: Path, file: Path, second: float, out: Path, line: str = "") -> None:
    """Draw and write it."""
    index = probe(file)
    picture = np.ascontiguousarray(still(file, index, frame_at(index, second)))
    with open_archive(store_dir) as archive:
        video = archive.video(ids.video_id(ids.content_sha256(file)))
        seen = tracked(archive, video, TrackedParams())
    if line:
        start, end = pixels(tuple(map(float, line.split(","))), video).astype(int).tolist()
        cv2.line(picture, start, end, (255, 255, 255), 3, cv2.LINE_AA)
    for path in seen.paths("bottom"):
        now = np.argmin(np.abs(path.time_s - second))
        if abs(path.time_s[now] - second) > 0.3:
            continue
        colour, points = COLOURS[path.tracker_id % len(COLOURS)], path.xy.round().astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 2, cv2.LINE_AA)
        for x, y in points.tolist():
            cv2.circle(picture, (x, y), 3, colour, -1, cv2.LINE_AA)
        here = (seen.tracker_id == path.tracker_id) & (seen.boxes.frame_offset == path.frame_offset[now])
        left, top, right, bottom = seen.boxes.xyxy[here][0].round().astype(int).tolist()
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
        label = f"{path.class_name} {path.tracker_id}"
        cv2.putText(picture, label, (left + 4, top + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 2, cv2.LINE_AA)
    cv2.imwrite(str(out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
