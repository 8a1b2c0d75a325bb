-- Grain: one model in one job: what it has cost, all attempts together, in seconds, bytes and money.
-- Columns: job_id, video_id, uri, model_id, model_digest, status, finished_at, n_frames, n_paid, cpu_s, gpu_s, fetch_bytes,
-- cpu_money, gpu_money, fetch_money, money, currency.
-- Example: what did each model cost this month? SELECT model_id, sum(money) FROM costs WHERE finished_at >= date_trunc('month', now()::TIMESTAMP) GROUP BY ALL;
CREATE OR REPLACE VIEW costs AS
SELECT
    u.job_id, j.video_id, j.uri, u.model_id, u.model_digest, j.status, j.finished_at, u.n_frames, u.n_paid, u.cpu_s,
    u.gpu_s, u.fetch_bytes,
    money(u.cpu_s, 0, 0) AS cpu_money,
    money(0, u.gpu_s, 0) AS gpu_money,
    money(0, 0, u.fetch_bytes) AS fetch_money,
    money(u.cpu_s, u.gpu_s, u.fetch_bytes) AS money,
    currency() AS currency
FROM usage u
JOIN jobs j USING (job_id);

COMMENT ON VIEW costs IS 'Grain: one model in one job: what it has cost, all attempts together, in seconds, bytes and money.';
COMMENT ON COLUMN costs.job_id IS 'The job';
COMMENT ON COLUMN costs.video_id IS 'The video';
COMMENT ON COLUMN costs.uri IS 'Where the video was asked for';
COMMENT ON COLUMN costs.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN costs.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN costs.status IS 'How the job ended';
COMMENT ON COLUMN costs.finished_at IS 'When the job ended, UTC';
COMMENT ON COLUMN costs.n_frames IS 'Planned frames with an answer';
COMMENT ON COLUMN costs.n_paid IS 'Frames that all attempts of the job inferred; the others of n_frames were there';
COMMENT ON COLUMN costs.cpu_s IS 'CPU seconds: the workers'', shared out by frames, and the inference of a model that a CPU serves';
COMMENT ON COLUMN costs.gpu_s IS 'Seconds of inference of a model that a GPU serves';
COMMENT ON COLUMN costs.fetch_bytes IS 'Bytes that were fetched, the job''s divided by its models';
COMMENT ON COLUMN costs.cpu_money IS 'cpu_s at FRAMEHOUSE_COSTS__CPU_HOUR';
COMMENT ON COLUMN costs.gpu_money IS 'gpu_s at FRAMEHOUSE_COSTS__GPU_HOUR';
COMMENT ON COLUMN costs.fetch_money IS 'fetch_bytes at FRAMEHOUSE_COSTS__FETCHED_GB';
COMMENT ON COLUMN costs.money IS 'All three together';
COMMENT ON COLUMN costs.currency IS 'FRAMEHOUSE_COSTS__CURRENCY';
