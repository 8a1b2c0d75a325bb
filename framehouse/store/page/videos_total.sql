-- Grain: one row: how many videos there are, and how long. Bound: words, as in videos.sql.
SELECT count(*) AS n_videos, coalesce(sum(duration_s), 0) AS duration_s
FROM videos
WHERE $words = '' OR contains(lower(coalesce(uri, '')), $words) OR video_id = $words
