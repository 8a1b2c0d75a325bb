-- All vectors of a video by a model digest, in order of frames. Bound: model_digest, video_ids (null for all).
SELECT e.video_id, any_value(v.uri) AS uri, list(e.embedding ORDER BY e.frame_offset) AS vectors
FROM embeddings e
LEFT JOIN videos v USING (video_id)
WHERE e.model_digest = $model_digest AND ($video_ids IS NULL OR list_contains($video_ids, e.video_id))
GROUP BY e.video_id
ORDER BY e.video_id
