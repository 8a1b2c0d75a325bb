"""Pictures out of decoded frames: turned upright, scaled and framed as each model wants them.

Scaling and colour conversion are one pass of FFmpeg's scaler, at the size that the framing needs. Pillow's bicubic
scaler is for models that were trained with it: it needs the whole picture as RGB first, which costs more.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image, ImageOps

from framehouse.errors import MediaError
from framehouse.video.framing import Framing, Size
from framehouse.video.index import StreamFacts

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright."""
MOST_STILL_PIXELS = 64_000_000


class PictureMaker:
    """Makes the pictures of some framings of each frame of one stream; equal scalings are done once."""

    def __init__(self, stream: StreamFacts, framings: Sequence[Framing]) -> None:
        self._source = stream.size
        self._quarter_turns = -stream.rotation_deg // 90  # numpy turns counter-clockwise
        self._framings = list(dict.fromkeys(framings))
        self._scalers: dict[Size, VideoReformatter] = {}

    def room(self, n: int) -> dict[Framing, NDArray[np.uint8]]:
        """Empty arrays for n pictures of each framing, the border of letterboxes already filled."""
        made = {}
        for framing in self._framings:
            width, height = framing.picture_size(self._source)
            shape = (n, height, width, 3)
            made[framing] = (
                np.full(shape, framing.pad, np.uint8) if framing.mode == "letterbox" else np.empty(shape, np.uint8)
            )
        return made

    def make(self, frame: VideoFrame, into: Mapping[Framing, Picture]) -> None:
        """Fill one picture per framing from a frame."""
        scaled: dict[tuple[Size, str], Picture] = {}
        for framing, picture in into.items():
            key = (framing.placement(self._source).scaled, framing.resample)
            if key not in scaled:
                bicubic = framing.resample == "bicubic"
                scaled[key] = self._bicubic(frame, key[0]) if bicubic else self._bilinear(frame, key[0])
            lay(scaled[key], framing, self._source, picture)

    def _bilinear(self, frame: VideoFrame, size: Size) -> Picture:
        """The upright picture at a size."""
        width, height = size if self._quarter_turns % 2 == 0 else size[::-1]
        scaler = self._scalers.setdefault(size, VideoReformatter())
        return np.rot90(scaler.reformat(frame, width, height, "rgb24", threads=1).to_ndarray(), self._quarter_turns)

    def _bicubic(self, frame: VideoFrame, size: Size) -> Picture:
        return bicubic(self._bilinear(frame, self._source), size)


def bicubic(picture: Picture, size: Size) -> Picture:
    """A picture scaled by Pillow's antialiased bicubic filter, uint8 [height, width, 3]."""
    whole = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(whole.resize(size, Image.Resampling.BICUBIC))


def frame_picture(picture: Picture, framing: Framing) -> Picture:
    """One still picture, uint8 [H, W, 3] RGB, framed for a model; scaled by Pillow with antialiasing.

    For stills that no decoder made: a picture to search by, a test. Video frames go through `PictureMaker`.
    """
    source = (picture.shape[1], picture.shape[0])
    size = framing.placement(source).scaled
    if framing.resample == "bicubic":
        scaled = bicubic(picture, size)
    else:
        scaled = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BILINEAR))
    width, height = framing.picture_size(source)
    made = np.full((height, width, 3), framing.pad, np.uint8)
    lay(scaled, framing, source, made)
    return made


def read_still(data: bytes) -> Picture:
    """A picture file (JPEG, PNG, WebP …) as uint8 [H, W, 3] RGB, turned as it says it is to be.

    Raises:
        MediaError: code `media.picture`, it is none, or has more than `MOST_STILL_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(data)) as found:
            width, height = found.size
            if width * height > MOST_STILL_PIXELS:
                raise MediaError(f"a picture of {width} x {height} is too large", code="media.picture")
            return np.asarray(ImageOps.exif_transpose(found).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(
            "this is no picture that can be read", code="media.picture", hint="JPEG, PNG or WebP"
        ) from error


def lay(scaled: Picture, framing: Framing, source: Size, into: Picture) -> None:
    """Copy the scaled source to its place in a model's picture; what lies outside is cut off."""
    place = framing.placement(source)
    height, width = into.shape[:2]
    left, top = max(0, place.left), max(0, place.top)
    right, bottom = min(width, place.left + place.scaled[0]), min(height, place.top + place.scaled[1])
    into[top:bottom, left:right] = scaled[top - place.top : bottom - place.top, left - place.left : right - place.left]
