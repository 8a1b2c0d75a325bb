-- Vectors of some videos by a model digest, by frame. Bound: model_digest, video_ids.
SELECT e.frame_offset, f.time_offset_s, e.embedding
FROM embeddings e
JOIN frames f USING (video_id, frame_offset)
WHERE e.model_digest = $model_digest AND list_contains($video_ids, e.video_id)
ORDER BY e.video_id, e.frame_offset
