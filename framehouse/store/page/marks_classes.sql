-- Grain: one class of a frame, start_s <= time < end_s, the three surest of each model. Bound: video_id, start_s, end_s.
SELECT c.model_digest, c.frame_offset, c.class_name, round(c.confidence, 3) AS confidence
FROM classifications c
JOIN frames f USING (video_id, frame_offset)
WHERE c.video_id = $video_id AND f.time_offset_s >= $start_s AND f.time_offset_s < $end_s AND c.rank < 3
ORDER BY c.model_digest, c.frame_offset, c.rank
