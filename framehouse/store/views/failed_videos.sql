-- Grain: one place and set of models whose newest job failed; it leaves the view when a later job succeeds.
-- Columns: uri, video_id, job_id, models, cause, message, hint, stage, second, attempt, failed_at, retry_command.
-- Example: why did videos fail? SELECT cause, stage, count(*) FROM failed_videos GROUP BY ALL;
CREATE OR REPLACE VIEW failed_videos AS
WITH newest AS (
    SELECT *
    FROM jobs
    QUALIFY row_number() OVER (PARTITION BY uri, list_sort(models) ORDER BY submitted_at DESC NULLS LAST, job_id DESC) = 1
)
SELECT
    uri, video_id, job_id, models, error_code AS cause, error_message AS message, error_hint AS hint,
    error_hop AS stage, error_second AS second, attempt, finished_at AS failed_at,
    'framehouse jobs retry ' || job_id AS retry_command
FROM newest
WHERE status = 'failed';

COMMENT ON VIEW failed_videos IS 'Grain: one place and set of models whose newest job failed.';
COMMENT ON COLUMN failed_videos.uri IS 'Where the video was asked for';
COMMENT ON COLUMN failed_videos.video_id IS 'The video; null when it failed before its content was known';
COMMENT ON COLUMN failed_videos.job_id IS 'The job that failed';
COMMENT ON COLUMN failed_videos.models IS 'Models asked for, slug/version';
COMMENT ON COLUMN failed_videos.cause IS 'Stable code: media.truncated ...';
COMMENT ON COLUMN failed_videos.message IS 'The failure in one line';
COMMENT ON COLUMN failed_videos.hint IS 'What to try';
COMMENT ON COLUMN failed_videos.stage IS 'Hop that failed: fetch, probe, plan, infer or load';
COMMENT ON COLUMN failed_videos.second IS 'Second of the video where it failed; null when it is not about a place';
COMMENT ON COLUMN failed_videos.attempt IS 'Number of the last attempt, from 1';
COMMENT ON COLUMN failed_videos.failed_at IS 'UTC';
COMMENT ON COLUMN failed_videos.retry_command IS 'Command that tries again';
