-- Gives: every frame that has an embedding, with how like a vector it is; columns video_id, uri, frame_offset,
-- time_offset_s, score (cosine, -1 to 1), model_id, model_digest.
-- Arguments: vector FLOAT[], as many numbers as the embeddings have; of_model: a model digest, else asked_embeddings().
-- Example: how like its first frame is each video? SELECT uri, avg(score) FROM frames_like((SELECT first(embedding ORDER BY video_id, frame_offset) FROM embeddings)) GROUP BY uri;
CREATE OR REPLACE MACRO frames_like(vector, of_model := NULL) AS TABLE
SELECT
    e.video_id, v.uri, e.frame_offset, f.time_offset_s,
    list_cosine_similarity(e.embedding, vector::FLOAT[])::DOUBLE AS score, e.model_id, e.model_digest
FROM embeddings e
JOIN frames f USING (video_id, frame_offset)
LEFT JOIN videos v USING (video_id)
WHERE e.model_digest = coalesce(of_model, asked_embeddings());
COMMENT ON MACRO TABLE frames_like IS 'Every frame with an embedding, with its cosine to a vector: frames_like(embed_text(''a red car'')). Optional: of_model (model digest).';
