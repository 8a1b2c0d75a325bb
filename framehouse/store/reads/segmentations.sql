-- Rows of kind segmentations; as detections.sql.
SELECT
    frame_offset, detection_id AS row_id, class_id, class_name, confidence, x, y, width, height, mask
FROM detections
WHERE video_id = $video_id AND model_digest = $model_digest
