-- Grain: one class over one line in one minute of a video, by one ruleset of `framehouse lines`, with a crossing.
-- Columns: ruleset_id, name, video_id, uri, line, class_name, minute, n_in, n_out, in_so_far, out_so_far, n_frames.
-- Example: how many went in? SELECT line, class_name, sum(n_in), sum(n_out) FROM line_counts_per_minute GROUP BY ALL;
CREATE OR REPLACE VIEW line_counts_per_minute AS
WITH counts AS (
    SELECT
        ruleset_id, video_id, facts->>'line' AS line, class_name, floor(time_offset_s / 60)::BIGINT AS minute,
        count(*) FILTER (kind = 'line_in') AS n_in, count(*) FILTER (kind = 'line_out') AS n_out
    FROM events
    WHERE kind IN ('line_in', 'line_out')
    GROUP BY ALL
), seen AS (
    SELECT i.video_id, i.model_digest, floor(f.time_offset_s / 60)::BIGINT AS minute, count(*) AS n_frames
    FROM inferences i
    JOIN frames f USING (video_id, frame_offset)
    WHERE i.status = 'loaded'
    GROUP BY ALL
)
SELECT
    c.ruleset_id, f.name, c.video_id, v.uri, c.line, c.class_name, c.minute, c.n_in, c.n_out,
    (sum(c.n_in) OVER so_far)::BIGINT AS in_so_far, (sum(c.n_out) OVER so_far)::BIGINT AS out_so_far,
    coalesce(s.n_frames, 0) AS n_frames
FROM counts c
JOIN findings f USING (ruleset_id, video_id)
LEFT JOIN seen s ON s.video_id = c.video_id AND s.model_digest = f.model_digests[1] AND s.minute = c.minute
LEFT JOIN videos v ON v.video_id = c.video_id
WINDOW so_far AS (PARTITION BY c.ruleset_id, c.video_id, c.line, c.class_name ORDER BY c.minute);

COMMENT ON VIEW line_counts_per_minute IS 'Grain: one class over one line in one minute of a video, by one ruleset of framehouse lines, with a crossing.';
COMMENT ON COLUMN line_counts_per_minute.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN line_counts_per_minute.name IS 'Its name';
COMMENT ON COLUMN line_counts_per_minute.video_id IS 'The video';
COMMENT ON COLUMN line_counts_per_minute.uri IS 'One place where it was seen';
COMMENT ON COLUMN line_counts_per_minute.line IS 'Name of the line';
COMMENT ON COLUMN line_counts_per_minute.class_name IS 'Name of the class';
COMMENT ON COLUMN line_counts_per_minute.minute IS 'Whole minute after the first frame';
COMMENT ON COLUMN line_counts_per_minute.n_in IS 'Objects that crossed it inwards';
COMMENT ON COLUMN line_counts_per_minute.n_out IS 'Objects that crossed it outwards';
COMMENT ON COLUMN line_counts_per_minute.in_so_far IS 'Inwards since the beginning, this minute included';
COMMENT ON COLUMN line_counts_per_minute.out_so_far IS 'Outwards since the beginning, this minute included';
COMMENT ON COLUMN line_counts_per_minute.n_frames IS 'Frames of the minute that the model saw';
