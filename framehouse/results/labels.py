"""Labels that people give a video: camera, site … One small file each in the lake, apart from what its content says."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from framehouse.errors import ConfigError, ResultsError
from framehouse.results.lake import Lake

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_MAX_VALUE = 256
_MAX_LABELS = 64


def labels_path(lake: Lake, video_id: str) -> Path:
    """Where the labels of a video lie."""
    return lake.root / "labels" / f"{video_id}.json"


def read_labels(lake: Lake, video_id: str) -> dict[str, str]:
    """Name -> value, by name; empty when none were given.

    Raises:
        ResultsError: code `results.unreadable`, the file is damaged.
    """
    path = labels_path(lake, video_id)
    content = lake.read_bytes(path)
    if content is None:
        return {}
    try:
        return dict(sorted((str(name), str(value)) for name, value in json.loads(content).items()))
    except (ValueError, AttributeError) as error:
        raise ResultsError(
            f"{lake.name_of(path)}: labels cannot be read ({error})", code="results.unreadable"
        ) from error


def change_labels(lake: Lake, video_id: str, given: Mapping[str, str], removed: Collection[str] = ()) -> dict[str, str]:
    """Give labels to a video and take others away; returns all that it has now. Of two at once the later one counts.

    Raises:
        ConfigError: code `config.label`, a name or value that is none.
    """
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no name of a label", code="config.label",
                hint="small letters, digits, _ . - and a letter first: camera=3",
            )  # fmt: skip
        if not value.strip() or len(value) > _MAX_VALUE or not value.isprintable():
            raise ConfigError(f"label {name}: give 1 to {_MAX_VALUE} printable characters", code="config.label")
    labels = {name: value for name, value in read_labels(lake, video_id).items() if name not in removed} | dict(given)
    if len(labels) > _MAX_LABELS:
        raise ConfigError(f"{video_id}: more than {_MAX_LABELS} labels", code="config.label")
    if labels:
        text = json.dumps(dict(sorted(labels.items())), ensure_ascii=False, indent=1)
        lake.write_bytes(labels_path(lake, video_id), text.encode())
    else:
        lake.delete(labels_path(lake, video_id))
    return dict(sorted(labels.items()))
