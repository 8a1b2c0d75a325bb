"""A job's results from the published snapshot: its own plan joined with the rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from framehouse.errors import JobNotFound, StoreError
from framehouse.results.assemble import ModelOptions, ModelResults, assemble
from framehouse.results.elements.base import PLAIN, Forms
from framehouse.store.connection import DEFAULT_MEMORY, fetch, reading
from framehouse.store.migrate import check_version
from framehouse.store.rows import read_rows

_LEDGER = """
SELECT i.frame_offset, i.infer_s
FROM inferences i SEMI JOIN (SELECT frame_offset FROM job_frames WHERE job_id = $job_id) p USING (frame_offset)
WHERE i.video_id = $video_id AND i.model_digest = $model_digest AND i.status = 'loaded'
ORDER BY i.frame_offset
"""


def job_results(
    store_dir: Path,
    job_id: str,
    *,
    confidence: float | None = None,
    forms: Forms = PLAIN,
    options: Mapping[str, ModelOptions] | None = None,
    memory: str = DEFAULT_MEMORY,
) -> dict[str, list[Any]]:
    """The results JSON of a job, see `framehouse.results.assemble`.

    Args:
        confidence: threshold, 0..1; None takes the one that the job asked for.
        forms: which of the wire's forms the elements take.
        options: what is wanted otherwise for some models, by model_id.

    Raises:
        JobNotFound: the snapshot does not hold the job.
        StoreError: code `store.no_results`, the job failed before it had a plan; else as `connection.reading`.
    """
    with reading(store_dir, memory=memory) as connection:
        check_version(connection)
        return results_of(connection, job_id, confidence=confidence, forms=forms, options=options)


def results_of(
    connection: duckdb.DuckDBPyConnection,
    job_id: str,
    *,
    confidence: float | None = None,
    forms: Forms = PLAIN,
    options: Mapping[str, ModelOptions] | None = None,
) -> dict[str, list[Any]]:
    """As `job_results`, from an open snapshot."""
    jobs = fetch(
        connection,
        "SELECT j.video_id, j.confidence, v.width, v.height, j.error_message"
        " FROM jobs j LEFT JOIN videos v USING (video_id) WHERE j.job_id = ?",
        [job_id],
    )
    if not jobs:
        raise JobNotFound(f"no job {job_id} has been published", job_id=job_id)
    video_id, asked, width, height, failure = jobs[0]
    if width is None:
        raise StoreError(
            f"job {job_id} has no results: {failure or 'its video is not known yet'}",
            code="store.no_results",
            hint=f"framehouse jobs show {job_id}",
        )
    plan = connection.execute(
        "SELECT p.frame_offset, f.time_offset_s FROM job_frames p"
        " JOIN frames f ON f.video_id = ? AND f.frame_offset = p.frame_offset"
        " WHERE p.job_id = ? ORDER BY p.frame_offset",
        [video_id, job_id],
    ).fetchnumpy()
    return assemble(
        video_id=video_id,
        size=(width, height),
        frame_offset=_plain(plan["frame_offset"], np.int64),
        time_offset_s=_plain(plan["time_offset_s"], np.float64),
        models=_models(connection, job_id, video_id, options or {}, ModelOptions(forms=forms)),
        confidence=asked if confidence is None else confidence,
    )


def models_of(connection: duckdb.DuckDBPyConnection, job_id: str) -> list[tuple[str, str, str]]:
    """(model_id, model_digest, kind of rows) of each model of a job, in the order that it asked for them."""
    return fetch(
        connection,
        "SELECT u.model_id, u.model_digest, u.kind FROM usage u JOIN jobs j USING (job_id) WHERE job_id = ?"
        " ORDER BY list_position(j.models, u.model_id)",
        [job_id],
    )


def _models(
    connection: duckdb.DuckDBPyConnection,
    job_id: str,
    video_id: str,
    options: Mapping[str, ModelOptions],
    default: ModelOptions,
) -> list[ModelResults]:
    models = []
    for model_id, model_digest, kind in models_of(connection, job_id):
        key = {"job_id": job_id, "video_id": video_id, "model_digest": model_digest}
        ledger = connection.execute(_LEDGER, key).fetchnumpy()
        rows = read_rows(connection, kind, video_id, model_digest, job_id=job_id)
        loaded, infer_s = _plain(ledger["frame_offset"], np.int64), _plain(ledger["infer_s"], np.float32)
        wanted = options.get(model_id, default)
        models.append(ModelResults(model_id, model_digest, loaded, infer_s, rows, wanted))
    return models


def _plain(column: Any, dtype: type) -> Any:
    return np.asarray(column).astype(dtype, copy=False)
