-- Grain: one class of whole frames in one bin of a model digest: its best confidence, from asked_confidence() on.
-- Bound: video_id, bin_s.
SELECT
    c.model_digest, c.class_id, c.class_name,
    CASE WHEN $bin_s = 0 THEN f.time_offset_s ELSE floor(f.time_offset_s / $bin_s + 1e-9) * $bin_s END AS t,
    round(max(c.confidence), 3) AS value
FROM classifications c
JOIN frames f USING (video_id, frame_offset)
WHERE c.video_id = $video_id AND c.confidence >= asked_confidence()
GROUP BY ALL
ORDER BY c.model_digest, c.class_id, t
