-- Grain: one class of boxes in one bin of a model digest, as in timeline_frames.sql: most in one frame, from
-- asked_confidence() on. Bound: video_id, bin_s.
WITH per_frame AS (
    SELECT model_digest, frame_offset, class_id, class_name, count(*) AS n
    FROM detections
    WHERE video_id = $video_id AND confidence >= asked_confidence()
    GROUP BY ALL
)
SELECT
    p.model_digest, p.class_id, p.class_name,
    CASE WHEN $bin_s = 0 THEN f.time_offset_s ELSE floor(f.time_offset_s / $bin_s + 1e-9) * $bin_s END AS t,
    max(p.n) AS value
FROM per_frame p
JOIN frames f ON f.video_id = $video_id AND f.frame_offset = p.frame_offset
GROUP BY ALL
ORDER BY p.model_digest, p.class_id, t
