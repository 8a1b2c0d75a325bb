from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from framehouse.errors import QueryRejected, QueryTimeout, StoreError
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import plain, run_query
from framehouse.store.snapshots import current_snapshot
from lakes import DETECTOR, small_lake, video_name


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("store ü")
    lake = small_lake(root / "lake")
    entries = [LoadEntry(1, "job", job_id="j_one"), LoadEntry(2, "job", job_id="j_two")]
    entries += [LoadEntry(3 + n, "parts", video_name(n), DETECTOR) for n in (0, 1)]
    with Publisher(root / "store", lake) as publisher:
        publisher.apply_and_publish(entries)
    yield root / "store"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM detections",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "FROM videos",
        "VALUES (1), (2)",
        "DESCRIBE detections",
        "SHOW TABLES",
        "SUMMARIZE detections",
        "EXPLAIN SELECT 1",
        "SELECT 1;",
        "SELECT 1 -- a comment; with a semicolon",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT column_name, comment FROM duckdb_columns()",
        "SELECT * FROM information_schema.tables",
        "EXPLAIN ANALYZE SELECT count(*) FROM detections",
        "SHOW ALL TABLES",
        "SELECT * FROM range(3), unnest([1, 2])",
        "SELECT list_transform([1, 2], lambda x: x + 1)",
        "SELECT asked_confidence()",
        "SELECT * FROM detections_per_second UNION SELECT * FROM detections_per_second",
        "SELECT count(*) FILTER (confidence > 0.5) OVER (PARTITION BY class_id) FROM detections QUALIFY true LIMIT 1",
    ],
)
def test_reading_is_allowed(store: Path, sql: str) -> None:
    assert run_query(store, sql).n_rows > 0


@pytest.mark.parametrize(
    "sql",
    [
        "", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE videos",
        "INSERT INTO videos SELECT * FROM videos", "DELETE FROM detections", "UPDATE jobs SET status = 'done'",
        "DROP TABLE videos", "CREATE TABLE t AS SELECT 1", "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE videos ADD COLUMN x INT", "TRUNCATE videos", "VACUUM", "CHECKPOINT", "ANALYZE",
        "UPDATE EXTENSIONS", "ATTACH '/tmp/other.duckdb'", "DETACH store", "USE memory", "COPY videos TO '/tmp/v.csv'",
        "COPY (SELECT 1) TO '/tmp/v.parquet'", "EXPORT DATABASE '/tmp/e'", "IMPORT DATABASE '/tmp/e'",
        "INSTALL httpfs", "LOAD httpfs", "SET memory_limit = '100GB'", "RESET threads",
        "SET VARIABLE confidence = 0", "PRAGMA database_list", "PRAGMA enable_external_access = true",
        "CALL pragma_version()", "BEGIN", "COMMIT", "PREPARE p AS SELECT 1", "EXECUTE p",
        "EXPLAIN ANALYZE DELETE FROM videos", "WITH x AS (DELETE FROM videos RETURNING *) SELECT * FROM x",
    ],
)  # fmt: skip
def test_anything_else_is_refused(store: Path, sql: str) -> None:
    before = current_snapshot(store).read_bytes()
    with pytest.raises(QueryRejected) as caught:
        run_query(store, sql)
    assert caught.value.code == "store.query_rejected"
    assert "\n" not in caught.value.line()
    assert current_snapshot(store).read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('/tmp/*.parquet')", "SELECT * FROM read_json('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/tmp/x.parquet')", "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM 'https://example.com/x.parquet'", "SELECT * FROM query('SELECT * FROM ''/etc/passwd''')",
        "SELECT * FROM sqlite_scan('/etc/passwd', 't')", "SELECT getenv('HOME')", "SELECT * FROM secret_frame",
        "SELECT * FROM read_duckdb('/etc/passwd')",
        "SELECT * FROM duckdb_databases()", "FROM duckdb_databases", "SELECT * FROM main.duckdb_databases",
        'SELECT * FROM "DuckDB_Databases"', "SUMMARIZE duckdb_databases", "SELECT * FROM pragma_database_list",
        "SELECT * FROM duckdb_settings()", "SELECT current_setting('home_directory')",
        "EXPLAIN SELECT current_setting('home_directory')", "EXPLAIN ANALYZE FROM duckdb_settings()",
        "SELECT * FROM pg_catalog.pg_settings", "SELECT * FROM duckdb_extensions()", "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM query('FROM duckdb_' || 'settings()')", "SELECT * FROM query_table('duckdb_databases')",
        "WITH x AS (SELECT 1) SELECT (SELECT max(value) FROM duckdb_settings()) FROM x",
        "SELECT 1 WHERE 'a' IN (SELECT path FROM duckdb_databases())",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "SELECT * FROM range(1) r, LATERAL (SELECT * FROM duckdb_temporary_files())",
    ],
)  # fmt: skip
def test_nothing_outside_is_reachable(store: Path, sql: str) -> None:
    secret_frame = pd.DataFrame({"a": [1]})  # DuckDB would find it by its Python name
    with pytest.raises(QueryRejected) as caught:
        run_query(store, sql)
    assert "root:" not in caught.value.message
    assert "\n" not in caught.value.line()
    assert len(secret_frame) == 1


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nosuch FROM videos", "nosuch"),
        ("SELECT * FROM nosuch", "nosuch"),
        ("SELECT 'x'::INTEGER", "Could not convert"),
        ("SELECT error('a' || chr(10) || 'b')", "a b"),
        ("SELECT ?", ""),
    ],
)
def test_wrong_sql_is_one_line_without_the_store_s_path(store: Path, sql: str, says: str) -> None:
    with pytest.raises(QueryRejected) as caught:
        run_query(store, sql)
    assert says in caught.value.message
    assert str(store) not in caught.value.message
    assert "\n" not in caught.value.line()


