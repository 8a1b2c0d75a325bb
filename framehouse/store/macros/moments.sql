-- Gives: the best moments for a vector: stretches of a video, best first; columns video_id, uri, start_s, end_s, n_frames,
-- best_frame_offset, best_s, score (cosine of the best frame), word, source, confidence (null here), model_id.
-- Arguments: vector FLOAT[], as many numbers as the embeddings have, for example embed_text('a red car') where it is
-- registered, or the embedding of a frame; top: how many; of_model: a model digest, else asked_embeddings(); video_ids: a
-- list, only in these videos.
-- Example: what is most like the first frame? FROM moments((SELECT first(embedding ORDER BY video_id, frame_offset) FROM embeddings), 5);
CREATE OR REPLACE MACRO moments(vector, top, of_model := NULL, video_ids := NULL) AS TABLE
{moments of vectors, with model_digest = coalesce(of_model, asked_embeddings())};
COMMENT ON MACRO TABLE moments IS 'The best moments for a vector: moments(embed_text(''a red car''), 10). Optional: of_model (model digest), video_ids (list).';
