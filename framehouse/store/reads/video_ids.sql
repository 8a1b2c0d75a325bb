-- Every video with a row in the ledger, by place, then id.
SELECT v.video_id
FROM videos v
WHERE v.video_id IN (SELECT video_id FROM inferences)
ORDER BY v.uri NULLS LAST, v.video_id
