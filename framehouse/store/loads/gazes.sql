-- Rows of kind gazes, of the part that was picked for each instant; bound as in detections.sql. The order of the list is
-- the order in the frame.
INSERT INTO gazes BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.gazes, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
), faces AS (
    SELECT frame_offset, model_id, unnest(gazes) AS face, generate_subscripts(gazes, 1)::INTEGER - 1 AS gaze_id
    FROM instants
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, gaze_id, model_id,
    face.confidence AS face_confidence, face.x, face.y, face.width, face.height,
    list_transform(face.landmark_x, lambda x, i: {x: x, y: face.landmark_y[i]}) AS landmarks,
    face.yaw_rad, face.pitch_rad
FROM faces
ORDER BY frame_offset, gaze_id;
