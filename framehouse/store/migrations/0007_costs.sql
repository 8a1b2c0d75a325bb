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
COMMENT ON COLUMN settings.name IS 'confidence: least confidence that views count; generation: token of the rebuild that it stems from; prices: what work costs';
COMMENT ON COLUMN settings.value IS 'The value as text; confidence: 0 to 1; prices: of a CPU hour, a GPU hour, a fetched GB (10^9 bytes), and the currency';

-- What work costs at the prices of settings. Views use these, so they are here and not among the macros that use views.
CREATE MACRO price(place) AS (SELECT split_part(min(value), ' ', place) FROM settings WHERE name = 'prices');
CREATE MACRO currency() AS price(4);
CREATE MACRO money(cpu_s, gpu_s, fetch_bytes) AS
    cpu_s / 3600 * price(1)::DOUBLE + gpu_s / 3600 * price(2)::DOUBLE + fetch_bytes / 1e9 * price(3)::DOUBLE;
COMMENT ON MACRO price IS 'One of the prices of settings, as text: 1 a CPU hour, 2 a GPU hour, 3 a fetched GB (10^9 bytes), 4 the currency';
COMMENT ON MACRO currency IS 'Currency of the prices of settings (FRAMEHOUSE_COSTS__CURRENCY)';
COMMENT ON MACRO money IS 'What so many CPU seconds, GPU seconds and fetched bytes cost at the prices of settings';
