-- Frames whose embedding is like a vector, judged within each video: those in the upper half between the video's mean and
-- its best, and those that are as good as the best. Only the $top videos with the best frames: no other can have one of
-- the $top best moments. Bound: vector, model_digest, top, video_ids (null for all).
WITH scores AS MATERIALIZED (
    SELECT
        video_id, model_digest, model_id, frame_offset,
        list_cosine_similarity(embedding, $vector::FLOAT[])::DOUBLE AS score
    FROM embeddings
    WHERE model_digest = $model_digest AND ($video_ids IS NULL OR list_contains($video_ids, video_id))
), judged AS (
    SELECT video_id, max(score) AS best, avg(score) AS mean
    FROM scores
    WHERE isfinite(score)
    GROUP BY video_id
    ORDER BY best DESC, video_id
    LIMIT $top
)
SELECT s.video_id, s.model_digest, s.model_id, s.frame_offset, s.score, NULL::VARCHAR AS word,
    NULL::VARCHAR AS source, NULL::FLOAT AS confidence
FROM scores s
JOIN judged j USING (video_id)
WHERE isfinite(s.score) AND s.score >= j.best - greatest((j.best - j.mean) / 2, 0.02)