def test_parameters(store: Path) -> None:
    assert run_query(store, "SELECT ?::INT + ?", params=[1, 2]).rows() == [(3,)]
    found = run_query(store, "SELECT DISTINCT video_id FROM frames WHERE video_id = $v", params={"v": video_name(1)})
    assert found.rows() == [(video_name(1),)]


def test_a_query_over_its_time_is_stopped(store: Path) -> None:
    started = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"longer than 0\.3 s"):
        run_query(store, "SELECT count(*) FROM range(100000000000) a WHERE a.range % 7 = 3", timeout_s=0.3)
    assert time.monotonic() - started < 5
    assert run_query(store, "SELECT 1").rows() == [(1,)]


def test_a_timeout_stops_only_its_own_query(store: Path) -> None:
    stopped: list[str] = []

    def slow() -> None:
        try:
            run_query(store, "SELECT count(*) FROM range(100000000000) a WHERE a.range % 7 = 3", timeout_s=0.2)
        except QueryTimeout as error:
            stopped.append(error.code)

    thread = threading.Thread(target=slow)
    thread.start()
    answers = [run_query(store, "SELECT count(*) FROM frames", timeout_s=20).rows() for _ in range(8)]
    thread.join(10)
    assert stopped == ["store.query_timeout"]
    assert answers == [[(30,)]] * 8


def test_rows_are_limited_without_computing_the_rest(store: Path) -> None:
    result = run_query(store, "SELECT * FROM range(100000000000)", max_rows=5, timeout_s=10)
    assert (result.n_rows, result.truncated) == (5, True)
    exact = run_query(store, "SELECT * FROM range(5)", max_rows=5)
    assert (exact.n_rows, exact.truncated) == (5, False)
    assert run_query(store, "SELECT * FROM range(5)", max_rows=0).n_rows == 0
    assert run_query(store, "SELECT * FROM range(30000)", max_rows=None).n_rows == 30000


def test_memory_is_limited_and_nothing_is_spilled(store: Path) -> None:
    before = sorted(p.name for p in store.iterdir())
    with pytest.raises(QueryRejected) as caught:
        run_query(store, "SELECT md5(range::VARCHAR) m FROM range(20000000) ORDER BY m", memory="30MB", max_rows=None)
    assert caught.value.code == "store.query_memory"
    assert sorted(p.name for p in store.iterdir()) == before


def test_views_apply_the_asked_threshold(store: Path) -> None:
    def seen(confidence: float | None) -> int:
        return int(
            run_query(store, "SELECT sum(n_detections) FROM objects_per_video", confidence=confidence).rows()[0][0]
        )

    def stored(confidence: float) -> int:
        sql = "SELECT count(*) FROM detections WHERE confidence >= ?::FLOAT"
        return int(run_query(store, sql, params=[confidence]).rows()[0][0])

    assert seen(None) == seen(0.4) == stored(0.4) < stored(0.0)
    assert seen(0.0) == stored(0.0)
    assert 0 < seen(0.9) == stored(0.9) < stored(0.4)


def test_outputs(store: Path, tmp_path: Path) -> None:
    sql = (
        "SELECT 1 AS a, 'x,\"y\"' AS b, [1, 2] AS c, {'k': 1.5} AS d, NULL AS e, TIMESTAMP '2026-01-02 03:04:05' AS f,"
        " 'nan'::DOUBLE AS g, 12::HUGEINT AS h, 1.5::DECIMAL(4, 2) AS i, DATE '2026-01-02' AS j, true AS k"
    )
    result = run_query(store, sql)
    assert result.columns == tuple("abcdefghijk")
    assert result.types[:3] == ("INTEGER", "VARCHAR", "INTEGER[]")
    record = {
        "a": 1, "b": 'x,"y"', "c": [1, 2], "d": {"k": 1.5}, "e": None, "f": "2026-01-02T03:04:05", "g": None, "h": 12,
        "i": 1.5, "j": "2026-01-02", "k": True,
    }  # fmt: skip
    assert json.loads(result.to_json()) == [record]
    assert result.to_csv().splitlines() == [
        "a,b,c,d,e,f,g,h,i,j,k",
        '1,"x,""y""","[1, 2]","{""k"": 1.5}",,2026-01-02T03:04:05,,12,1.5,2026-01-02,True',
    ]
    (tmp_path / "x.parquet").write_bytes(result.to_parquet())
    assert pq.read_table(tmp_path / "x.parquet").column("c").to_pylist() == [[1, 2]]
    assert result.to_pandas()["a"].tolist() == [1]


def test_empty_results_keep_their_columns(store: Path) -> None:
    result = run_query(store, "SELECT video_id, n_frames FROM videos WHERE false")
    assert (result.columns, result.rows(), result.to_csv()) == (("video_id", "n_frames"), [], "video_id,n_frames\n")


@pytest.mark.parametrize(("value", "expected"), [(b"\x01\xff", "01ff"), (float("inf"), None), ((1, 2), [1, 2])])
def test_plain_values(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        run_query(tmp_path, "SELECT 1")
    assert caught.value.code == "store.empty"


def test_plain_duckdb_reads_the_snapshot(store: Path) -> None:
    with duckdb.connect(current_snapshot(store), read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM videos").fetchall() == [(2,)]
        with pytest.raises(StoreError, match="other settings") as caught:
            run_query(store, "SELECT 1")
    assert caught.value.code == "store.open"
    assert run_query(store, "SELECT 1").rows() == [(1,)]
