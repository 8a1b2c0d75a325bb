-- Grain: one table or view that people may ask, with what it says of itself.
SELECT name, is_view, comment, columns
FROM (
    SELECT table_name AS name, FALSE AS is_view, comment FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT view_name, TRUE, comment FROM duckdb_views() WHERE NOT internal
)
JOIN (
    SELECT table_name AS name, list(column_name ORDER BY column_index) AS columns
    FROM duckdb_columns() WHERE NOT internal GROUP BY table_name
) USING (name)
WHERE name NOT IN ('loads', 'settings', 'schema_version')
ORDER BY is_view, name
