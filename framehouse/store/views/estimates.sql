-- Grain: one job of a backfill: what it was expected to cost beside what it did cost.
-- Columns: job_id, video_id, uri, status, expected_frames, n_frames, expected_s, low_s, high_s, worked_s, error_share,
-- is_within, expected_fetch_bytes, fetched_bytes, n_runs, expected_cpu_s, cpu_s, expected_gpu_s, gpu_s, expected_money,
-- money, currency.
-- Example: how good are the estimates? SELECT avg(abs(error_share)), avg(is_within::INTEGER) FROM estimates;
CREATE OR REPLACE VIEW estimates AS
WITH did AS (
    SELECT job_id, sum(n_inferred)::BIGINT AS n_frames, sum(bytes)::BIGINT AS fetched_bytes
    FROM usage
    GROUP BY job_id
),
paid AS (
    SELECT job_id, sum(cpu_s) AS cpu_s, sum(gpu_s) AS gpu_s, sum(money) AS money
    FROM costs
    GROUP BY job_id
)
SELECT
    e.job_id, j.video_id, j.uri, j.status, e.n_frames AS expected_frames, d.n_frames, e.seconds AS expected_s, e.low_s,
    e.high_s, j.worked_s, j.worked_s / e.seconds - 1 AS error_share,
    j.worked_s BETWEEN e.low_s AND e.high_s AS is_within, e.fetch_bytes AS expected_fetch_bytes, d.fetched_bytes,
    e.n_runs, e.cpu_s AS expected_cpu_s, c.cpu_s, e.gpu_s AS expected_gpu_s, c.gpu_s,
    money(e.cpu_s, e.gpu_s, e.fetch_bytes) AS expected_money, c.money, currency() AS currency
FROM job_estimates e
JOIN jobs j USING (job_id)
LEFT JOIN did d USING (job_id)
LEFT JOIN paid c USING (job_id);

COMMENT ON VIEW estimates IS 'Grain: one job of a backfill: what it was expected to cost beside what it did cost.';
COMMENT ON COLUMN estimates.job_id IS 'The job';
COMMENT ON COLUMN estimates.video_id IS 'The video';
COMMENT ON COLUMN estimates.uri IS 'Where the video was asked for';
COMMENT ON COLUMN estimates.status IS 'How the job ended';
COMMENT ON COLUMN estimates.expected_frames IS 'Frames x models that were to be inferred';
COMMENT ON COLUMN estimates.n_frames IS 'Frames x models that its last attempt inferred';
COMMENT ON COLUMN estimates.expected_s IS 'Seconds of work that were expected';
COMMENT ON COLUMN estimates.low_s IS 'Least seconds of the band';
COMMENT ON COLUMN estimates.high_s IS 'Most seconds of the band';
COMMENT ON COLUMN estimates.worked_s IS 'Seconds that its last attempt was at work';
COMMENT ON COLUMN estimates.error_share IS 'How far off: 0.5 when it took half as long again as expected, -0.5 when half as long';
COMMENT ON COLUMN estimates.is_within IS 'Whether it kept to the band';
COMMENT ON COLUMN estimates.expected_fetch_bytes IS 'Bytes that were to be fetched';
COMMENT ON COLUMN estimates.fetched_bytes IS 'Bytes that were fetched';
COMMENT ON COLUMN estimates.n_runs IS 'Earlier runs that the speeds were measured on';
COMMENT ON COLUMN estimates.expected_cpu_s IS 'CPU seconds that were expected';
COMMENT ON COLUMN estimates.cpu_s IS 'CPU seconds of all its attempts';
COMMENT ON COLUMN estimates.expected_gpu_s IS 'GPU seconds that were expected';
COMMENT ON COLUMN estimates.gpu_s IS 'GPU seconds of all its attempts';
COMMENT ON COLUMN estimates.expected_money IS 'What was expected, at the prices of the settings';
COMMENT ON COLUMN estimates.money IS 'What all its attempts cost at the same prices';
COMMENT ON COLUMN estimates.currency IS 'FRAMEHOUSE_COSTS__CURRENCY';
