-- Rows of kind detections, of the part that was picked for each instant. Bound: video_id, model_digest, paths (escaped
-- against globbing); table picked as in ledger.sql. Earlier rows are gone. The order of the list is the order in the frame.
INSERT INTO detections BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.detections, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
), boxes AS (
    SELECT
        frame_offset, model_id, unnest(detections) AS box,
        generate_subscripts(detections, 1)::INTEGER - 1 AS detection_id
    FROM instants
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, detection_id, model_id,
    box.class_id, box.class_name, box.confidence, box.x, box.y, box.width, box.height
FROM boxes
ORDER BY frame_offset, detection_id;
