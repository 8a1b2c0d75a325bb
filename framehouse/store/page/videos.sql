-- Grain: one video, newest first. Bound: words (part of a place, lower case; empty for all), top, skip.
-- `classes`: up to four classes of its boxes, those in most frames first, from asked_confidence() on.
WITH found AS (
    SELECT video_id, uri, codec, width, height, video_fps, n_frames, duration_s, size_bytes, first_seen_at, damage
    FROM videos
    WHERE $words = '' OR contains(lower(coalesce(uri, '')), $words) OR video_id = $words
    ORDER BY first_seen_at DESC, video_id
    LIMIT $top OFFSET $skip
), counted AS (
    SELECT video_id, class_name, count(DISTINCT frame_offset) AS n_frames_with
    FROM detections
    WHERE video_id IN (SELECT video_id FROM found) AND confidence >= asked_confidence()
    GROUP BY video_id, class_name
), classes AS (
    SELECT video_id, (list(class_name ORDER BY n_frames_with DESC, class_name))[:4] AS classes
    FROM counted
    GROUP BY video_id
), models AS (
    SELECT video_id, count(DISTINCT model_id) AS n_models, count(*) FILTER (status = 'gap') AS n_gaps
    FROM inferences
    WHERE video_id IN (SELECT video_id FROM found)
    GROUP BY video_id
)
SELECT f.*, coalesce(c.classes, []) AS classes, coalesce(m.n_models, 0) AS n_models, coalesce(m.n_gaps, 0) AS n_gaps
FROM found f
LEFT JOIN classes c USING (video_id)
LEFT JOIN models m USING (video_id)
ORDER BY f.first_seen_at DESC, f.video_id
