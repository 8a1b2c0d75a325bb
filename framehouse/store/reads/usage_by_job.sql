-- Grain: one job: what it has cost. Bound: as usage_by_model.
SELECT
    job_id, video_id, status, finished_at, string_agg(model_id, ' ' ORDER BY model_id) AS models,
    sum(n_frames)::BIGINT AS n_frames, sum(n_paid)::BIGINT AS n_paid, sum(cpu_s) AS cpu_s, sum(gpu_s) AS gpu_s,
    sum(fetch_bytes)::BIGINT AS fetch_bytes, sum(money) AS money, any_value(currency) AS currency
FROM costs
WHERE ($1::TIMESTAMP IS NULL OR finished_at >= $1)
GROUP BY job_id, video_id, status, finished_at
ORDER BY finished_at DESC, job_id
