-- Grain: one line of text, start_s <= time < end_s. Bound: video_id, start_s, end_s.
SELECT
    t.model_digest, t.frame_offset, t.text, round(t.confidence, 3) AS confidence,
    list_transform(t.polygon, lambda p: [round(p.x, 1), round(p.y, 1)]) AS polygon
FROM texts t
JOIN frames f USING (video_id, frame_offset)
WHERE t.video_id = $video_id AND f.time_offset_s >= $start_s AND f.time_offset_s < $end_s
ORDER BY t.model_digest, t.frame_offset, t.text_id
