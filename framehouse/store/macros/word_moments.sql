-- Gives: the best moments that have one of some words, exactly as words_per_frame has them (classes of boxes, tags,
-- written words); columns as moments(), score = confidence of the best frame.
-- Arguments: words: a list; top: how many; video_ids: a list, only in these videos.
-- Example: where are people or cars? FROM word_moments(['person', 'car'], 5);
CREATE OR REPLACE MACRO word_moments(words, top, video_ids := NULL) AS TABLE
{moments of exact_words};
COMMENT ON MACRO TABLE word_moments IS 'The best moments that have one of some words exactly: word_moments([''person'', ''car''], 10). Optional: video_ids (list).';
