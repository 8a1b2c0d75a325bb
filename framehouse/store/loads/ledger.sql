-- The ledger of one video by one model digest. Bound: video_id, model_digest; table picked (one row per instant:
-- frame_offset, pts, time_offset_s, model_id, gap_reason, infer_s, job_id, path).
DELETE FROM inferences WHERE video_id = $video_id AND model_digest = $model_digest;
INSERT INTO inferences BY NAME
SELECT
    $video_id AS video_id, frame_offset, $model_digest AS model_digest, model_id,
    CASE WHEN gap_reason IS NULL THEN 'loaded' ELSE 'gap' END AS status, gap_reason, infer_s,
    nullif(job_id, '') AS job_id
FROM picked
ORDER BY frame_offset;

INSERT INTO frames BY NAME
SELECT $video_id AS video_id, frame_offset, pts, time_offset_s
FROM picked
WHERE frame_offset NOT IN (SELECT frame_offset FROM frames WHERE video_id = $video_id)
ORDER BY frame_offset;
