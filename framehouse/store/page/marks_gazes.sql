-- Grain: one face with its look, start_s <= time < end_s. Bound: video_id, start_s, end_s. eye_x, eye_y: between its eyes.
SELECT
    g.model_digest, g.frame_offset, round(g.face_confidence, 3) AS confidence, round(g.x, 1) AS x, round(g.y, 1) AS y,
    round(g.width, 1) AS width, round(g.height, 1) AS height, round(g.yaw_rad, 4) AS yaw_rad,
    round(g.pitch_rad, 4) AS pitch_rad,
    coalesce((g.landmarks[1].x + g.landmarks[2].x) / 2, g.x) AS eye_x,
    coalesce((g.landmarks[1].y + g.landmarks[2].y) / 2, g.y) AS eye_y
FROM gazes g
JOIN frames f USING (video_id, frame_offset)
WHERE g.video_id = $video_id AND f.time_offset_s >= $start_s AND f.time_offset_s < $end_s
ORDER BY g.model_digest, g.frame_offset, g.gaze_id
