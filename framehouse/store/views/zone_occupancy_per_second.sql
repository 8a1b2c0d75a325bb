-- Grain: one zone in one second of a video that the model saw, by one ruleset of `framehouse lines`.
-- Columns: ruleset_id, name, video_id, uri, zone, second, n_objects, object_s, n_frames. An empty zone has 0; a second
-- that the model did not see has no row.
-- Example: when was it full? SELECT uri, zone, second, n_objects FROM zone_occupancy_per_second WHERE n_objects > 3;
CREATE OR REPLACE VIEW zone_occupancy_per_second AS
WITH zones AS (
    SELECT r.ruleset_id, f.name, f.video_id, f.model_digests[1] AS model_digest,
        unnest(from_json(r.params->'zones', '[{"name": "VARCHAR"}]')).name AS zone
    FROM rulesets r
    JOIN findings f USING (ruleset_id)
    WHERE r.kind = 'lines'
), seconds AS (
    SELECT i.video_id, i.model_digest, floor(f.time_offset_s)::BIGINT AS second, count(*) AS n_frames
    FROM inferences i
    JOIN frames f USING (video_id, frame_offset)
    WHERE i.status = 'loaded'
    GROUP BY ALL
), stays AS (
    SELECT
        ruleset_id, video_id, facts->>'zone' AS zone, tracker_id, time_offset_s, end_s,
        unnest(range(floor(time_offset_s)::BIGINT, ceil(end_s)::BIGINT)) AS second
    FROM events
    WHERE kind = 'zone_dwell'
), inside AS (
    SELECT
        ruleset_id, video_id, zone, second, count(DISTINCT tracker_id) AS n_objects,
        sum(least(end_s, second + 1) - greatest(time_offset_s, second)) AS object_s
    FROM stays
    GROUP BY ruleset_id, video_id, zone, second
)
SELECT
    z.ruleset_id, z.name, z.video_id, v.uri, z.zone, s.second, coalesce(o.n_objects, 0) AS n_objects,
    coalesce(o.object_s, 0) AS object_s, s.n_frames
FROM zones z
JOIN seconds s USING (video_id, model_digest)
LEFT JOIN inside o ON o.ruleset_id = z.ruleset_id AND o.video_id = z.video_id AND o.zone = z.zone AND o.second = s.second
LEFT JOIN videos v ON v.video_id = z.video_id;

COMMENT ON VIEW zone_occupancy_per_second IS 'Grain: one zone in one second of a video that the model saw, by one ruleset of framehouse lines.';
COMMENT ON COLUMN zone_occupancy_per_second.ruleset_id IS 'The ruleset';
COMMENT ON COLUMN zone_occupancy_per_second.name IS 'Its name';
COMMENT ON COLUMN zone_occupancy_per_second.video_id IS 'The video';
COMMENT ON COLUMN zone_occupancy_per_second.uri IS 'One place where it was seen';
COMMENT ON COLUMN zone_occupancy_per_second.zone IS 'Name of the zone';
COMMENT ON COLUMN zone_occupancy_per_second.second IS 'Whole second after the first frame';
COMMENT ON COLUMN zone_occupancy_per_second.n_objects IS 'Objects that were in the zone some time in the second';
COMMENT ON COLUMN zone_occupancy_per_second.object_s IS 'Their seconds in it together: the mean number of objects';
COMMENT ON COLUMN zone_occupancy_per_second.n_frames IS 'Frames of the second that the model saw';
