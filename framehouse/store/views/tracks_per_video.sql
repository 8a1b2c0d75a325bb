-- Grain: one track, that is one object as a ruleset's tracker follows it through a video.
-- Columns: ruleset_id, kind, video_id, uri, tracker_id, class_name, n_boxes, first_s, last_s, best_confidence,
-- best_frame_offset, first_x, first_y, last_x, last_y. Places are centres of boxes.
-- Example: which objects stay longest? SELECT class_name, tracker_id, last_s - first_s AS s FROM tracks_per_video ORDER BY s DESC;
CREATE OR REPLACE VIEW tracks_per_video AS
WITH boxes AS (
    SELECT
        t.ruleset_id, t.video_id, t.tracker_id, any_value(d.class_name) AS class_name, count(*) AS n_boxes,
        min(f.time_offset_s) AS first_s, max(f.time_offset_s) AS last_s, max(d.confidence) AS best_confidence,
        arg_max(d.frame_offset, (d.confidence, -d.frame_offset)) AS best_frame_offset,
        arg_min(d.x, d.frame_offset) AS first_x, arg_min(d.y, d.frame_offset) AS first_y,
        arg_max(d.x, d.frame_offset) AS last_x, arg_max(d.y, d.frame_offset) AS last_y
    FROM tracks t
    JOIN detections d USING (video_id, model_digest, frame_offset, detection_id)
    JOIN frames f USING (video_id, frame_offset)
    GROUP BY t.ruleset_id, t.video_id, t.tracker_id
)
SELECT
    b.ruleset_id, r.kind, b.video_id, v.uri, b.tracker_id, b.class_name, b.n_boxes, b.first_s, b.last_s,
    b.best_confidence, b.best_frame_offset, b.first_x, b.first_y, b.last_x, b.last_y
FROM boxes b
JOIN rulesets r USING (ruleset_id)
LEFT JOIN videos v USING (video_id);

COMMENT ON VIEW tracks_per_video IS 'Grain: one track, that is one object as a ruleset''s tracker follows it through a video.';
COMMENT ON COLUMN tracks_per_video.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN tracks_per_video.kind IS 'Its kind: lines, presence ...';
COMMENT ON COLUMN tracks_per_video.video_id IS 'The video';
COMMENT ON COLUMN tracks_per_video.uri IS 'One place where it was seen';
COMMENT ON COLUMN tracks_per_video.tracker_id IS 'The track, from 1 in order of first sight';
COMMENT ON COLUMN tracks_per_video.class_name IS 'Name of the class';
COMMENT ON COLUMN tracks_per_video.n_boxes IS 'Boxes in it';
COMMENT ON COLUMN tracks_per_video.first_s IS 'First sight, seconds after the first frame';
COMMENT ON COLUMN tracks_per_video.last_s IS 'Last sight, seconds after the first frame';
COMMENT ON COLUMN tracks_per_video.best_confidence IS 'Confidence of its surest box, 0 to 1';
COMMENT ON COLUMN tracks_per_video.best_frame_offset IS 'Frame of its surest box';
COMMENT ON COLUMN tracks_per_video.first_x IS 'Centre of its first box from the left, pixels of the upright frame';
COMMENT ON COLUMN tracks_per_video.first_y IS 'Centre of its first box from the top, pixels of the upright frame';
COMMENT ON COLUMN tracks_per_video.last_x IS 'Centre of its last box from the left, pixels of the upright frame';
COMMENT ON COLUMN tracks_per_video.last_y IS 'Centre of its last box from the top, pixels of the upright frame';
