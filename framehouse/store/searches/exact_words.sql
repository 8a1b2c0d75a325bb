-- Frames that have one of some words exactly: the surest one of each frame and model. Bound: words, video_ids (null for
-- all).
SELECT
    video_id, model_digest, min(model_id) AS model_id, frame_offset, max(confidence)::DOUBLE AS score,
    arg_max(word, confidence) AS word, arg_max(source, confidence) AS source, max(confidence) AS confidence
FROM words_per_frame
WHERE list_contains($words::VARCHAR[], word) AND ($video_ids IS NULL OR list_contains($video_ids, video_id))
GROUP BY video_id, model_digest, frame_offset
