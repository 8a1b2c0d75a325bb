-- Grain: one place where a video was seen, those where it still lies first. Bound: video_id, top.
SELECT uri, size_bytes, modified_at, gone_at
FROM video_locations
WHERE video_id = $video_id
ORDER BY gone_at IS NOT NULL, uri
LIMIT $top
