-- Grain: one frame that a model was to look at, start_s <= time < end_s. Bound: video_id, start_s, end_s.
SELECT i.model_digest, i.frame_offset, f.time_offset_s AS t, i.status = 'loaded' AS ok
FROM inferences i
JOIN frames f USING (video_id, frame_offset)
WHERE i.video_id = $video_id AND f.time_offset_s >= $start_s AND f.time_offset_s < $end_s
ORDER BY i.model_digest, i.frame_offset
