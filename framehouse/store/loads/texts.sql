-- Rows of kind texts, of the part that was picked for each instant; bound as in detections.sql. The order of the list is
-- the reading order.
INSERT INTO texts BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.texts, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
), lines AS (
    SELECT frame_offset, model_id, unnest(texts) AS line, generate_subscripts(texts, 1)::INTEGER - 1 AS text_id
    FROM instants
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, text_id, model_id,
    line.text, line.confidence, line.x, line.y, line.width, line.height,
    list_transform(line.polygon_x, lambda x, i: {x: x, y: line.polygon_y[i]}) AS polygon
FROM lines
ORDER BY frame_offset, text_id;
