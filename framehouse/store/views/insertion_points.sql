-- Grain: one point for an advertisement in a video, as one ruleset of `framehouse scenes` ranks it.
-- Columns: ruleset_id, name, video_id, uri, rank, at_s, frame_offset, score, change, change_says, calm_says, faces_says,
-- silence_says, distance_says.
-- Example: where may a break go? SELECT uri, rank, at_s, score, faces_says FROM insertion_points WHERE rank <= 3;
CREATE OR REPLACE VIEW insertion_points AS
SELECT
    e.ruleset_id, f.name, e.video_id, v.uri, (e.facts ->> '$.rank')::BIGINT AS rank, e.time_offset_s AS at_s,
    e.frame_offset, e.score, e.class_name AS change, e.facts ->> '$.reasons.change.says' AS change_says,
    e.facts ->> '$.reasons.calm.says' AS calm_says, e.facts ->> '$.reasons.faces.says' AS faces_says,
    e.facts ->> '$.reasons.silence.says' AS silence_says, e.facts ->> '$.reasons.distance.says' AS distance_says
FROM events e
JOIN findings f USING (ruleset_id, video_id)
LEFT JOIN videos v USING (video_id)
WHERE e.kind = 'insertion_point'
ORDER BY e.ruleset_id, e.video_id, rank;

COMMENT ON VIEW insertion_points IS 'Grain: one point for an advertisement in a video, as one ruleset of `framehouse scenes` ranks it.';
COMMENT ON COLUMN insertion_points.ruleset_id IS 'The ruleset: weights and thresholds';
COMMENT ON COLUMN insertion_points.name IS 'Its name; empty for none';
COMMENT ON COLUMN insertion_points.video_id IS 'The video';
COMMENT ON COLUMN insertion_points.uri IS 'One place where it was seen';
COMMENT ON COLUMN insertion_points.rank IS 'From 1, the best';
COMMENT ON COLUMN insertion_points.at_s IS 'When, seconds after the first frame';
COMMENT ON COLUMN insertion_points.frame_offset IS 'Frame shown then';
COMMENT ON COLUMN insertion_points.score IS 'Weighted mean of what could be judged, 0 to 1';
COMMENT ON COLUMN insertion_points.change IS 'cut, dissolve or fade';
COMMENT ON COLUMN insertion_points.change_says IS 'What kind of change, between scenes or within one';
COMMENT ON COLUMN insertion_points.calm_says IS 'How much the picture moves before and after';
COMMENT ON COLUMN insertion_points.faces_says IS 'Whether a face is cut off';
COMMENT ON COLUMN insertion_points.silence_says IS 'How loud it is';
COMMENT ON COLUMN insertion_points.distance_says IS 'How far from the nearest better point or end';
