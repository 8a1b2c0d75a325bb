-- Grain: one scene of one ruleset in a video. Bound: video_id.
SELECT ruleset_id, scene_id, start_s, end_s
FROM scenes
WHERE video_id = $video_id
ORDER BY ruleset_id, scene_id
