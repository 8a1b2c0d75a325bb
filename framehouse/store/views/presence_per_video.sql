-- Grain: one class in one video by one ruleset of `framehouse presence`.
-- Columns: ruleset_id, name, video_id, uri, class_name, n_stays, n_tracks, first_s, last_s, present_s, longest_s,
-- max_at_once, judged_s, unjudged_s. A class that was never there has no row; `findings` says what was asked.
-- Example: who was there longest? SELECT uri, class_name, present_s FROM presence_per_video ORDER BY present_s DESC;
CREATE OR REPLACE VIEW presence_per_video AS
WITH stays AS (
    SELECT
        ruleset_id, video_id, class_name, count(*) AS n_stays, min(time_offset_s) AS first_s, max(end_s) AS last_s,
        sum(end_s - time_offset_s) AS present_s, max(end_s - time_offset_s) AS longest_s,
        max((facts->>'max_at_once')::BIGINT) AS max_at_once
    FROM events
    WHERE kind = 'presence'
    GROUP BY ruleset_id, video_id, class_name
), objects AS (
    SELECT ruleset_id, video_id, class_name, count(*) AS n_tracks
    FROM events
    WHERE kind = 'track'
    GROUP BY ruleset_id, video_id, class_name
)
SELECT
    s.ruleset_id, f.name, s.video_id, v.uri, s.class_name, s.n_stays, coalesce(o.n_tracks, 0) AS n_tracks, s.first_s,
    s.last_s, s.present_s, s.longest_s, s.max_at_once, f.judged_s, f.unjudged_s
FROM stays s
JOIN findings f USING (ruleset_id, video_id)
LEFT JOIN objects o USING (ruleset_id, video_id, class_name)
LEFT JOIN videos v USING (video_id);

COMMENT ON VIEW presence_per_video IS 'Grain: one class in one video by one ruleset of framehouse presence.';
COMMENT ON COLUMN presence_per_video.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN presence_per_video.name IS 'Its name';
COMMENT ON COLUMN presence_per_video.video_id IS 'The video';
COMMENT ON COLUMN presence_per_video.uri IS 'One place where it was seen';
COMMENT ON COLUMN presence_per_video.class_name IS 'Name of the class';
COMMENT ON COLUMN presence_per_video.n_stays IS 'Stretches of time in which it is there';
COMMENT ON COLUMN presence_per_video.n_tracks IS 'Different objects, as the tracker tells them apart';
COMMENT ON COLUMN presence_per_video.first_s IS 'First sight, seconds after the first frame';
COMMENT ON COLUMN presence_per_video.last_s IS 'End of the last stay, seconds after the first frame';
COMMENT ON COLUMN presence_per_video.present_s IS 'Seconds of all stays together';
COMMENT ON COLUMN presence_per_video.longest_s IS 'Seconds of the longest stay';
COMMENT ON COLUMN presence_per_video.max_at_once IS 'Most of them in one frame';
COMMENT ON COLUMN presence_per_video.judged_s IS 'Seconds of the video that could be judged';
COMMENT ON COLUMN presence_per_video.unjudged_s IS 'Seconds that could not: it may have been there';
