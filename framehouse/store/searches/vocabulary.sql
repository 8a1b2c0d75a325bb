-- Every word that frames have, from a confidence on, in all videos or in some. Bound: confidence, video_ids (null for all).
SELECT word, source, count(*) AS n_frames, max(confidence) AS best_confidence
FROM words_per_frame
WHERE $video_ids IS NULL OR list_contains($video_ids, video_id)
GROUP BY word, source
ORDER BY word, source
