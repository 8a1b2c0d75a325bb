-- Grain: one stretch of a video that another video has too, as `framehouse duplicates` found it last.
-- Columns: video_id, uri, start_s, end_s, other_video_id, other_uri, other_start_s, other_end_s, similarity, still,
-- relation, ruleset_id.
-- similarity: 1 for equal pictures. still: the picture hardly moves, so the other may be another time of one camera.
-- Example: which videos are copies of another one? SELECT uri, other_uri, similarity FROM duplicates WHERE relation = 'copy of' ORDER BY ALL;
CREATE OR REPLACE VIEW duplicates AS
SELECT
    e.video_id, v.uri, e.time_offset_s AS start_s, e.end_s, e.facts ->> '$.video_id' AS other_video_id,
    o.uri AS other_uri, (e.facts ->> '$.start_s')::DOUBLE AS other_start_s, (e.facts ->> '$.end_s')::DOUBLE AS other_end_s,
    e.score AS similarity, (e.facts ->> '$.still')::BOOLEAN AS still, e.facts ->> '$.relation' AS relation, e.ruleset_id
FROM events e
LEFT JOIN videos v USING (video_id)
LEFT JOIN videos o ON o.video_id = e.facts ->> '$.video_id'
WHERE e.kind = 'duplicate';

COMMENT ON VIEW duplicates IS 'Grain: one stretch of a video that another video has too, as framehouse duplicates found it last.';
COMMENT ON COLUMN duplicates.video_id IS 'The video';
COMMENT ON COLUMN duplicates.uri IS 'One place where it was seen';
COMMENT ON COLUMN duplicates.start_s IS 'Begin of the stretch, seconds after the first frame';
COMMENT ON COLUMN duplicates.end_s IS 'End of the stretch, seconds after the first frame';
COMMENT ON COLUMN duplicates.other_video_id IS 'The video that has it too';
COMMENT ON COLUMN duplicates.other_uri IS 'One place where that one was seen';
COMMENT ON COLUMN duplicates.other_start_s IS 'Begin of the stretch there, seconds after its first frame';
COMMENT ON COLUMN duplicates.other_end_s IS 'End of the stretch there, seconds after its first frame';
COMMENT ON COLUMN duplicates.similarity IS '1 for equal pictures, 0 for pictures that have nothing in common; mean over the stretch';
COMMENT ON COLUMN duplicates.still IS 'The picture hardly moves, so the other may be another time of one camera';
COMMENT ON COLUMN duplicates.relation IS 'copy of: nearly all of both is the same; part of; contains; shares with';
COMMENT ON COLUMN duplicates.ruleset_id IS 'Parameters that it was found with';
