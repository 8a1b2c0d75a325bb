-- Grain: one model: what its work has cost in all jobs. Decoding is shared out over the models of a job.
SELECT
    model_id, count(DISTINCT job_id) AS n_jobs, sum(n_frames)::BIGINT AS n_frames, sum(n_gaps)::BIGINT AS n_gaps,
    sum(infer_s) AS infer_s, sum(decode_s) AS decode_s, sum(bytes)::BIGINT AS n_bytes
FROM usage
GROUP BY model_id
ORDER BY sum(infer_s) + sum(decode_s) DESC, model_id
