-- Rows of kind texts; as detections.sql.
SELECT
    frame_offset, text_id AS row_id, text, confidence, x, y, width, height,
    list_transform(polygon, lambda p: p.x) AS polygon_x, list_transform(polygon, lambda p: p.y) AS polygon_y
FROM texts
WHERE video_id = $video_id AND model_digest = $model_digest
