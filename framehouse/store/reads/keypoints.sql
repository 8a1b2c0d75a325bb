-- Rows of kind keypoints; as detections.sql. The stored order of the points is the order of their slots.
SELECT
    frame_offset, detection_id AS row_id, class_id, class_name, confidence, x, y, width, height,
    list_transform(keypoints, lambda k: k.class_name) AS keypoint_name,
    list_transform(keypoints, lambda k: k.confidence) AS keypoint_confidence,
    list_transform(keypoints, lambda k: k.x) AS keypoint_x,
    list_transform(keypoints, lambda k: k.y) AS keypoint_y
FROM detections
WHERE video_id = $video_id AND model_digest = $model_digest
