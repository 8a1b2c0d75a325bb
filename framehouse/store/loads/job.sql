-- One run record with its plan. Bound: every column of jobs; tables incoming_uses and incoming_estimate
-- (columns of usage and of job_estimates without job_id).
INSERT OR REPLACE INTO jobs BY NAME
SELECT
    $job_id AS job_id, $video_id AS video_id, $uri AS uri, $status AS status, $infer_fps AS infer_fps,
    $confidence AS confidence, $models::VARCHAR[] AS models, $submitted_at AS submitted_at,
    $started_at AS started_at, $finished_at AS finished_at, $attempt AS attempt, $error_code AS error_code,
    $error_message AS error_message, $error_hint AS error_hint, $error_hop AS error_hop, $error_second AS error_second,
    $worked_s AS worked_s;

DELETE FROM usage WHERE job_id = $job_id;
INSERT INTO usage BY NAME SELECT $job_id AS job_id, * FROM incoming_uses;

DELETE FROM job_estimates WHERE job_id = $job_id;
INSERT INTO job_estimates BY NAME SELECT $job_id AS job_id, * FROM incoming_estimate;
