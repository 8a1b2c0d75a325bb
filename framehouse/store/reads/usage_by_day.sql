-- Grain: one day (UTC) on which jobs ended: what they have cost. Bound: as usage_by_model.
SELECT
    finished_at::DATE AS day, count(DISTINCT job_id) AS n_jobs,
    sum(n_frames)::BIGINT AS n_frames, sum(n_paid)::BIGINT AS n_paid, sum(cpu_s) AS cpu_s, sum(gpu_s) AS gpu_s,
    sum(fetch_bytes)::BIGINT AS fetch_bytes, sum(money) AS money, any_value(currency) AS currency
FROM costs
WHERE ($1::TIMESTAMP IS NULL OR finished_at >= $1)
GROUP BY day
ORDER BY day DESC
