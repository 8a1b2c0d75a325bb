-- Grain: one line of text in one video by one model digest, letter for letter; what is read otherwise is another line.
-- Columns: video_id, uri, model_id, model_digest, text, n_frames_with, n_frames, best_confidence, first_s, last_s.
-- From asked_confidence() on.
-- Example: what is written in each video? SELECT uri, text, first_s, last_s FROM texts_per_video ORDER BY uri, first_s;
CREATE OR REPLACE VIEW texts_per_video AS
WITH seen AS (
    SELECT video_id, model_digest, count(*) AS n_frames
    FROM inferences
    WHERE status = 'loaded'
    GROUP BY video_id, model_digest
)
SELECT
    t.video_id, any_value(v.uri) AS uri, min(t.model_id) AS model_id, t.model_digest, t.text,
    count(DISTINCT t.frame_offset) AS n_frames_with, any_value(s.n_frames) AS n_frames,
    max(t.confidence) AS best_confidence, min(f.time_offset_s) AS first_s, max(f.time_offset_s) AS last_s
FROM texts t
JOIN seen s USING (video_id, model_digest)
JOIN frames f USING (video_id, frame_offset)
LEFT JOIN videos v USING (video_id)
WHERE t.confidence >= asked_confidence()
GROUP BY t.video_id, t.model_digest, t.text;

COMMENT ON VIEW texts_per_video IS 'Grain: one line of text in one video by one model digest, from asked_confidence() on.';
COMMENT ON COLUMN texts_per_video.video_id IS 'The video';
COMMENT ON COLUMN texts_per_video.uri IS 'One place where it was seen';
COMMENT ON COLUMN texts_per_video.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN texts_per_video.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN texts_per_video.text IS 'The line, letter for letter';
COMMENT ON COLUMN texts_per_video.n_frames_with IS 'Frames where it was read';
COMMENT ON COLUMN texts_per_video.n_frames IS 'Frames that the model saw';
COMMENT ON COLUMN texts_per_video.best_confidence IS 'Highest confidence, 0 to 1';
COMMENT ON COLUMN texts_per_video.first_s IS 'First frame that has it, seconds after the first frame of the video';
COMMENT ON COLUMN texts_per_video.last_s IS 'Last frame that has it, seconds after the first frame of the video';
