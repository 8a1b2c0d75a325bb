-- Rows of kind multilabels, of the part that was picked for each instant; bound as in detections.sql. The order of the
-- list is the rank.
INSERT INTO classifications BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.multilabels, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
), classes AS (
    SELECT
        frame_offset, model_id, unnest(multilabels) AS class,
        generate_subscripts(multilabels, 1)::INTEGER - 1 AS rank
    FROM instants
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, rank, model_id,
    class.class_id, class.class_name, class.confidence
FROM classes
ORDER BY frame_offset, rank;
