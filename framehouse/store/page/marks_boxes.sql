-- Grain: one box, start_s <= time < end_s, of every confidence. Bound: video_id, start_s, end_s.
-- x, y: centre; source pixels. points: x, y, confidence of each, in the order of the model; null without. mask:
-- COCO's compressed run lengths over the upright frame; null without. tracker_id: of the ruleset that tracked this model's
-- boxes last; null without.
WITH last_tracked AS (
    SELECT t.model_digest, arg_max(t.ruleset_id, f.made_at) AS ruleset_id
    FROM tracks t
    JOIN findings f USING (ruleset_id, video_id)
    WHERE t.video_id = $video_id
    GROUP BY t.model_digest
), tracked AS (
    SELECT t.model_digest, t.frame_offset, t.detection_id, t.tracker_id
    FROM tracks t
    JOIN last_tracked USING (model_digest, ruleset_id)
    WHERE t.video_id = $video_id
)
SELECT
    d.model_digest, d.frame_offset, d.class_id, d.class_name, round(d.confidence, 3) AS confidence,
    round(d.x, 1) AS x, round(d.y, 1) AS y, round(d.width, 1) AS width, round(d.height, 1) AS height,
    list_transform(d.keypoints, lambda p: [round(p.x, 1), round(p.y, 1), round(p.confidence, 2)]) AS points,
    d.mask, t.tracker_id
FROM detections d
JOIN frames f USING (video_id, frame_offset)
LEFT JOIN tracked t USING (model_digest, frame_offset, detection_id)
WHERE d.video_id = $video_id AND f.time_offset_s >= $start_s AND f.time_offset_s < $end_s
ORDER BY d.model_digest, d.frame_offset, d.detection_id
