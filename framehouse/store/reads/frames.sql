-- The ledger of one video by one model digest, with times. Bound: video_id, model_digest.
SELECT i.frame_offset, f.time_offset_s, i.status = 'loaded' AS loaded, i.gap_reason
FROM inferences i
JOIN frames f USING (video_id, frame_offset)
WHERE i.video_id = ? AND i.model_digest = ? AND f.time_offset_s IS NOT NULL
ORDER BY i.frame_offset
