-- What each model of a job has cost, all attempts together, and at what prices.

ALTER TABLE usage ADD COLUMN n_paid BIGINT DEFAULT 0;
ALTER TABLE usage ADD COLUMN cpu_s DOUBLE DEFAULT 0;
ALTER TABLE usage ADD COLUMN gpu_s DOUBLE DEFAULT 0;
ALTER TABLE usage ADD COLUMN fetch_bytes BIGINT DEFAULT 0;
COMMENT ON COLUMN usage.n_paid IS 'Frames that all attempts of the job inferred, those of runs that died included';
COMMENT ON COLUMN usage.cpu_s IS 'CPU seconds of all attempts: the workers'', shared out by frames, and the inference of a model that a CPU serves';
COMMENT ON COLUMN usage.gpu_s IS 'Seconds of inference of all attempts, of a model that a GPU serves';
COMMENT ON COLUMN usage.fetch_bytes IS 'Bytes that all attempts fetched, the job''s divided by its models';

ALTER TABLE job_estimates ADD COLUMN cpu_s DOUBLE DEFAULT 0;
ALTER TABLE job_estimates ADD COLUMN gpu_s DOUBLE DEFAULT 0;
COMMENT ON COLUMN job_estimates.cpu_s IS 'CPU seconds, as usage counts them';
COMMENT ON COLUMN job_estimates.gpu_s IS 'GPU seconds, as usage counts them';

INSERT INTO settings VALUES ('prices', '0 0 0 EUR');
COMMENT ON COLUMN settings.value IS 'The value as text; confidence: 0 to 1; prices: of a CPU hour, a GPU hour, a fetched GB (10^9 bytes), and the currency';
