-- Gives: whether an object of a class was seen, from asked_confidence() on, within so many seconds of a time. False also
-- where no detector looked: the table inferences says which frames were looked at.
-- Arguments: in_video, at_s; of_class: class_name; within_s, 2 when not given; until_s: the end of a stretch from at_s.
-- Example: which frames have a person within 1 s? SELECT video_id, frame_offset FROM frames f WHERE near(f.video_id, f.time_offset_s, 'person', 1) ORDER BY ALL;
CREATE OR REPLACE MACRO near(in_video, at_s, of_class, within_s := 2, until_s := NULL) AS EXISTS (
    SELECT 1
    FROM detections d
    JOIN frames t ON t.video_id = d.video_id AND t.frame_offset = d.frame_offset
    WHERE d.video_id = in_video AND d.class_name = of_class AND d.confidence >= asked_confidence()
        AND t.time_offset_s BETWEEN at_s - within_s AND coalesce(until_s, at_s) + within_s);
COMMENT ON MACRO near IS 'Whether an object of a class was seen within so many seconds of a time: near(m.video_id, m.start_s, ''person'', 2, until_s := m.end_s)';
