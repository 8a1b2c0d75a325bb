-- One plan. Bound: job_id, video_id; table incoming_plan (frame_offset, pts, target_s). A plan knows the index: where a
-- part said another pts, the plan is right.
DELETE FROM job_frames WHERE job_id = $job_id;
INSERT INTO job_frames BY NAME SELECT $job_id AS job_id, frame_offset, target_s FROM incoming_plan ORDER BY frame_offset;

DELETE FROM frames USING incoming_plan p
WHERE frames.video_id = $video_id AND frames.frame_offset = p.frame_offset AND frames.pts <> p.pts;
INSERT INTO frames BY NAME
SELECT $video_id AS video_id, frame_offset, pts, NULL::DOUBLE AS time_offset_s
FROM incoming_plan
WHERE frame_offset NOT IN (SELECT frame_offset FROM frames WHERE video_id = $video_id)
ORDER BY frame_offset;
