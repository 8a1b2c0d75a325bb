-- Rows of kind keypoints: as detections.sql, with points; the index of a point is its slot in the skeleton.
INSERT INTO detections BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.keypoints, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
), boxes AS (
    SELECT
        frame_offset, model_id, unnest(keypoints) AS box,
        generate_subscripts(keypoints, 1)::INTEGER - 1 AS detection_id
    FROM instants
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, detection_id, model_id,
    box.class_id, box.class_name, box.confidence, box.x, box.y, box.width, box.height,
    list_transform(box.keypoint_name, lambda name, i: {
        class_id: i::INTEGER - 1, class_name: name, confidence: box.keypoint_confidence[i],
        x: box.keypoint_x[i], y: box.keypoint_y[i]
    }) AS keypoints
FROM boxes
ORDER BY frame_offset, detection_id;
