-- Facts of one video, and the places where it lies now. Bound: video_id.
SELECT
    v.width, v.height, v.duration_s, v.n_frames, v.video_fps,
    coalesce((
        SELECT list(l.uri ORDER BY l.uri) FROM video_locations l
        WHERE l.video_id = v.video_id AND l.gone_at IS NULL
    ), []) AS uris
FROM videos v
WHERE v.video_id = ?
