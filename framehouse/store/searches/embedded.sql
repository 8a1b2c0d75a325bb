-- Videos with embeddings of a model digest: what was loaded when, where they lie, and how many numbers they have. Grain: a
-- video. Bound: ? (model digest).
WITH newest AS (
    SELECT video_id, max(seq) AS seq
    FROM loads
    WHERE kind = 'parts' AND model_digest = ?1
    GROUP BY video_id
)
SELECT
    e.video_id, (SELECT any_value(value) FROM settings WHERE name = 'generation') || ':' || coalesce(any_value(n.seq), 0),
    any_value(v.uri), coalesce(any_value(v.duration_s), 0), min(e.model_id), sum(len(e.embedding))
FROM embeddings e
LEFT JOIN newest n USING (video_id)
LEFT JOIN videos v USING (video_id)
WHERE e.model_digest = ?1
GROUP BY e.video_id
ORDER BY e.video_id
