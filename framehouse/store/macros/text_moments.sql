-- Gives: the best moments where a phrase is written in the picture, from asked_confidence() on, whatever its case, spaces
-- and signs; columns as moments(), word = the whole line, score = its confidence.
-- Arguments: phrase; top: how many; video_ids: a list, only in these videos.
-- Example: where is an exit sign? FROM text_moments('exit', 5);
CREATE OR REPLACE MACRO text_moments(phrase, top, video_ids := NULL) AS TABLE
{moments of written};
COMMENT ON MACRO TABLE text_moments IS 'The best moments where a phrase is written in the picture: text_moments(''exit'', 10). Optional: video_ids (list).';
