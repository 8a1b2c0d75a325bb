-- Frames whose embedding is like a vector, judged within each video: those in the upper half between the video's mean and
-- its best, and those that are as good as the best. Bound: vector, model_digest, video_ids (null for all).
SELECT video_id, model_digest, model_id, frame_offset, score, NULL::VARCHAR AS word, NULL::VARCHAR AS source,
    NULL::FLOAT AS confidence
FROM (
    SELECT
        video_id, model_digest, model_id, frame_offset,
        list_cosine_similarity(embedding, $vector::FLOAT[])::DOUBLE AS score
    FROM embeddings
    WHERE model_digest = $model_digest AND ($video_ids IS NULL OR list_contains($video_ids, video_id))
)
WHERE isfinite(score)
WINDOW w AS (PARTITION BY video_id)
QUALIFY score >= max(score) OVER w - greatest((max(score) OVER w - avg(score) OVER w) / 2, 0.02)
