-- Grain: one word that one model digest gave to one frame; what it gave twice counts once, with its best confidence.
-- Columns: video_id, uri, model_id, model_digest, frame_offset, time_offset_s, source, word, confidence.
-- source: object (class of a box), tag (class of the frame), text (word that is written there, lower case, two letters or
-- more). Words from asked_confidence() on: the session's variable confidence, else 0.4. The base of tag search.
-- Example: which words stand for most of each video? SELECT uri, word, count(*) AS n FROM words_per_frame GROUP BY ALL ORDER BY n DESC;
CREATE OR REPLACE VIEW words_per_frame AS
WITH words AS (
    SELECT video_id, model_digest, frame_offset, model_id, 'object' AS source, class_name AS word, confidence
    FROM detections
    WHERE confidence >= asked_confidence()
    UNION ALL
    SELECT video_id, model_digest, frame_offset, model_id, 'tag', class_name, confidence
    FROM classifications
    WHERE confidence >= asked_confidence()
    UNION ALL
    SELECT
        video_id, model_digest, frame_offset, model_id, 'text',
        unnest(regexp_extract_all(lower(text), '[\p{L}\p{N}]{2,}')), confidence
    FROM texts
    WHERE confidence >= asked_confidence()
), per_frame AS (
    SELECT
        video_id, model_digest, frame_offset, source, word, min(model_id) AS model_id, max(confidence) AS confidence
    FROM words
    GROUP BY video_id, model_digest, frame_offset, source, word
)
SELECT
    w.video_id, v.uri, w.model_id, w.model_digest, w.frame_offset, f.time_offset_s, w.source, w.word, w.confidence
FROM per_frame w
JOIN frames f USING (video_id, frame_offset)
LEFT JOIN videos v USING (video_id);

COMMENT ON VIEW words_per_frame IS 'Grain: one word that one model digest gave to one frame, from asked_confidence() on: classes of boxes, tags, written words.';
COMMENT ON COLUMN words_per_frame.video_id IS 'The video';
COMMENT ON COLUMN words_per_frame.uri IS 'One place where it was seen';
COMMENT ON COLUMN words_per_frame.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN words_per_frame.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN words_per_frame.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN words_per_frame.time_offset_s IS 'Presentation time, seconds after the first frame';
COMMENT ON COLUMN words_per_frame.source IS 'object: class of a box; tag: class of the frame; text: written there';
COMMENT ON COLUMN words_per_frame.word IS 'The class as the model names it, or the written word in lower case';
COMMENT ON COLUMN words_per_frame.confidence IS 'Best in the frame, 0 to 1';
