-- Grain: one class in one second of a video by one model digest; seconds without the class have no row.
-- Columns: video_id, uri, model_id, model_digest, second, class_id, class_name, n_detections, n_frames, mean_per_frame,
-- max_in_frame. Counts from asked_confidence(): the session's variable confidence, else 0.4.
-- Example: when were most people in view?
-- SELECT uri, second, max_in_frame FROM detections_per_second WHERE class_name = 'person' ORDER BY max_in_frame DESC;
CREATE OR REPLACE VIEW detections_per_second AS
WITH seconds AS (
    SELECT i.video_id, i.model_digest, floor(f.time_offset_s)::BIGINT AS second, count(*) AS n_frames
    FROM inferences i
    JOIN frames f USING (video_id, frame_offset)
    WHERE i.status = 'loaded'
    GROUP BY ALL
), per_frame AS (
    SELECT video_id, model_digest, frame_offset, min(model_id) AS model_id, class_id, class_name, count(*) AS n
    FROM detections
    WHERE confidence >= asked_confidence()
    GROUP BY video_id, model_digest, frame_offset, class_id, class_name
), per_second AS (
    SELECT
        d.video_id, d.model_digest, floor(f.time_offset_s)::BIGINT AS second, min(d.model_id) AS model_id,
        d.class_id, d.class_name, sum(d.n)::BIGINT AS n_detections, max(d.n) AS max_in_frame
    FROM per_frame d
    JOIN frames f USING (video_id, frame_offset)
    GROUP BY d.video_id, d.model_digest, second, d.class_id, d.class_name
)
SELECT
    p.video_id, v.uri, p.model_id, p.model_digest, p.second, p.class_id, p.class_name, p.n_detections, s.n_frames,
    p.n_detections / s.n_frames AS mean_per_frame, p.max_in_frame
FROM per_second p
JOIN seconds s USING (video_id, model_digest, second)
LEFT JOIN videos v USING (video_id);

COMMENT ON VIEW detections_per_second IS 'Grain: one class in one second of a video by one model digest, from asked_confidence() on.';
COMMENT ON COLUMN detections_per_second.video_id IS 'The video';
COMMENT ON COLUMN detections_per_second.uri IS 'One place where it was seen';
COMMENT ON COLUMN detections_per_second.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN detections_per_second.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN detections_per_second.second IS 'Whole second after the first frame';
COMMENT ON COLUMN detections_per_second.class_id IS 'Index of the class in the model''s labels';
COMMENT ON COLUMN detections_per_second.class_name IS 'Name of the class';
COMMENT ON COLUMN detections_per_second.n_detections IS 'Boxes in all inferred frames of the second';
COMMENT ON COLUMN detections_per_second.n_frames IS 'Frames of the second that the model saw';
COMMENT ON COLUMN detections_per_second.mean_per_frame IS 'Boxes per frame that the model saw';
COMMENT ON COLUMN detections_per_second.max_in_frame IS 'Most boxes in one frame: objects at once';
