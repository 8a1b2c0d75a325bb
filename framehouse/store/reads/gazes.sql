-- Rows of kind gazes; as detections.sql.
SELECT
    frame_offset, gaze_id AS row_id, face_confidence AS confidence, x, y, width, height,
    list_transform(landmarks, lambda p: p.x) AS landmark_x, list_transform(landmarks, lambda p: p.y) AS landmark_y,
    yaw_rad, pitch_rad
FROM gazes
WHERE video_id = $video_id AND model_digest = $model_digest
