-- Grain: one class of whole frames in one video by one model digest; classes that never reach the threshold have no row.
-- Columns: video_id, uri, model_id, model_digest, class_id, class_name, n_frames_with, n_frames, share_of_frames,
-- mean_confidence, best_confidence, first_s, last_s. From asked_confidence() on.
-- Example: what is each video about? SELECT uri, class_name, share_of_frames FROM tags_per_video ORDER BY uri, n_frames_with DESC;
CREATE OR REPLACE VIEW tags_per_video AS
WITH seen AS (
    SELECT video_id, model_digest, count(*) AS n_frames
    FROM inferences
    WHERE status = 'loaded'
    GROUP BY video_id, model_digest
)
SELECT
    c.video_id, any_value(v.uri) AS uri, min(c.model_id) AS model_id, c.model_digest, c.class_id, c.class_name,
    count(*) AS n_frames_with, any_value(s.n_frames) AS n_frames, count(*) / any_value(s.n_frames) AS share_of_frames,
    avg(c.confidence) AS mean_confidence, max(c.confidence) AS best_confidence,
    min(f.time_offset_s) AS first_s, max(f.time_offset_s) AS last_s
FROM classifications c
JOIN seen s USING (video_id, model_digest)
JOIN frames f USING (video_id, frame_offset)
LEFT JOIN videos v USING (video_id)
WHERE c.confidence >= asked_confidence()
GROUP BY c.video_id, c.model_digest, c.class_id, c.class_name;

COMMENT ON VIEW tags_per_video IS 'Grain: one class of whole frames in one video by one model digest, from asked_confidence() on.';
COMMENT ON COLUMN tags_per_video.video_id IS 'The video';
COMMENT ON COLUMN tags_per_video.uri IS 'One place where it was seen';
COMMENT ON COLUMN tags_per_video.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN tags_per_video.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN tags_per_video.class_id IS 'Index of the class in the model''s labels';
COMMENT ON COLUMN tags_per_video.class_name IS 'Name of the class';
COMMENT ON COLUMN tags_per_video.n_frames_with IS 'Frames that have the class';
COMMENT ON COLUMN tags_per_video.n_frames IS 'Frames that the model saw';
COMMENT ON COLUMN tags_per_video.share_of_frames IS 'n_frames_with / n_frames, 0 to 1';
COMMENT ON COLUMN tags_per_video.mean_confidence IS 'Mean of the frames that have the class, 0 to 1';
COMMENT ON COLUMN tags_per_video.best_confidence IS 'Highest confidence, 0 to 1';
COMMENT ON COLUMN tags_per_video.first_s IS 'First frame that has it, seconds after the first frame of the video';
COMMENT ON COLUMN tags_per_video.last_s IS 'Last frame that has it, seconds after the first frame of the video';
