-- Grain: one model digest that looked at a video. Bound: video_id. `step_s`: median time between frames that it was to
-- look at; null for a single one.
WITH looked AS (
    SELECT
        i.model_digest, i.model_id, i.status, f.time_offset_s,
        f.time_offset_s - lag(f.time_offset_s) OVER (PARTITION BY i.model_digest ORDER BY i.frame_offset) AS step_s
    FROM inferences i
    JOIN frames f USING (video_id, frame_offset)
    WHERE i.video_id = $video_id
), kinds AS (
    SELECT model_digest, any_value(kind) AS kind FROM usage GROUP BY model_digest
)
SELECT
    l.model_digest, min(l.model_id) AS model_id, any_value(k.kind) AS kind, count(*) AS n_frames,
    count(*) FILTER (l.status = 'gap') AS n_gaps, median(l.step_s) AS step_s
FROM looked l
LEFT JOIN kinds k USING (model_digest)
GROUP BY l.model_digest
ORDER BY model_id, l.model_digest
