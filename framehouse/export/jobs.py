"""The JSON of jobs, a file each, as `framehouse results` prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.export.selection import Wanted, find_videos
from framehouse.results.assemble import result_keys
from framehouse.store.job_results import models_of, results_of

_DONE = """
SELECT j.job_id, j.video_id FROM jobs j
WHERE list_contains($videos, j.video_id) AND if($job_id = '', j.status = 'done', j.job_id = $job_id)
ORDER BY j.video_id, j.job_id
"""


def write_jobs(folder: Path, connection: Any, wanted: Wanted) -> dict[str, str]:
    """Write `<job_id>.json` for every finished job of the wanted videos, or for the one job; returns job -> video.

    With classes, boxes and classes of other names are left out of `predictions`; with a model, the other models are.

    Raises:
        ConfigError: code `config.nothing_to_export`.
        JobNotFound: no such job was published.
        StoreError: code `store.no_results`, the one job failed before it had a plan.
    """
    videos = [video.video_id for video in find_videos(connection, wanted)]
    jobs = dict(connection.execute(_DONE, {"videos": videos, "job_id": wanted.job_id}).fetchall())
    written: dict[str, str] = {}
    for job_id, video_id in jobs.items():
        digests = {model_id: digest for model_id, digest, _ in models_of(connection, job_id)}
        keys = [
            key
            for model_id, key in zip(digests, result_keys([*digests]), strict=True)
            if wanted.model in ("", model_id, model_id.partition("/")[0], digests[model_id])
        ]
        if keys or not wanted.model:
            found = results_of(connection, job_id, confidence=wanted.confidence)
            (folder / f"{job_id}.json").write_bytes(_document(found, keys, wanted.classes))
            written[job_id] = video_id
    if not written:
        raise ConfigError(
            f"no finished job{f' with {wanted.model}' if wanted.model else ''}",
            code="config.nothing_to_export",
            hint="see: framehouse jobs list",
        )
    return written


def _document(found: Mapping[str, list[Any]], keys: Sequence[str], classes: Sequence[str]) -> bytes:
    """The results object with these models alone, as `framehouse results` writes it."""
    chosen = {key: values for key, values in found.items() if key in ("frame_offset", "time_offset", *keys)}
    if classes:
        chosen |= {key: [_of_classes(element, classes) for element in found[key]] for key in keys}
    return (json.dumps(chosen, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "surrogatepass")


def _of_classes(element: Any, classes: Sequence[str]) -> Any:
    """An element without the predictions of other classes; faces, texts and vectors have no class of this kind."""
    if not isinstance(element, dict) or "result" in element or "predictions" not in element:
        return element
    predictions = element["predictions"]
    if isinstance(predictions, dict):
        return {**element, "predictions": {name: value for name, value in predictions.items() if name in classes}}
    return {**element, "predictions": [item for item in predictions if item.get("class", classes[0]) in classes]}
