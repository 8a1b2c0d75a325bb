-- Grain: one bin of a model digest in which a face was seen, from asked_confidence() on: largest angle between a look and
-- the line into the camera, degrees. Bound: video_id, bin_s.
SELECT
    g.model_digest, 0 AS class_id, 'angle off the camera' AS class_name,
    CASE WHEN $bin_s = 0 THEN f.time_offset_s ELSE floor(f.time_offset_s / $bin_s + 1e-9) * $bin_s END AS t,
    round(degrees(max(acos(cos(g.yaw_rad) * cos(g.pitch_rad)))), 1) AS value
FROM gazes g
JOIN frames f USING (video_id, frame_offset)
WHERE g.video_id = $video_id AND g.face_confidence >= asked_confidence()
GROUP BY ALL
ORDER BY g.model_digest, t
