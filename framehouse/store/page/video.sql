-- Grain: one video. Bound: video_id.
SELECT * EXCLUDE (labels), time_base_num / time_base_den AS time_base_s FROM videos WHERE video_id = $video_id
