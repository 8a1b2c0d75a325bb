-- Grain: one class in one video by one model digest; classes that never appear have no row.
-- Columns: video_id, uri, model_id, model_digest, class_id, class_name, n_detections, n_frames_with, n_frames,
-- share_of_frames, max_in_frame, best_confidence, first_s, last_s. Counts from asked_confidence() on.
-- Example: what is in each video? SELECT uri, class_name, max_in_frame FROM objects_per_video ORDER BY uri, n_detections DESC;
CREATE OR REPLACE VIEW objects_per_video AS
WITH seen AS (
    SELECT video_id, model_digest, count(*) AS n_frames
    FROM inferences
    WHERE status = 'loaded'
    GROUP BY video_id, model_digest
), per_frame AS (
    SELECT
        video_id, model_digest, frame_offset, class_id, class_name, min(model_id) AS model_id, count(*) AS n,
        max(confidence) AS best_confidence
    FROM detections
    WHERE confidence >= asked_confidence()
    GROUP BY video_id, model_digest, frame_offset, class_id, class_name
)
SELECT
    d.video_id, any_value(v.uri) AS uri, min(d.model_id) AS model_id, d.model_digest, d.class_id, d.class_name,
    sum(d.n)::BIGINT AS n_detections, count(*) AS n_frames_with, any_value(s.n_frames) AS n_frames,
    count(*) / any_value(s.n_frames) AS share_of_frames, max(d.n) AS max_in_frame,
    max(d.best_confidence) AS best_confidence, min(f.time_offset_s) AS first_s, max(f.time_offset_s) AS last_s
FROM per_frame d
JOIN seen s USING (video_id, model_digest)
JOIN frames f USING (video_id, frame_offset)
LEFT JOIN videos v USING (video_id)
GROUP BY d.video_id, d.model_digest, d.class_id, d.class_name;

COMMENT ON VIEW objects_per_video IS 'Grain: one class in one video by one model digest, from asked_confidence() on.';
COMMENT ON COLUMN objects_per_video.video_id IS 'The video';
COMMENT ON COLUMN objects_per_video.uri IS 'One place where it was seen';
COMMENT ON COLUMN objects_per_video.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN objects_per_video.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN objects_per_video.class_id IS 'Index of the class in the model''s labels';
COMMENT ON COLUMN objects_per_video.class_name IS 'Name of the class';
COMMENT ON COLUMN objects_per_video.n_detections IS 'Boxes in all inferred frames';
COMMENT ON COLUMN objects_per_video.n_frames_with IS 'Frames with at least one box of the class';
COMMENT ON COLUMN objects_per_video.n_frames IS 'Frames that the model saw';
COMMENT ON COLUMN objects_per_video.share_of_frames IS 'n_frames_with / n_frames, 0 to 1';
COMMENT ON COLUMN objects_per_video.max_in_frame IS 'Most boxes in one frame: objects at once';
COMMENT ON COLUMN objects_per_video.best_confidence IS 'Highest confidence, 0 to 1';
COMMENT ON COLUMN objects_per_video.first_s IS 'First appearance, seconds after the first frame';
COMMENT ON COLUMN objects_per_video.last_s IS 'Last appearance, seconds after the first frame';
