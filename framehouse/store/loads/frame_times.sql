-- Seconds of a video's frames from their ticks: one multiplication and one division, so that the bits are the same
-- whatever brought the frame, a plan or a part. Bound: video_id.
UPDATE frames SET time_offset_s = (frames.pts - v.first_pts)::DOUBLE * v.time_base_num / v.time_base_den
FROM videos v
WHERE frames.video_id = $video_id AND v.video_id = $video_id
    AND frames.time_offset_s IS DISTINCT FROM (frames.pts - v.first_pts)::DOUBLE * v.time_base_num / v.time_base_den;
