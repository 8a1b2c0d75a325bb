-- Grain: one object in one frame that a job asked for, by one of its models, at the threshold that the job asked for.
-- Columns: job_id, model_id, model_digest, video_id, frame_offset, time_offset_s, detection_id, class_id, class_name,
-- confidence, x, y, width, height.
-- Example: what did this job find? SELECT class_name, count(*) FROM job_detections WHERE job_id = 'j_...' GROUP BY ALL;
CREATE OR REPLACE VIEW job_detections AS
SELECT
    j.job_id, u.model_id, u.model_digest, d.video_id, d.frame_offset, f.time_offset_s, d.detection_id, d.class_id,
    d.class_name, d.confidence, d.x, d.y, d.width, d.height
FROM jobs j
JOIN usage u USING (job_id)
JOIN job_frames p USING (job_id)
JOIN detections d ON d.video_id = j.video_id AND d.model_digest = u.model_digest AND d.frame_offset = p.frame_offset
JOIN frames f ON f.video_id = d.video_id AND f.frame_offset = d.frame_offset
WHERE d.confidence >= j.confidence;

COMMENT ON VIEW job_detections IS 'Grain: one object in one frame that a job asked for, by one of its models, at its own threshold.';
COMMENT ON COLUMN job_detections.job_id IS 'The job';
COMMENT ON COLUMN job_detections.model_id IS 'Name under which the job asked for the model, slug/version';
COMMENT ON COLUMN job_detections.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN job_detections.video_id IS 'The video';
COMMENT ON COLUMN job_detections.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN job_detections.time_offset_s IS 'Presentation time, seconds after the first frame';
COMMENT ON COLUMN job_detections.detection_id IS 'Index in the frame by falling confidence, from 0';
COMMENT ON COLUMN job_detections.class_id IS 'Index of the class in the model''s labels';
COMMENT ON COLUMN job_detections.class_name IS 'Name of the class';
COMMENT ON COLUMN job_detections.confidence IS '0 to 1';
COMMENT ON COLUMN job_detections.x IS 'Centre of the box from the left, pixels of the upright frame';
COMMENT ON COLUMN job_detections.y IS 'Centre of the box from the top, pixels of the upright frame';
COMMENT ON COLUMN job_detections.width IS 'Width of the box, pixels of the upright frame';
COMMENT ON COLUMN job_detections.height IS 'Height of the box, pixels of the upright frame';
