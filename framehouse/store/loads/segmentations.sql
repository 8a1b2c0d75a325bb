-- Rows of kind segmentations: as detections.sql, with masks.
INSERT INTO detections BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.segmentations, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
), boxes AS (
    SELECT
        frame_offset, model_id, unnest(segmentations) AS box,
        generate_subscripts(segmentations, 1)::INTEGER - 1 AS detection_id
    FROM instants
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, detection_id, model_id,
    box.class_id, box.class_name, box.confidence, box.x, box.y, box.width, box.height, box.mask
FROM boxes
ORDER BY frame_offset, detection_id;
