-- Grain: one table of results: how many rows it holds.
SELECT 'videos' AS name, count(*) AS n_rows FROM videos
UNION ALL SELECT 'frames × models', count(*) FROM inferences
UNION ALL SELECT 'boxes', count(*) FROM detections
UNION ALL SELECT 'classes of frames', count(*) FROM classifications
UNION ALL SELECT 'faces and looks', count(*) FROM gazes
UNION ALL SELECT 'lines of text', count(*) FROM texts
UNION ALL SELECT 'embeddings', count(*) FROM embeddings
