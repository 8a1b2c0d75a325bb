-- Grain: one event of one ruleset in a video; of each ruleset the first `top` in time. Bound: video_id, top.
SELECT e.ruleset_id, e.kind, e.time_offset_s, e.end_s, e.class_name, e.tracker_id, e.score, e.facts::VARCHAR AS facts
FROM events e
WHERE e.video_id = $video_id
QUALIFY row_number() OVER (PARTITION BY e.ruleset_id ORDER BY e.time_offset_s, e.event_id) <= $top
ORDER BY e.ruleset_id, e.time_offset_s, e.event_id
