-- Grain: one kind of alarm in one video, by one ruleset of proctor; kinds without any are left out.
-- Columns: ruleset_id, name, is_newest, video_id, uri, what, n, seconds, longest_s, first_s, share, unjudged_s.
-- Example: who looked away longest? SELECT uri, seconds, longest_s FROM proctor_report WHERE what = 'look_away' AND is_newest ORDER BY seconds DESC;
CREATE OR REPLACE VIEW proctor_report AS
WITH asked AS (
    SELECT
        f.ruleset_id, f.name, f.video_id, f.judged_s, f.unjudged_s,
        f.made_at = max(f.made_at) OVER (PARTITION BY f.name, f.video_id) AS is_newest
    FROM findings f
    JOIN rulesets r USING (ruleset_id)
    WHERE r.kind = 'proctor'
)
SELECT
    a.ruleset_id, any_value(a.name) AS name, any_value(a.is_newest) AS is_newest, a.video_id, any_value(v.uri) AS uri,
    e.kind AS what, count(*) AS n, sum(e.end_s - e.time_offset_s) AS seconds,
    max(e.end_s - e.time_offset_s) AS longest_s, min(e.time_offset_s) AS first_s,
    sum(e.end_s - e.time_offset_s) / nullif(any_value(a.judged_s), 0) AS share,
    any_value(a.unjudged_s) AS unjudged_s
FROM asked a
JOIN events e USING (ruleset_id, video_id)
LEFT JOIN videos v USING (video_id)
WHERE e.kind IN ('look_away', 'absence', 'face_hidden', 'second_person', 'phone')
GROUP BY a.ruleset_id, a.video_id, e.kind;

COMMENT ON VIEW proctor_report IS 'Grain: one kind of alarm in one video, by one ruleset of proctor; kinds without any are left out.';
COMMENT ON COLUMN proctor_report.ruleset_id IS 'The thresholds that were asked with';
COMMENT ON COLUMN proctor_report.name IS 'Name that they were given';
COMMENT ON COLUMN proctor_report.is_newest IS 'The video was not asked about later under this name';
COMMENT ON COLUMN proctor_report.video_id IS 'The video';
COMMENT ON COLUMN proctor_report.uri IS 'One place where it was seen';
COMMENT ON COLUMN proctor_report.what IS 'look_away, absence, face_hidden, second_person or phone';
COMMENT ON COLUMN proctor_report.n IS 'How many times';
COMMENT ON COLUMN proctor_report.seconds IS 'How long together';
COMMENT ON COLUMN proctor_report.longest_s IS 'Seconds of the longest one';
COMMENT ON COLUMN proctor_report.first_s IS 'Start of the first one, seconds after the first frame of the video';
COMMENT ON COLUMN proctor_report.share IS 'Their seconds divided by those that could be judged';
COMMENT ON COLUMN proctor_report.unjudged_s IS 'Seconds in which the looks could not be judged';
