"""Pictures of docs/guide/redaction.md and annotated-video.md: frames of videos that `framehouse render` wrote.

    python scripts/make_render_pictures.py docs/pictures/redacted.jpg man.mp4:40 covered.mp4:40
    python scripts/make_render_pictures.py docs/pictures/annotated.jpg counted.mp4:200 tracks.mp4:160 gaze.mp4:95

Each is FILE:FRAME; they stand beside each other, scaled to one height.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from framehouse.render.stills import still
from framehouse.video.probe import probe

MADE = ["redacted.jpg", "annotated.jpg"]
HEIGHT = 272


def main(out: Path, asked: list[str]) -> None:
    """Cut the frames out and write the sheet."""
    pictures = []
    for text in asked:
        file, _, frame = text.rpartition(":")
        picture = still(Path(file), probe(Path(file)), int(frame))
        width = round(picture.shape[1] * HEIGHT / picture.shape[0])
        pictures.append(cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA))
    sheet = cv2.cvtColor(np.concatenate(pictures, axis=1), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(out), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
