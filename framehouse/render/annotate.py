"""What a model saw, drawn on every frame of a video. Values in: where the rows come from is the caller's business."""

from __future__ import annotations

import numpy as np
import supervision as sv
from numpy.typing import NDArray

from framehouse.render.marks import draw_rows
from framehouse.render.overlay import NOTHING, Inferred, class_colour, rows_by_frame, shown_results
from framehouse.results.contract import FrameRows
from framehouse.results.records.boxes import Detections
from framehouse.video.index import Size, VideoIndex

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright."""

NO_ANSWER = "no answer from the model here"
_MIN_TEXT_SCALE = 0.3


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


class Marks:
    """A step that draws what one model saw; each frame shows the inferred frame nearest to it (`shown_results`)."""

    def __init__(self, index: VideoIndex, inferred: Inferred) -> None:
        self._painter = Painter(index.stream.size, inferred.rows.arrays().get("class_id", np.empty(0, np.int32)))
        self._shown, self._rows = shown_results(index.pts, inferred), rows_by_frame(inferred)
        self._loaded = inferred.loaded

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Draw on the picture."""
        place = int(self._shown[frame_offset])
        if place != NOTHING and not self._loaded[place]:
            self._painter.mark_gap(picture)
        elif place in self._rows:
            self._painter.draw(picture, self._rows[place])
