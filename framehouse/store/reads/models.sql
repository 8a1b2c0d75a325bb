-- Models that saw a video, those with most answered frames first. A digest has one kind of rows, whichever job used it.
-- Bound: video_id.
SELECT
    min(i.model_id) AS model_id, i.model_digest, k.kind, count(*) FILTER (i.status = 'loaded') AS n_loaded,
    count(*) FILTER (i.status <> 'loaded') AS n_gaps
FROM inferences i
JOIN (SELECT model_digest, min(kind) AS kind FROM usage GROUP BY model_digest) k USING (model_digest)
WHERE i.video_id = ?
GROUP BY i.model_digest, k.kind
ORDER BY n_loaded DESC, model_id DESC, i.model_digest
