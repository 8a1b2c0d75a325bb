-- Grain: one tag of a video, or of one of its scenes, as one ruleset of `framehouse tags` ranks it.
-- Columns: ruleset_id, name, video_id, uri, scene, start_s, end_s, rank, tag, score, best_frame_offset, best_s, sources,
-- model_ids, n_frames. Rows of the whole video have no scene. best_s and n_frames are those of the strongest evidence.
-- Example: which scenes show a car? SELECT uri, scene, start_s, end_s, score FROM ranked_tags WHERE tag = 'car' AND scene IS NOT NULL ORDER BY score DESC;
CREATE OR REPLACE VIEW ranked_tags AS
SELECT
    e.ruleset_id, f.name, e.video_id, v.uri, (e.facts ->> '$.scene')::BIGINT AS scene, e.time_offset_s AS start_s,
    e.end_s, (e.facts ->> '$.rank')::BIGINT AS rank, e.class_name AS tag, e.score,
    e.frame_offset AS best_frame_offset, (e.facts ->> '$.evidence[0].best_s')::DOUBLE AS best_s,
    e.facts ->> '$.evidence[*].source' AS sources,
    e.facts ->> '$.evidence[*].model_id' AS model_ids,
    (e.facts ->> '$.evidence[0].n_frames')::BIGINT AS n_frames
FROM events e
JOIN findings f USING (ruleset_id, video_id)
LEFT JOIN videos v USING (video_id)
WHERE e.kind IN ('tag', 'scene_tag')
ORDER BY e.ruleset_id, e.video_id, scene NULLS FIRST, rank;

COMMENT ON VIEW ranked_tags IS 'Grain: one tag of a video, or of one of its scenes, as one ruleset of `framehouse tags` ranks it.';
COMMENT ON COLUMN ranked_tags.ruleset_id IS 'The ruleset: weights and thresholds';
COMMENT ON COLUMN ranked_tags.name IS 'Its name; empty for none';
COMMENT ON COLUMN ranked_tags.video_id IS 'The video';
COMMENT ON COLUMN ranked_tags.uri IS 'One place where it was seen';
COMMENT ON COLUMN ranked_tags.scene IS 'The scene, from 0 in order of time; null for the whole video';
COMMENT ON COLUMN ranked_tags.start_s IS 'Where the scene begins, seconds after the first frame; 0 for the whole video';
COMMENT ON COLUMN ranked_tags.end_s IS 'Where it ends, seconds after the first frame';
COMMENT ON COLUMN ranked_tags.rank IS 'From 1, the best, among the tags of the video or of the scene';
COMMENT ON COLUMN ranked_tags.tag IS 'The tag, lower case';
COMMENT ON COLUMN ranked_tags.score IS '0 to 1: how surely and how much of the time, over all models';
COMMENT ON COLUMN ranked_tags.best_frame_offset IS 'Frame that shows it best';
COMMENT ON COLUMN ranked_tags.best_s IS 'When that is, seconds after the first frame';
COMMENT ON COLUMN ranked_tags.sources IS 'Where it comes from, the strongest first: object, tag, text or clip';
COMMENT ON COLUMN ranked_tags.model_ids IS 'Models that say so, in the same order';
COMMENT ON COLUMN ranked_tags.n_frames IS 'Frames that have it, by the strongest evidence';
