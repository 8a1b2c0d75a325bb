"""A video that the tiny CLIP understands: a red circle in the first second, a blue square in the next."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

RATE = 5
N_FRAMES = 10


def shape_picture(number: int) -> np.ndarray:
    """uint8 [180, 320, 3] RGB: a red circle before frame 5, then a blue square; it moves."""
    canvas = np.full((180, 320, 3), 200, np.uint8)
    x = 100 + 20 * (number % RATE)
    if number < RATE:
        cv2.circle(canvas, (x, 90), 50, (230, 20, 20), cv2.FILLED, cv2.LINE_AA)
    else:
        cv2.rectangle(canvas, (x - 45, 45), (x + 45, 135), (40, 70, 230), cv2.FILLED)
    return canvas


def shapes_video(path: Path) -> Path:
    """Write it."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "18", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(N_FRAMES):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shape_picture(number), "rgb24")))
        out.mux(stream.encode(None))
    return path
