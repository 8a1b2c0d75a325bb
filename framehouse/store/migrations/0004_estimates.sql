-- What jobs were expected to cost, and what they did cost.

ALTER TABLE usage ADD COLUMN n_inferred BIGINT DEFAULT 0;
COMMENT ON COLUMN usage.n_inferred IS 'Frames that the job''s last attempt inferred itself; the others of n_frames were there';

ALTER TABLE jobs ADD COLUMN worked_s DOUBLE DEFAULT 0;
COMMENT ON COLUMN jobs.worked_s IS 'Seconds that its last attempt was at work, fetching included; 0 when unknown';
COMMENT ON COLUMN jobs.status IS 'queued, running, paused, done, failed or cancelled';

CREATE TABLE job_estimates (
    job_id      VARCHAR NOT NULL,
    n_frames    BIGINT NOT NULL,
    seconds     DOUBLE NOT NULL,
    low_s       DOUBLE NOT NULL,
    high_s      DOUBLE NOT NULL,
    fetch_bytes BIGINT NOT NULL,
    read_bytes  BIGINT NOT NULL,
    n_runs      BIGINT NOT NULL
);
COMMENT ON TABLE job_estimates IS 'Grain: one job of a backfill, with what it was expected to cost before it began.';
COMMENT ON COLUMN job_estimates.job_id IS 'The job';
COMMENT ON COLUMN job_estimates.n_frames IS 'Frames x models to infer';
COMMENT ON COLUMN job_estimates.seconds IS 'Seconds of work';
COMMENT ON COLUMN job_estimates.low_s IS 'Least seconds, as four of five earlier runs kept to';
COMMENT ON COLUMN job_estimates.high_s IS 'Most seconds, as four of five earlier runs kept to';
COMMENT ON COLUMN job_estimates.fetch_bytes IS 'Bytes to be fetched';
COMMENT ON COLUMN job_estimates.read_bytes IS 'Bytes of the container that the decoder goes through';
COMMENT ON COLUMN job_estimates.n_runs IS 'Earlier runs that the speeds were measured on; 0: figures of the model cards';
