-- Grain: one model: what its work has cost. Bound: the time from which on jobs ended, or NULL.
SELECT
    model_id, count(DISTINCT job_id) AS n_jobs,
    sum(n_frames)::BIGINT AS n_frames, sum(n_paid)::BIGINT AS n_paid, sum(cpu_s) AS cpu_s, sum(gpu_s) AS gpu_s,
    sum(fetch_bytes)::BIGINT AS fetch_bytes, sum(money) AS money, any_value(currency) AS currency
FROM costs
WHERE ($1::TIMESTAMP IS NULL OR finished_at >= $1)
GROUP BY model_id
ORDER BY money DESC, cpu_s DESC, model_id
