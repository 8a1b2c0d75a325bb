-- Grain: one second of a video by one model digest in which a face was seen.
-- Columns: video_id, uri, model_id, model_digest, second, n_frames, n_frames_with, max_in_frame, mean_yaw_rad,
-- mean_pitch_rad, max_angle_rad. The angles are those of the surest face of each frame. Faces from asked_confidence() on.
-- Example: when did people look away? SELECT uri, second, max_angle_rad FROM gazes_per_second WHERE max_angle_rad > 0.5;
CREATE OR REPLACE VIEW gazes_per_second AS
WITH seconds AS (
    SELECT i.video_id, i.model_digest, floor(f.time_offset_s)::BIGINT AS second, count(*) AS n_frames
    FROM inferences i
    JOIN frames f USING (video_id, frame_offset)
    WHERE i.status = 'loaded'
    GROUP BY ALL
), per_frame AS (
    SELECT
        video_id, model_digest, frame_offset, min(model_id) AS model_id, count(*) AS n,
        arg_min(yaw_rad, gaze_id) AS yaw_rad, arg_min(pitch_rad, gaze_id) AS pitch_rad
    FROM gazes
    WHERE face_confidence >= asked_confidence()
    GROUP BY video_id, model_digest, frame_offset
), per_second AS (
    SELECT
        g.video_id, g.model_digest, floor(f.time_offset_s)::BIGINT AS second, min(g.model_id) AS model_id,
        count(*) AS n_frames_with, max(g.n) AS max_in_frame, avg(g.yaw_rad) AS mean_yaw_rad,
        avg(g.pitch_rad) AS mean_pitch_rad, max(acos(cos(g.yaw_rad) * cos(g.pitch_rad))) AS max_angle_rad
    FROM per_frame g
    JOIN frames f USING (video_id, frame_offset)
    GROUP BY g.video_id, g.model_digest, second
)
SELECT
    p.video_id, v.uri, p.model_id, p.model_digest, p.second, s.n_frames, p.n_frames_with, p.max_in_frame,
    p.mean_yaw_rad, p.mean_pitch_rad, p.max_angle_rad
FROM per_second p
JOIN seconds s USING (video_id, model_digest, second)
LEFT JOIN videos v USING (video_id);

COMMENT ON VIEW gazes_per_second IS 'Grain: one second of a video by one model digest in which a face was seen, from asked_confidence() on.';
COMMENT ON COLUMN gazes_per_second.video_id IS 'The video';
COMMENT ON COLUMN gazes_per_second.uri IS 'One place where it was seen';
COMMENT ON COLUMN gazes_per_second.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN gazes_per_second.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN gazes_per_second.second IS 'Whole second after the first frame';
COMMENT ON COLUMN gazes_per_second.n_frames IS 'Frames of the second that the model saw';
COMMENT ON COLUMN gazes_per_second.n_frames_with IS 'Those of them with a face';
COMMENT ON COLUMN gazes_per_second.max_in_frame IS 'Most faces in one frame';
COMMENT ON COLUMN gazes_per_second.mean_yaw_rad IS 'Mean over frames of the surest face''s yaw, radians: above 0 to the left of the picture';
COMMENT ON COLUMN gazes_per_second.mean_pitch_rad IS 'Mean over frames of the surest face''s pitch, radians: above 0 upwards';
COMMENT ON COLUMN gazes_per_second.max_angle_rad IS 'Largest angle between the surest face''s look and the line into the camera, radians';
