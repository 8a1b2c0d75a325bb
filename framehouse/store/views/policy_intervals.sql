-- Grain: one stretch of a video in which one rule of a policy says yes, by one ruleset.
-- Columns: ruleset_id, name, is_newest, video_id, uri, rule, start_s, end_s, seconds, score, reason, why, model_id,
-- frame_offset, is_open.
-- Policies that were asked again with other thresholds have rows of their own; is_newest keeps the last one of a name.
-- Example: what was found, and why? SELECT uri, rule, start_s, end_s, reason FROM policy_intervals WHERE is_newest;
CREATE OR REPLACE VIEW policy_intervals AS
WITH asked AS (
    SELECT
        f.ruleset_id, f.name, f.video_id, f.made_at = max(f.made_at) OVER (PARTITION BY f.name, f.video_id) AS is_newest
    FROM findings f
    JOIN rulesets r USING (ruleset_id)
    WHERE r.kind = 'policy'
)
SELECT
    a.ruleset_id, a.name, a.is_newest, a.video_id, v.uri, e.class_name AS rule, e.time_offset_s AS start_s, e.end_s,
    e.end_s - e.time_offset_s AS seconds, e.score, e.facts->>'reason' AS reason, e.facts->>'why' AS why,
    e.facts->>'model_id' AS model_id, e.frame_offset,
    (e.facts->>'open_start')::BOOLEAN OR (e.facts->>'open_end')::BOOLEAN AS is_open
FROM asked a
JOIN events e USING (ruleset_id, video_id)
LEFT JOIN videos v USING (video_id)
WHERE e.kind = 'policy';

COMMENT ON VIEW policy_intervals IS 'Grain: one stretch of a video in which one rule of a policy says yes, by one ruleset.';
COMMENT ON COLUMN policy_intervals.ruleset_id IS 'The policy as it was asked';
COMMENT ON COLUMN policy_intervals.name IS 'Name that it was given';
COMMENT ON COLUMN policy_intervals.is_newest IS 'No later policy of this name was asked about the video';
COMMENT ON COLUMN policy_intervals.video_id IS 'The video';
COMMENT ON COLUMN policy_intervals.uri IS 'One place where it was seen';
COMMENT ON COLUMN policy_intervals.rule IS 'Name of the rule';
COMMENT ON COLUMN policy_intervals.start_s IS 'First frame that says yes, seconds after the first frame of the video';
COMMENT ON COLUMN policy_intervals.end_s IS 'First frame that does not any more, seconds after the first frame of the video';
COMMENT ON COLUMN policy_intervals.seconds IS 'How long it lasts';
COMMENT ON COLUMN policy_intervals.score IS 'Highest score of a frame in it, 0 to 1; null for a rule of absence';
COMMENT ON COLUMN policy_intervals.reason IS 'What the frame has that shows it best';
COMMENT ON COLUMN policy_intervals.why IS 'What the policy says about the rule';
COMMENT ON COLUMN policy_intervals.model_id IS 'Name of the model that saw it, slug/version';
COMMENT ON COLUMN policy_intervals.frame_offset IS 'The frame that shows it best';
COMMENT ON COLUMN policy_intervals.is_open IS 'The time beside it could not be judged: it may be longer';
