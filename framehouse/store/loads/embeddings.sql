-- Rows of kind embeddings, of the part that was picked for each instant; bound as in detections.sql.
INSERT INTO embeddings BY NAME
WITH instants AS (
    SELECT r.frame_offset, r.embeddings, p.model_id
    FROM read_parquet($paths, filename = true) r
    JOIN picked p ON p.frame_offset = r.frame_offset AND p.path = r.filename
    WHERE p.gap_reason IS NULL
)
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, model_id,
    embeddings[1].embedding AS embedding
FROM instants
WHERE len(embeddings) > 0
ORDER BY frame_offset;
