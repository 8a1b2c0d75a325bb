-- Frames with a line of text that has a phrase in it, whatever the case, spaces and signs; the surest line of each frame
-- and model. Bound: phrase, video_ids (null for all).
SELECT
    video_id, model_digest, min(model_id) AS model_id, frame_offset, max(confidence)::DOUBLE AS score,
    arg_max(text, confidence) AS word, 'text' AS source, max(confidence) AS confidence
FROM texts
WHERE confidence >= asked_confidence()
    AND regexp_replace($phrase, '[^\p{L}\p{N}]', '', 'g') <> ''
    AND contains(
        lower(regexp_replace(text, '[^\p{L}\p{N}]', '', 'g')),
        lower(regexp_replace($phrase, '[^\p{L}\p{N}]', '', 'g')))
    AND ($video_ids IS NULL OR list_contains($video_ids, video_id))
GROUP BY video_id, model_digest, frame_offset
