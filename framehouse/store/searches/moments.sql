-- Moments out of hits: grain one stretch of a video. Hits are a query put in below, with the columns video_id, model_digest,
-- model_id, frame_offset, score, word, source, confidence, one row per frame and model. Hits of neighbouring sampled
-- frames are one moment (one frame between them may lack), and moments of several models that overlap are one. A moment
-- ends where the next sampled frame would be. Bound: top, and what the hits bind.
WITH hits AS (
{hits}
), sampled AS (
    SELECT
        i.video_id, i.model_digest, i.frame_offset, f.time_offset_s,
        row_number() OVER (PARTITION BY i.video_id, i.model_digest ORDER BY i.frame_offset) AS place
    FROM inferences i
    JOIN frames f USING (video_id, frame_offset)
    WHERE i.status = 'loaded' AND (i.video_id, i.model_digest) IN (SELECT (video_id, model_digest) FROM hits)
), stepped AS (
    SELECT *, time_offset_s - lag(time_offset_s) OVER (PARTITION BY video_id, model_digest ORDER BY place) AS step_s
    FROM sampled
), steps AS (
    SELECT video_id, model_digest, coalesce(median(step_s), 0) AS step_s
    FROM stepped
    GROUP BY video_id, model_digest
), placed AS (
    SELECT
        h.*, s.time_offset_s, s.place, t.step_s,
        lag(s.place) OVER w AS place_before, lag(s.time_offset_s) OVER w AS time_before_s
    FROM hits h
    JOIN sampled s USING (video_id, model_digest, frame_offset)
    JOIN steps t USING (video_id, model_digest)
    WINDOW w AS (PARTITION BY h.video_id, h.model_digest ORDER BY s.place)
), stretched AS (
    SELECT
        *, sum(CASE WHEN place - place_before <= 2 AND time_offset_s - time_before_s <= 2.5 * step_s THEN 0 ELSE 1 END)
            OVER (PARTITION BY video_id, model_digest ORDER BY place ROWS UNBOUNDED PRECEDING) AS stretch
    FROM placed
), stretches AS (
    SELECT
        p.video_id, p.model_digest, min(p.time_offset_s) AS start_s, max(p.time_offset_s) + any_value(p.step_s) AS end_s,
        count(*) AS n_frames,
        first({score: p.score, frame_offset: p.frame_offset, time_offset_s: p.time_offset_s, word: p.word,
            source: p.source, confidence: p.confidence, model_id: p.model_id}
            ORDER BY p.score DESC, p.frame_offset) AS best
    FROM stretched p
    GROUP BY p.video_id, p.model_digest, p.stretch
), chained AS (
    SELECT
        *, sum(fresh) OVER (
            PARTITION BY video_id ORDER BY start_s, end_s, model_digest ROWS UNBOUNDED PRECEDING
        ) AS moment
    FROM (
        SELECT *, CASE WHEN start_s > max(end_s) OVER (
            PARTITION BY video_id ORDER BY start_s, end_s, model_digest
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) THEN 1 ELSE 0 END AS fresh
        FROM stretches
    )
), moments AS (
    SELECT
        video_id, min(start_s) AS start_s, max(end_s) AS end_s, sum(n_frames)::BIGINT AS n_frames,
        first(best ORDER BY best.score DESC, best.frame_offset, model_digest) AS best
    FROM chained
    GROUP BY video_id, moment
)
SELECT
    m.video_id, v.uri, m.start_s, least(m.end_s, greatest(v.duration_s, m.start_s)) AS end_s, m.n_frames,
    m.best.frame_offset AS best_frame_offset, m.best.time_offset_s AS best_s, m.best.score AS score,
    m.best.word AS word, m.best.source AS source, m.best.confidence AS confidence, m.best.model_id AS model_id
FROM moments m
JOIN videos v USING (video_id)
ORDER BY score DESC, m.video_id, m.start_s
LIMIT $top
