-- Grain: one shot of a video, as one ruleset of `framehouse scenes` cuts it.
-- Columns: ruleset_id, name, video_id, uri, shot, scene, start_s, end_s, seconds, first_frame_offset.
-- Example: how fast are videos cut? SELECT uri, count(*) / sum(seconds) * 60 AS shots_a_minute FROM shots_per_video GROUP BY uri;
CREATE OR REPLACE VIEW shots_per_video AS
SELECT
    e.ruleset_id, f.name, e.video_id, v.uri, (e.facts ->> '$.shot')::BIGINT AS shot,
    (e.facts ->> '$.scene')::BIGINT AS scene, e.time_offset_s AS start_s, e.end_s,
    e.end_s - e.time_offset_s AS seconds, e.frame_offset AS first_frame_offset
FROM events e
JOIN findings f USING (ruleset_id, video_id)
LEFT JOIN videos v USING (video_id)
WHERE e.kind = 'shot'
ORDER BY e.ruleset_id, e.video_id, shot;

COMMENT ON VIEW shots_per_video IS 'Grain: one shot of a video, as one ruleset of `framehouse scenes` cuts it.';
COMMENT ON COLUMN shots_per_video.ruleset_id IS 'The ruleset: thresholds';
COMMENT ON COLUMN shots_per_video.name IS 'Its name; empty for none';
COMMENT ON COLUMN shots_per_video.video_id IS 'The video';
COMMENT ON COLUMN shots_per_video.uri IS 'One place where it was seen';
COMMENT ON COLUMN shots_per_video.shot IS 'From 0 in order of time';
COMMENT ON COLUMN shots_per_video.scene IS 'Scene that it belongs to: scenes.scene_id of the same ruleset';
COMMENT ON COLUMN shots_per_video.start_s IS 'Where it begins, seconds after the first frame';
COMMENT ON COLUMN shots_per_video.end_s IS 'Where the next one begins, seconds after the first frame';
COMMENT ON COLUMN shots_per_video.seconds IS 'How long it is';
COMMENT ON COLUMN shots_per_video.first_frame_offset IS 'Its first frame that was looked at';
