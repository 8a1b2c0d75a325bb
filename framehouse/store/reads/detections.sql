-- Rows of kind detections of one video by one model digest, in the columns of its record. Bound: video_id, model_digest.
SELECT
    frame_offset, detection_id AS row_id, class_id, class_name, confidence, x, y, width, height
FROM detections
WHERE video_id = $video_id AND model_digest = $model_digest
