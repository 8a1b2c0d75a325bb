-- Grain: one rule of a policy in one video, by one ruleset; also where nothing was found.
-- Columns: ruleset_id, name, is_newest, video_id, uri, rule, verdict, n_intervals, seconds, unjudged_s, why_not.
-- verdict: found; unjudged, when nothing was found but some of the video could not be judged; else clean.
-- Example: which videos are clean? SELECT uri FROM policy_verdicts WHERE is_newest GROUP BY uri HAVING bool_and(verdict = 'clean');
CREATE OR REPLACE VIEW policy_verdicts AS
WITH asked AS (
    SELECT
        f.ruleset_id, f.name, f.video_id, f.made_at = max(f.made_at) OVER (PARTITION BY f.name, f.video_id) AS is_newest,
        unnest(json_extract_string(r.params, '$.rules[*].name')) AS rule
    FROM findings f
    JOIN rulesets r USING (ruleset_id)
    WHERE r.kind = 'policy'
), per_rule AS (
    SELECT
        ruleset_id, video_id, class_name AS rule,
        count(*) FILTER (kind = 'policy') AS n_intervals,
        coalesce(sum(end_s - time_offset_s) FILTER (kind = 'policy'), 0) AS seconds,
        coalesce(sum(end_s - time_offset_s) FILTER (kind = 'policy_unjudged'), 0) AS unjudged_s,
        min(facts->>'says') FILTER (kind = 'policy_unjudged') AS why_not
    FROM events
    WHERE kind IN ('policy', 'policy_unjudged')
    GROUP BY ruleset_id, video_id, class_name
)
SELECT
    a.ruleset_id, a.name, a.is_newest, a.video_id, v.uri, a.rule,
    CASE WHEN p.n_intervals > 0 THEN 'found' WHEN p.unjudged_s > 0 THEN 'unjudged' ELSE 'clean' END AS verdict,
    coalesce(p.n_intervals, 0) AS n_intervals, coalesce(p.seconds, 0) AS seconds,
    coalesce(p.unjudged_s, 0) AS unjudged_s, p.why_not
FROM asked a
LEFT JOIN per_rule p USING (ruleset_id, video_id, rule)
LEFT JOIN videos v USING (video_id);

COMMENT ON VIEW policy_verdicts IS 'Grain: one rule of a policy in one video, by one ruleset; also where nothing was found.';
COMMENT ON COLUMN policy_verdicts.ruleset_id IS 'The policy as it was asked';
COMMENT ON COLUMN policy_verdicts.name IS 'Name that it was given';
COMMENT ON COLUMN policy_verdicts.is_newest IS 'No later policy of this name was asked about the video';
COMMENT ON COLUMN policy_verdicts.video_id IS 'The video';
COMMENT ON COLUMN policy_verdicts.uri IS 'One place where it was seen';
COMMENT ON COLUMN policy_verdicts.rule IS 'Name of the rule';
COMMENT ON COLUMN policy_verdicts.verdict IS 'found, unjudged (nothing found, but not all was judged) or clean';
COMMENT ON COLUMN policy_verdicts.n_intervals IS 'Stretches in which it says yes';
COMMENT ON COLUMN policy_verdicts.seconds IS 'How long they last together';
COMMENT ON COLUMN policy_verdicts.unjudged_s IS 'Seconds that could not be judged';
COMMENT ON COLUMN policy_verdicts.why_not IS 'Why not; null when all was judged';
