-- Grain: one bin of a model digest: bin_s seconds, or one frame where bin_s is 0. Bound: video_id, bin_s.
SELECT
    i.model_digest,
    CASE WHEN $bin_s = 0 THEN f.time_offset_s ELSE floor(f.time_offset_s / $bin_s + 1e-9) * $bin_s END AS t,
    count(*) FILTER (i.status = 'loaded') AS n_seen, count(*) FILTER (i.status = 'gap') AS n_gaps
FROM inferences i
JOIN frames f USING (video_id, frame_offset)
WHERE i.video_id = $video_id
GROUP BY ALL
ORDER BY i.model_digest, t
