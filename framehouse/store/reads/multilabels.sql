-- Rows of kind multilabels; as detections.sql.
SELECT frame_offset, rank AS row_id, class_id, class_name, confidence
FROM classifications
WHERE video_id = $video_id AND model_digest = $model_digest
