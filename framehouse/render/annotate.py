"""What a model saw on every frame of a video, with its own timing and sound.

Values in: where the rows come from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import structlog
import supervision as sv
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.render.marks import draw_rows
from framehouse.render.overlay import NOTHING, Inferred, class_colour, rows_by_frame, shown_results
from framehouse.results.contract import FrameRows
from framehouse.results.records.boxes import Detections
from framehouse.video.decode import FrameGap, decode
from framehouse.video.encode import Encoder
from framehouse.video.framing import stretched
from framehouse.video.index import Size, VideoIndex
from framehouse.video.sampling import chunks

log = structlog.get_logger(__name__)

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright."""

NO_ANSWER = "no answer from the model here"
_MIN_TEXT_SCALE = 0.3
_DECODE_BATCH = 1


class Painter:
    """Draws results on pictures of one size; colours belong to classes."""

    def __init__(self, size: Size, class_ids: NDArray[np.int32]) -> None:
        self._classes = np.unique(class_ids)
        # supervision writes colours in BGR order, our pictures are RGB: red and blue change places here
        colours = [sv.Color(r=b, g=g, b=r) for r, g, b in map(class_colour, self._classes.tolist())]
        palette = sv.ColorPalette(colours or [sv.Color.WHITE])
        thickness = max(1, sv.calculate_optimal_line_thickness(size) // 2)
        scale = max(_MIN_TEXT_SCALE, sv.calculate_optimal_text_scale(size) / 2)
        self._boxes = sv.BoxAnnotator(palette, thickness=thickness)
        self._labels = sv.LabelAnnotator(
            palette,
            text_color=sv.Color.BLACK,
            text_scale=scale,
            text_padding=max(2, round(10 * scale)),
            smart_position=True,
        )
        self._scale = scale

    def draw(self, picture: Picture, rows: FrameRows) -> Picture:
        """A box and a label `class confidence` for each detection, `marks` of other kinds; the picture is drawn on."""
        if not len(rows):
            return picture
        if type(rows) is not Detections:
            return draw_rows(picture, rows)
        found = sv.Detections(xyxy=xyxy(rows), confidence=rows.confidence, class_id=rows.class_id.astype(int))
        colour = np.searchsorted(self._classes, rows.class_id)
        labels = [f"{name} {sure:.2f}" for name, sure in zip(rows.class_name, rows.confidence, strict=True)]
        boxed = self._boxes.annotate(picture, found, custom_color_lookup=colour)
        drawn: Picture = self._labels.annotate(boxed, found, labels=labels, custom_color_lookup=colour)
        return drawn

    def mark_gap(self, picture: Picture) -> Picture:
        """Say that the model gave no answer here; the picture given is drawn on."""
        height, width = picture.shape[:2]
        drawn: Picture = sv.draw_text(
            picture,
            NO_ANSWER,
            sv.Point(x=width // 2, y=height - round(60 * self._scale)),
            text_color=sv.Color.WHITE,
            background_color=sv.Color.BLACK,
            text_scale=self._scale,
        )
        return drawn


def xyxy(rows: Detections) -> NDArray[np.float32]:
    """Corners of the boxes, float32 [N, 4]: left, top, right, bottom."""
    half = rows.xcycwh[:, 2:] / 2
    return np.concatenate([rows.xcycwh[:, :2] - half, rows.xcycwh[:, :2] + half], axis=1)


def annotated_pictures(source: Path, index: VideoIndex, inferred: Inferred) -> Iterator[tuple[int, Picture]]:
    """(pts, picture) of every frame that decodes, in order, with what the model saw drawn in.

    A frame that does not decode is left out: the one before it stands longer, and the timing of the rest holds.
    """
    size = index.stream.size
    painter = Painter(size, inferred.rows.arrays().get("class_id", np.empty(0, np.int32)))
    shown, rows = shown_results(index.pts, inferred), rows_by_frame(inferred)
    for chunk in chunks(index):
        wanted = np.arange(chunk.first_frame, chunk.first_frame + chunk.n_frames, dtype=np.int64)
        for item in decode(source, index.stream, chunk, wanted, [stretched(size)], batch_size=_DECODE_BATCH):
            if isinstance(item, FrameGap):
                log.warning("frame left out", frame_offset=item.frame_offset, reason=item.reason)
                continue
            for offset, pts, picture in zip(item.frame_offset, item.pts, item.pictures[stretched(size)], strict=True):
                place = int(shown[offset])
                if place != NOTHING and not inferred.loaded[place]:
                    painter.mark_gap(picture)
                elif place in rows:
                    painter.draw(picture, rows[place])
                yield int(pts), picture


def annotate(
    source: Path, index: VideoIndex, inferred: Inferred, out: Path, *, progress: Callable[[int], None] | None = None
) -> int:
    """Write a copy of a video with what the model saw drawn in, in its own timing, with its sound.

    Args:
        source: the video file that `index` was probed from.
        out: `.mp4` file to write, whole or absent.
        progress: told how many frames are written.

    Returns:
        Frames written.

    Raises:
        ConfigError: code `config.output`, `out` is the source itself or no `.mp4`.
        MediaError: the source cannot be decoded any more; code `media.not_written`, `out` cannot be written.
    """
    if out.suffix.lower() != ".mp4":
        raise ConfigError(f"{out}: only .mp4 is written", code="config.output", hint="name it .mp4")
    if out.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the video itself", code="config.output", hint="choose another --out")
    n_frames = 0
    with Encoder(out, source=source, stream=index.stream) as encoder:
        for pts, picture in annotated_pictures(source, index, inferred):
            encoder.write(picture, pts)
            n_frames += 1
            if progress is not None:
                progress(n_frames)
    return n_frames
