-- Grain: one failed job; it leaves the view when a later job of the same place and at least its models is done or fails.
-- Columns: uri, video_id, job_id, models, cause, message, hint, stage, second, attempt, failed_at, retry_command.
-- Example: why did videos fail? SELECT cause, stage, count(*) FROM failed_videos GROUP BY ALL;
CREATE OR REPLACE VIEW failed_videos AS
SELECT
    uri, video_id, job_id, models, error_code AS cause, error_message AS message, error_hint AS hint,
    error_hop AS stage, error_second AS second, attempt, finished_at AS failed_at,
    'framehouse jobs retry ' || job_id AS retry_command
FROM jobs f
WHERE f.status = 'failed' AND NOT EXISTS (
    SELECT 1
    FROM jobs later
    WHERE later.uri = f.uri AND later.status IN ('done', 'failed') AND list_has_all(later.models, f.models)
        AND (coalesce(later.submitted_at, '-infinity'), later.job_id) > (coalesce(f.submitted_at, '-infinity'), f.job_id)
);

COMMENT ON VIEW failed_videos IS 'Grain: one failed job that no later job of the same place and at least its models has replaced.';
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
