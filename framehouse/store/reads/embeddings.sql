-- Rows of kind embeddings; as detections.sql.
SELECT frame_offset, 0 AS row_id, embedding
FROM embeddings
WHERE video_id = $video_id AND model_digest = $model_digest
