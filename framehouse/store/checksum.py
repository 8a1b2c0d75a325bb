"""Equal tables: one checksum per result table, over its sorted rows, without job ids, times of day and attempts.

Columns are named, so that a store compares with itself after a later release has added some.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from framehouse.store.connection import fetch, reading
from framehouse.store.migrate import schema_version

_ROWS = {
    "videos": "SELECT video_id, content_sha256, size_bytes, container, codec, width, height, rotation_deg, timing,"
    " video_fps, video_fps_text, n_frames, duration_s, first_pts, time_base_num, time_base_den, recorded_at, damage,"
    " labels FROM videos",
    "frames": "SELECT video_id, frame_offset, pts, time_offset_s FROM frames",
    "planned": "SELECT DISTINCT j.video_id, f.frame_offset, f.target_s FROM job_frames f JOIN jobs j USING (job_id)",
    "inferences": "SELECT video_id, frame_offset, model_digest, model_id, status, gap_reason FROM inferences",
    "detections": "SELECT video_id, frame_offset, model_digest, detection_id, model_id, class_id, class_name,"
    " confidence, x, y, width, height, mask, keypoints FROM detections",
    "classifications": "SELECT video_id, frame_offset, model_digest, rank, model_id, class_id, class_name, confidence"
    " FROM classifications",
    "embeddings": "SELECT video_id, frame_offset, model_digest, model_id, embedding FROM embeddings",
    "gazes": "SELECT video_id, frame_offset, model_digest, gaze_id, model_id, face_confidence, x, y, width, height,"
    " landmarks, yaw_rad, pitch_rad FROM gazes",
    "texts": "SELECT video_id, frame_offset, model_digest, text_id, model_id, text, confidence, x, y, width, height,"
    " polygon FROM texts",
    "findings": "SELECT ruleset_id, video_id, input_digest, model_digests, n_events, n_scenes, n_tracks, judged_s,"
    " unjudged_s FROM findings",
    "rulesets": "SELECT ruleset_id, kind, params, version FROM rulesets",
    "events": "SELECT event_id, ruleset_id, video_id, kind, time_offset_s, end_s, frame_offset, tracker_id, class_name,"
    " score, facts FROM events",
    "scenes": "SELECT ruleset_id, video_id, scene_id, start_s, end_s, first_frame_offset, last_frame_offset, facts"
    " FROM scenes",
    "tracks": "SELECT ruleset_id, video_id, model_digest, frame_offset, detection_id, tracker_id FROM tracks",
    "completeness": "SELECT video_id, model_id, model_digest, n_planned, n_loaded, n_gaps, n_open, n_unexplained,"
    " n_unplanned FROM completeness",
}
_SINCE = {
    **dict.fromkeys(("classifications", "embeddings", "gazes", "texts"), 2),
    **dict.fromkeys(("findings", "rulesets", "events", "scenes", "tracks"), 6),
}
"""Table -> first schema version that has it; the others are of the first."""


def tables_checksum(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Table -> hex sha256. Rows are compared exactly: floats by their shortest exact text, doubled rows count.

    A table without rows is left out, so that it equals one which an earlier schema does not have.

    Args:
        connection: an open database; see `snapshot_checksum` for the published one.
    """
    version = schema_version(connection)
    sums = {name: _checksum(connection, rows) for name, rows in _ROWS.items() if _SINCE.get(name, 1) <= version}
    return {name: digest for name, digest in sums.items() if digest is not None}


def snapshot_checksum(store_dir: Path) -> dict[str, str]:
    """The same, of the published snapshot. Raises as `connection.reading`."""
    with reading(store_dir) as connection:
        return tables_checksum(connection)


def _checksum(connection: duckdb.DuckDBPyConnection, rows: str) -> str | None:
    digest = fetch(
        connection,
        f"SELECT sha256(string_agg(line, '' ORDER BY line)) FROM ("  # noqa: S608 - our own constants
        f"SELECT sha256(to_json(r)::VARCHAR) AS line FROM ({rows}) r)",
    )
    return None if digest[0][0] is None else str(digest[0][0])
