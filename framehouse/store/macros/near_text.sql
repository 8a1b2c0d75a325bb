-- Gives: whether a phrase was read, from asked_confidence() on, within so many seconds of a time, whatever its case, spaces
-- and signs. False also where no model read.
-- Arguments: in_video, at_s; phrase; within_s, 2 when not given; until_s: the end of a stretch from at_s.
-- Example: which frames have an exit sign within 1 s? SELECT video_id, frame_offset FROM frames f WHERE near_text(f.video_id, f.time_offset_s, 'exit', 1) ORDER BY ALL;
CREATE OR REPLACE MACRO near_text(in_video, at_s, phrase, within_s := 2, until_s := NULL) AS EXISTS (
    SELECT 1
    FROM texts x
    JOIN frames t ON t.video_id = x.video_id AND t.frame_offset = x.frame_offset
    WHERE x.video_id = in_video AND x.confidence >= asked_confidence()
        AND contains(
            lower(regexp_replace(x.text, '[^\p{L}\p{N}]', '', 'g')),
            lower(regexp_replace(phrase, '[^\p{L}\p{N}]', '', 'g')))
        AND t.time_offset_s BETWEEN at_s - within_s AND coalesce(until_s, at_s) + within_s);
COMMENT ON MACRO near_text IS 'Whether a phrase was read within so many seconds of a time: near_text(m.video_id, m.best_s, ''exit'', 2)';
