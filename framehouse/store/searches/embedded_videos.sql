-- How many videos have embeddings of a model digest. Bound: model_digest, video_ids (null for all).
SELECT count(DISTINCT video_id)
FROM embeddings
WHERE model_digest = $model_digest AND ($video_ids IS NULL OR list_contains($video_ids, video_id))
