-- Grain: one job of a backfill: what it was expected to cost beside what it did. Bound: as usage_by_model.
SELECT
    job_id, e.status, expected_frames, n_frames, expected_s, e.worked_s, is_within, expected_cpu_s, cpu_s, expected_gpu_s,
    gpu_s, expected_fetch_bytes, fetched_bytes, expected_money, money, currency
FROM estimates e
JOIN jobs USING (job_id)
WHERE ($1::TIMESTAMP IS NULL OR finished_at >= $1)
ORDER BY finished_at DESC, job_id
