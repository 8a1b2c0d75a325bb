"""Which rows an export takes: videos, models, and the frames that each model saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError, JobNotFound
from framehouse.store.connection import fetch

_VIDEOS = """
SELECT v.video_id, v.uri, v.width, v.height FROM videos v
WHERE ($job_id = '' AND ($all OR list_contains($videos, v.video_id)))
    OR ($job_id <> '' AND v.video_id = (SELECT j.video_id FROM jobs j WHERE j.job_id = $job_id))
ORDER BY v.video_id
"""
_MODELS = """
WITH uses AS (
    SELECT j.video_id, u.model_id, u.model_digest, any_value(u.kind) AS kind, max(j.job_id) AS newest
    FROM usage u JOIN jobs j USING (job_id)
    WHERE list_contains($videos, j.video_id)
        AND ($job_id = '' OR j.job_id = $job_id)
        AND $model IN ('', u.model_id, u.model_digest, split_part(u.model_id, '/', 1))
    GROUP BY ALL
), answered AS (
    SELECT video_id, model_digest, count(*) AS n_loaded FROM inferences
    WHERE list_contains($videos, video_id) AND status = 'loaded'
    GROUP BY ALL
)
SELECT video_id, model_id, model_digest, kind
FROM uses LEFT JOIN answered USING (video_id, model_digest)
QUALIFY row_number() OVER (
    PARTITION BY video_id, model_id ORDER BY coalesce(n_loaded, 0) DESC, newest DESC, model_digest
) = 1
ORDER BY model_id, video_id
"""
_LEDGER = """
SELECT i.frame_offset, f.time_offset_s, i.status = 'loaded' AS loaded
FROM inferences i JOIN frames f USING (video_id, frame_offset)
WHERE i.video_id = $video_id AND i.model_digest = $model_digest
    AND ($job_id = '' OR i.frame_offset IN (SELECT p.frame_offset FROM job_frames p WHERE p.job_id = $job_id))
ORDER BY i.frame_offset
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Args:
        video_ids: of these videos; None for every one that is known.
        model: slug, slug/version or model digest; "" for every model.
        confidence: least confidence, 0..1; None for everything that is stored (a job's JSON: what the job asked for).
        classes: only objects of these class names; none means all.
        job_id: only this job: its video, its models, the frames that it planned; "" for any.
    """

    video_ids: tuple[str, ...] | None = None
    model: str = ""
    confidence: float | None = None
    classes: tuple[str, ...] = ()
    job_id: str = ""

    @property
    def threshold(self) -> float:
        """Least confidence of an object, 0 for all."""
        return self.confidence or 0.0


@dataclass(frozen=True, slots=True)
class Video:
    """One video: its id, one place where it was seen, the size of its upright picture in pixels."""

    video_id: str
    uri: str | None
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Use:
    """One model in one video: of several digests of its name the one with most answers; of equals, the newest job's."""

    video_id: str
    model_id: str
    model_digest: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The frames of a video that a model answered, ordered; gaps are left out and counted.

    Args:
        frame_offset: int64 [F], strictly increasing.
        time_offset_s: float64 [F], seconds after the first frame.
        n_gaps: frames that were to be inferred and were not.
    """

    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    n_gaps: int


def find_videos(connection: Any, wanted: Wanted) -> list[Video]:
    """The videos asked for, by id.

    Raises:
        ConfigError: code `config.nothing_to_export`, the snapshot holds none of them, or not all.
        JobNotFound: no such job was published.
    """
    if wanted.job_id and not fetch(connection, "SELECT 1 FROM jobs WHERE job_id = ?", [wanted.job_id]):
        raise JobNotFound(f"no job {wanted.job_id} has been published", job_id=wanted.job_id)
    asked = wanted.video_ids
    params = {"job_id": wanted.job_id, "all": asked is None, "videos": list(asked or ())}
    found = [Video(*row) for row in connection.execute(_VIDEOS, params).fetchall()]
    lacking = sorted({*(asked or ())} - {video.video_id for video in found}) if not wanted.job_id else []
    if lacking or not found:
        raise ConfigError(
            f"{', '.join(lacking) or 'no video'}: nothing is stored of it",
            code="config.nothing_to_export",
            hint="run it first: framehouse run FILE",
        )
    return found


def find_uses(connection: Any, wanted: Wanted, videos: Sequence[Video]) -> list[Use]:
    """The models asked for in these videos, by name, then video.

    Raises:
        ConfigError: code `config.nothing_to_export`, there is none.
    """
    params = {"videos": [video.video_id for video in videos], "job_id": wanted.job_id, "model": wanted.model}
    uses = [Use(*row) for row in connection.execute(_MODELS, params).fetchall()]
    if not uses:
        raise ConfigError(
            f"no video has results{f' of {wanted.model}' if wanted.model else ''}",
            code="config.nothing_to_export",
            hint='what there is: framehouse sql "SELECT DISTINCT uri, model_id FROM completeness"',
        )
    return uses


def frames_seen(connection: Any, use: Use, job_id: str = "") -> Seen:
    """What a model saw of a video, of a job's plan alone when one is given."""
    params = {"video_id": use.video_id, "model_digest": use.model_digest, "job_id": job_id}
    found = connection.execute(_LEDGER, params).fetchnumpy()
    loaded = np.asarray(found["loaded"]).astype(np.bool_)
    return Seen(
        np.asarray(found["frame_offset"]).astype(np.int64)[loaded],
        np.asarray(found["time_offset_s"]).astype(np.float64)[loaded],
        int((~loaded).sum()),
    )
