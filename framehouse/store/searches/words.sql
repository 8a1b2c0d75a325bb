-- Frames that have a wanted word: the best one of each frame and model. Bound: words, sources, similarities (lists of one
-- length), video_ids (null for all). A frame far below the best of its video is left out.
SELECT video_id, model_digest, model_id, frame_offset, score, word, source, confidence
FROM (
    SELECT
        w.video_id, w.model_digest, w.model_id, w.frame_offset, w.word, w.source, w.confidence,
        w.confidence * s.similarity AS score
    FROM words_per_frame w
    JOIN (
        SELECT unnest($words::VARCHAR[]) AS word, unnest($sources::VARCHAR[]) AS source,
            unnest($similarities::DOUBLE[]) AS similarity
    ) s USING (word, source)
    WHERE $video_ids IS NULL OR list_contains($video_ids, w.video_id)
    QUALIFY row_number() OVER (
        PARTITION BY w.video_id, w.model_digest, w.frame_offset ORDER BY w.confidence * s.similarity DESC, w.word, w.source
    ) = 1
)
QUALIFY score >= 0.5 * max(score) OVER (PARTITION BY video_id)
