-- One video record. Bound: every column of videos; table incoming_locations (columns of _LOCATIONS).
INSERT OR REPLACE INTO videos BY NAME
SELECT
    $video_id AS video_id, NULL::VARCHAR AS uri, $content_sha256 AS content_sha256, $size_bytes AS size_bytes,
    $container AS container, $codec AS codec, $width AS width, $height AS height, $rotation_deg AS rotation_deg,
    $timing AS timing, $video_fps AS video_fps, $video_fps_text AS video_fps_text, $n_frames AS n_frames,
    $duration_s AS duration_s, $first_pts AS first_pts, $time_base_num AS time_base_num,
    $time_base_den AS time_base_den, $recorded_at AS recorded_at, $first_seen_at AS first_seen_at,
    $damage::VARCHAR[] AS damage, map($label_names::VARCHAR[], $label_values::VARCHAR[]) AS labels;

-- A place that two videos claim belongs to the content seen there last, whichever is loaded first.
INSERT INTO video_locations BY NAME
SELECT
    uri, $video_id AS video_id, etag, size_bytes, modified_at, $first_seen_at::TIMESTAMP AS first_seen_at, seen_at,
    gone_at
FROM incoming_locations
ON CONFLICT (uri) DO UPDATE SET
    video_id = excluded.video_id, etag = excluded.etag, size_bytes = excluded.size_bytes,
    modified_at = excluded.modified_at, first_seen_at = excluded.first_seen_at, seen_at = excluded.seen_at,
    gone_at = excluded.gone_at
WHERE excluded.video_id = video_locations.video_id
    OR (
        coalesce(excluded.seen_at, excluded.modified_at, excluded.first_seen_at, '-infinity'), excluded.video_id
    ) > (
        coalesce(video_locations.seen_at, video_locations.modified_at, video_locations.first_seen_at, '-infinity'),
        video_locations.video_id
    );

UPDATE videos SET uri = (
    SELECT min(l.uri) FROM video_locations l WHERE l.video_id = videos.video_id AND l.gone_at IS NULL
)
WHERE video_id = $video_id OR uri IN (SELECT uri FROM incoming_locations);
