-- Gives: the model digest whose embeddings are meant: the session's variable embeddings when set, as `search`, `sql` and
-- `connect()` do, else the one with most frames.
-- Arguments: none.
-- Example: which embeddings does search compare with? SELECT asked_embeddings() AS model_digest;
CREATE OR REPLACE MACRO asked_embeddings() AS coalesce(
    getvariable('embeddings')::VARCHAR,
    (SELECT first(model_digest ORDER BY n DESC, model_digest)
     FROM (SELECT model_digest, count(*) AS n FROM embeddings GROUP BY model_digest)));
COMMENT ON MACRO asked_embeddings IS 'Model digest whose embeddings are meant: the session''s variable embeddings, else the one with most frames';
