"""Rows of detections as supervision's Detections, so that its annotators, zones and trackers can be used on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.results.masks import decode

if TYPE_CHECKING:
    import supervision as sv

_NEEDED = ("x", "y", "width", "height")
_KNOWN = (*_NEEDED, "class_id", "confidence", "mask", "tracker_id")


def to_supervision(rows: Any, *, frame_size: tuple[int, int] | None = None) -> sv.Detections:
    """Detections of one frame, in the order of the rows.

    Args:
        rows: of `detections`, `tracks` or a query with their columns: a DataFrame, a DuckDB relation, a QueryResult, an
            Arrow table, or a list of mappings. `x`, `y`, `width`, `height` (centre form, source pixels) are needed;
            `class_id`, `confidence`, `tracker_id` and `mask` become fields; all others go to `data`.
        frame_size: (width, height) of the upright frame; needed where rows have masks.

    Returns:
        `xyxy` float32 [N, 4] and what the rows have; `Detections.empty()` for no rows.

    Raises:
        ConfigError: code `config.rows`: a column is missing, rows of several frames, or masks without `frame_size`.
    """
    import supervision as sv  # noqa: PLC0415  a second to import

    columns = _columns(rows)
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise ConfigError(
            f"rows without {', '.join(missing)}", code="config.rows", hint="SELECT * FROM detections WHERE …"
        )
    if not len(columns["x"]):
        return sv.Detections.empty()
    for name in ("video_id", "frame_offset", "model_digest"):
        if len(set(columns.get(name, ()))) > 1:
            raise ConfigError(
                f"rows with several {name}", code="config.rows", hint="one frame of one model: WHERE frame_offset = …"
            )
    centre_x, centre_y, width, height = (np.asarray(columns[name], np.float32) for name in _NEEDED)
    corners = [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2]
    return sv.Detections(
        xyxy=np.stack(corners, axis=1),
        confidence=_as(columns, "confidence", np.float32),
        class_id=_as(columns, "class_id", np.int64),
        tracker_id=_as(columns, "tracker_id", np.int64),
        mask=_masks(columns, frame_size),
        data={name: np.asarray(values) for name, values in columns.items() if name not in _KNOWN},
    )


def _columns(rows: Any) -> dict[str, list[Any]]:
    """Name -> values, from any of the forms in which rows come."""
    for method in ("to_arrow_table", "table"):
        if hasattr(rows, method):
            rows = getattr(rows, method)
            rows = rows() if callable(rows) else rows
            break
    if hasattr(rows, "to_pydict"):
        return dict(rows.to_pydict())
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        return {str(name): list(values) for name, values in rows.to_dict(orient="list").items()}
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        names = list(rows[0]) if rows else list(_NEEDED)
        return {name: [row[name] for row in rows] for name in names}
    raise ConfigError(
        f"{type(rows).__name__} is no table", code="config.rows", hint="a DataFrame, a relation, or a list of dicts"
    )


def _as(columns: Mapping[str, Sequence[Any]], name: str, dtype: type) -> NDArray[Any] | None:
    return np.asarray(columns[name], dtype) if name in columns else None


def _masks(columns: Mapping[str, Sequence[Any]], frame_size: tuple[int, int] | None) -> NDArray[np.bool_] | None:
    masks = columns.get("mask", ())
    if not any(isinstance(mask, str) for mask in masks):
        return None
    if frame_size is None:
        raise ConfigError(
            "masks need the size of the frame", code="config.rows", hint="frame_size=(width, height) of the video"
        )
    width, height = frame_size
    empty = np.zeros((height, width), np.bool_)
    return np.stack([decode(mask, frame_size) if isinstance(mask, str) else empty for mask in masks])
