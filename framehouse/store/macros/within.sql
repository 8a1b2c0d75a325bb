-- Gives: whether two stretches of time lie so near each other: overlapping, or with at most within_s between them.
-- Arguments: from_s, to_s of one; other_from_s, other_to_s of the other; within_s. Compare the videos yourself.
-- Example: is 0 to 4 s within 2 s of 5 to 9 s? SELECT within(0, 4, 5, 9, 2) AS near;
CREATE OR REPLACE MACRO within(from_s, to_s, other_from_s, other_to_s, within_s) AS
    greatest(from_s - other_to_s, other_from_s - to_s) <= within_s;
COMMENT ON MACRO within IS 'Whether two stretches of time overlap or have at most within_s between them: within(m.start_s, m.end_s, t.start_s, t.end_s, 2)';
