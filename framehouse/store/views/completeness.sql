-- Grain: one video by one model digest that a job planned or a part holds.
-- Columns: video_id, uri, model_id, model_digest, n_planned, n_loaded, n_gaps, n_open, n_unexplained, n_unplanned.
-- n_planned = n_loaded + n_gaps + n_open + n_unexplained; the last two are 0 when all jobs are done.
-- Example: which videos miss frames? SELECT uri, model_id, n_planned, n_gaps FROM completeness WHERE n_gaps > 0;
CREATE OR REPLACE VIEW completeness AS
WITH planned AS (
    SELECT j.video_id, u.model_digest, f.frame_offset, min(u.model_id) AS model_id, bool_or(j.status = 'done') AS by_done
    FROM jobs j
    JOIN usage u USING (job_id)
    JOIN job_frames f USING (job_id)
    WHERE j.video_id IS NOT NULL
    GROUP BY j.video_id, u.model_digest, f.frame_offset
), asked AS (
    SELECT DISTINCT j.video_id, f.frame_offset, true AS by_any
    FROM jobs j
    JOIN job_frames f USING (job_id)
), ledger AS (
    SELECT
        video_id, model_digest, coalesce(i.model_id, p.model_id) AS model_id,
        p.model_id IS NOT NULL AS is_planned, coalesce(p.by_done, false) AS by_done, i.status,
        coalesce(a.by_any, false) AS by_any
    FROM planned p
    FULL JOIN inferences i USING (video_id, model_digest, frame_offset)
    LEFT JOIN asked a USING (video_id, frame_offset)
)
SELECT
    l.video_id,
    any_value(v.uri) AS uri,
    min(l.model_id) AS model_id,
    l.model_digest,
    count(*) FILTER (is_planned) AS n_planned,
    count(*) FILTER (is_planned AND status = 'loaded') AS n_loaded,
    count(*) FILTER (is_planned AND status = 'gap') AS n_gaps,
    count(*) FILTER (is_planned AND status IS NULL AND NOT by_done) AS n_open,
    count(*) FILTER (is_planned AND status IS NULL AND by_done) AS n_unexplained,
    count(*) FILTER (NOT by_any) AS n_unplanned
FROM ledger l
LEFT JOIN videos v USING (video_id)
GROUP BY l.video_id, l.model_digest;

COMMENT ON VIEW completeness IS 'Grain: one video by one model digest. planned = loaded + gaps + open + unexplained.';
COMMENT ON COLUMN completeness.video_id IS 'The video';
COMMENT ON COLUMN completeness.uri IS 'One place where it was seen';
COMMENT ON COLUMN completeness.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN completeness.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN completeness.n_planned IS 'Frames that any job asked of the model';
COMMENT ON COLUMN completeness.n_loaded IS 'Planned frames with an answer, also when nothing was found';
COMMENT ON COLUMN completeness.n_gaps IS 'Planned frames without one, the reason is in inferences';
COMMENT ON COLUMN completeness.n_open IS 'Planned frames of jobs that are queued, running, failed or cancelled, not settled yet';
COMMENT ON COLUMN completeness.n_unexplained IS 'Planned frames of done jobs that are neither loaded nor a gap: must be 0';
COMMENT ON COLUMN completeness.n_unplanned IS 'Frames in the ledger that no job''s plan holds: must be 0 once the jobs are loaded';
