"""The store: its schema says what it holds, and its tables depend on what was settled and on nothing else."""

from __future__ import annotations

import itertools
import json
import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framehouse.errors import JobNotFound, MigrationError, ResultsError, StoreError
from framehouse.results import parts
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Estimate, Lake, VideoLocation
from framehouse.store import migrate as migrate_module
from framehouse.store.checksum import snapshot_checksum, tables_checksum
from framehouse.store.connection import reading, script, writing
from framehouse.store.job_results import job_results
from framehouse.store.load import load_job, load_parts
from framehouse.store.migrate import macros, migrate, migrations, schema_version, views
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from framehouse.store.rows import read_rows
from kind_rows import kind_rows
from lakes import DETECTOR, plan, put_every_kind, put_job, put_part, run, small_lake, video, video_name

TABLES = {
    "videos", "video_locations", "jobs", "job_frames", "frames", "inferences", "detections", "usage", "schema_version",
    "loads", "settings", "job_estimates", "classifications", "embeddings", "gazes", "texts",
    "findings", "rulesets", "events", "scenes", "tracks",
}  # fmt: skip
PROMISED = {
    "videos": "video_id content_sha256 size_bytes container codec width height rotation_deg timing video_fps n_frames"
    " duration_s recorded_at labels first_seen_at uri",
    "video_locations": "uri video_id etag size_bytes modified_at gone_at",
    "jobs": "job_id video_id uri status infer_fps models submitted_at started_at finished_at error_code error_message"
    " attempt",
    "job_frames": "job_id frame_offset target_s",
    "frames": "video_id frame_offset pts time_offset_s",
    "inferences": "video_id frame_offset model_digest model_id status gap_reason job_id",
    "detections": "video_id frame_offset model_digest detection_id model_id class_id class_name confidence x y width"
    " height mask keypoints",
    "usage": "job_id model_id n_frames n_inferred infer_s decode_s bytes",
    "rulesets": "ruleset_id kind name params version first_used_at",
    "findings": "ruleset_id video_id n_events judged_s unjudged_s",
    "events": "event_id ruleset_id video_id kind time_offset_s end_s frame_offset tracker_id class_name score facts",
    "scenes": "ruleset_id video_id scene_id start_s end_s first_frame_offset last_frame_offset facts",
    "tracks": "ruleset_id video_id model_digest frame_offset detection_id tracker_id",
    "estimates": "job_id expected_frames n_frames expected_s low_s high_s worked_s expected_fetch_bytes fetched_bytes",
    "failed_videos": "cause stage second retry_command",
    "completeness": "video_id model_digest n_planned n_loaded n_gaps n_unexplained",
}


ESTIMATE = Estimate(n_frames=10, seconds=4.0, low_s=2.0, high_s=8.0, fetch_bytes=0, read_bytes=900, n_runs=3)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("sample")
    lake = small_lake(root / "lake")
    failure = {
        "uri": "/gone.mp4",
        "error_code": "source.not_found",
        "error_message": "nothing there",
        "error_hop": "fetch",
    }
    put_job(lake, "j_bad", [], 2, status="failed", models=(), video_id=None, estimate=ESTIMATE, **failure)
    with Publisher(root / "store", lake) as publisher:
        publisher.apply_and_publish(entries(lake))
    yield root / "store"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with writing(tmp_path / "x.duckdb") as connection:
        migrate(connection)
        yield connection


def entries(lake: Lake, first: int = 1) -> list[LoadEntry]:
    found = [LoadEntry(0, "job", job_id=job_id) for job_id in lake.job_ids()]
    found += [LoadEntry(0, "parts", *key) for key in lake.part_keys()]
    return [replace(entry, seq=first + i) for i, entry in enumerate(found)]


def rows(store: Path, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
    return run_query(store, sql, params=params).rows()


# ---------------------------------------------------------------- what the schema says


def test_every_promised_table_and_column_is_there(sample: Path) -> None:
    tables = {name for (name,) in rows(sample, "SELECT table_name FROM duckdb_tables() WHERE NOT internal")}
    assert tables == TABLES
    for table, columns in PROMISED.items():
        there = {row[0] for row in rows(sample, f"DESCRIBE {table}")}
        assert set(columns.split()) <= there, table


def test_every_table_view_and_column_has_a_comment(sample: Path) -> None:
    missing = "WHERE NOT internal AND coalesce(comment, '') = ''"
    commentless = rows(
        sample,
        f"SELECT table_name || '.' || column_name FROM duckdb_columns() {missing}"
        f" UNION ALL SELECT table_name FROM duckdb_tables() {missing}"
        f" UNION ALL SELECT view_name FROM duckdb_views() {missing}",
    )
    assert commentless == []
    grains = rows(sample, "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND comment NOT LIKE 'Grain: %'")
    assert grains == []


@pytest.mark.parametrize("view", views())
def test_every_view_says_its_grain_and_columns_and_its_example_runs(sample: Path, view: str) -> None:
    header = " ".join(line[3:] for line in script(views()[view]).splitlines() if line.startswith("-- "))
    assert header.startswith("Grain: ")
    assert " Columns: " in header
    example = re.search(r" Example: [^?]+\? (SELECT .*;)", header)
    assert example, f"{view} has no example question with its SQL"
    run_query(sample, example.group(1))
    for column in run_query(sample, f"FROM {view}").columns:
        assert column in header, f"the header of {view} does not name {column}"


def test_every_view_but_the_failures_has_rows_on_the_sample(sample: Path) -> None:
    of_other_kinds = {"duplicates", "tags_per_video", "texts_per_video", "gazes_per_second"}
    of_other_kinds |= {"insertion_points", "shots_per_video", "ranked_tags"}  # see test_cli_scenes and test_cli_tags
    of_other_kinds |= {"presence_per_video", "line_counts_per_minute", "zone_occupancy_per_second", "tracks_per_video"}
    of_other_kinds |= {"policy_intervals", "policy_verdicts", "proctor_report"}  # test_policy, test_proctor
    found = {view: rows(sample, f"SELECT count(*) > 0 FROM {view}")[0][0] for view in views()}
    assert found == {view: view not in of_other_kinds for view in views()}


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with rows of every kind."""
    root = tmp_path_factory.mktemp("kinds")
    put_every_kind(Lake(root / "lake"))
    rebuild(root / "store", Lake(root / "lake"))
    return root / "store"


@pytest.mark.parametrize("macro", macros())
def test_every_macro_says_what_it_gives_and_takes_and_its_example_runs(every_kind: Path, macro: str) -> None:
    header = " ".join(line[3:] for line in macros()[macro].splitlines() if line.startswith("-- "))
    assert header.startswith("Gives: ")
    described = header.partition(" Arguments: ")[2]
    (parameters, comment), *_ = rows(
        every_kind, "SELECT parameters, comment FROM duckdb_functions() WHERE function_name = ?", [macro]
    )
    assert all(name in described for name in parameters)
    assert comment
    example = re.search(r" Example: [^?]+\? ((?:SELECT|FROM) .*?;)", header)
    assert example, f"{macro} has no example question with its SQL"
    assert rows(every_kind, example.group(1))


def test_every_macro_has_a_comment(sample: Path) -> None:
    commented = rows(sample, "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal")
    assert set(macros()) <= {name for name, _ in commented}
    assert [name for name, comment in commented if not comment] == []


@pytest.mark.parametrize(
    ("kind", "view"),
    [("classifications", "tags_per_video"), ("multilabels", "words_per_frame"), ("texts", "texts_per_video"),
     ("gazes", "gazes_per_second"), ("texts", "words_per_frame"), ("segmentations", "objects_per_video")],
)  # fmt: skip
def test_views_of_other_kinds_have_their_rows(tmp_path: Path, kind: str, view: str) -> None:
    lake = Lake(tmp_path / "lake")
    lake.add_video(video(0))
    put_part(lake, range(0, 20), kind=kind, model_id="m/1")
    rebuild(tmp_path / "store", lake)
    assert rows(tmp_path / "store", f"SELECT count(*) FROM {view}")[0][0] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rows_has_a_table_with_its_fields_and_a_load(sample: Path, kind: str) -> None:
    table = KINDS[kind].table
    assert rows(sample, f"DESCRIBE {table}")
    assert f"INSERT INTO {table}" in script(f"loads/{kind}.sql")


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_kind_come_back_from_the_tables_as_they_were(tmp_path: Path, kind: str) -> None:
    lake, store = Lake(tmp_path / "lake"), tmp_path / "store"
    lake.add_video(video(0))
    put_part(lake, range(0, 12), kind=kind, model_id="m/1", gaps={5: "decode.missing"})
    put_part(lake, range(12, 20), kind=kind, model_id="m/1", chunk_id="c000000001")
    rebuild(store, lake)
    frames = [frame for frame in range(20) if frame != 5]
    expected = kind_rows(kind, video_name(0), DETECTOR, frames)
    with reading(store) as connection:
        found = read_rows(connection, kind, video_name(0), DETECTOR)
    assert len(expected) > 10
    assert type(found) is type(expected)
    for name, values in expected.arrays().items():
        np.testing.assert_array_equal(getattr(found, name), values)
    first = tables_of(store)
    rebuild(store, lake)
    assert tables_of(store) == first


def tables_of(store: Path) -> dict[str, str]:
    return snapshot_checksum(store)


# ---------------------------------------------------------------- what the tables hold


def test_planned_is_loaded_and_gaps(sample: Path) -> None:
    got = rows(sample, "SELECT * EXCLUDE (uri, model_id, model_digest) FROM completeness ORDER BY n_planned")
    assert got == [(video_name(0), 10, 9, 1, 0, 0, 0), (video_name(1), 20, 20, 0, 0, 0, 0)]
    assert rows(sample, "SELECT gap_reason, frame_offset FROM inferences WHERE status = 'gap'") == [
        ("decode.failed", 6)
    ]


def test_no_row_lacks_its_frame(sample: Path) -> None:
    for table in ("inferences", "detections"):
        assert rows(sample, f"SELECT * FROM {table} ANTI JOIN frames USING (video_id, frame_offset)") == []
    assert (
        rows(sample, "SELECT * FROM detections ANTI JOIN inferences USING (video_id, frame_offset, model_digest)") == []
    )
    assert rows(sample, "SELECT count(*), count(DISTINCT (video_id, frame_offset)) FROM frames") == [(30, 30)]


def test_detection_ids_follow_falling_confidence(sample: Path) -> None:
    wrong = rows(
        sample,
        "SELECT * FROM (SELECT detection_id, row_number() OVER (PARTITION BY video_id, model_digest, frame_offset"
        " ORDER BY confidence DESC, detection_id) - 1 AS expected FROM detections) WHERE detection_id <> expected",
    )
    assert wrong == []
    assert rows(sample, "SELECT count(*) > 20 FROM detections") == [(True,)]


def test_failures_say_cause_stage_and_how_to_retry(sample: Path) -> None:
    got = rows(sample, "SELECT uri, cause, stage, second, retry_command FROM failed_videos")
    assert got == [("/gone.mp4", "source.not_found", "fetch", None, "framehouse jobs retry j_bad")]


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"status": "done"}, []),
        ({"status": "failed"}, ["j_b"]),
        ({"status": "running"}, ["j_a"]),
        ({"status": "done", "uri": "/other.mp4"}, ["j_a"]),
        ({"status": "done", "models": ()}, ["j_a"]),
        ({"status": "done", "submitted_at": "2026-11-23T07:00:00+00:00"}, ["j_a"]),
    ],
)
def test_a_failure_leaves_when_a_later_job_replaces_it(
    tmp_path: Path, changes: dict[str, Any], left: list[str]
) -> None:
    lake, connection = Lake(tmp_path / "lake"), scratch()
    put_job(lake, "j_a", [0], status="failed", error_code="inference.timeout")
    put_job(lake, "j_b", [0], **{"submitted_at": "2026-11-23T09:00:00+00:00", **changes})
    for job_id in lake.job_ids():
        load_job(connection, lake, job_id)
    assert [name for (name,) in connection.execute("SELECT job_id FROM failed_videos").fetchall()] == left


def test_open_and_unexplained_frames_are_told_apart(tmp_path: Path) -> None:
    lake, store = Lake(tmp_path / "lake"), tmp_path / "store"
    put_job(lake, "j_done", [0, 6, 12])
    put_job(lake, "j_failed", [12, 18], status="failed")
    put_part(lake, [0, 24])
    with Publisher(store, lake) as publisher:
        publisher.apply_and_publish(entries(lake))
    sql = "SELECT n_planned, n_loaded, n_gaps, n_open, n_unexplained, n_unplanned FROM completeness"
    assert rows(store, sql) == [(4, 1, 0, 1, 2, 1)]


def test_costs_are_shared_among_models(tmp_path: Path) -> None:
    lake, store = Lake(tmp_path / "lake"), tmp_path / "store"
    record = put_job(lake, "j_1", [0])
    use = record.models[0]
    lake.write_run(replace(record, models=(use, replace(use, model_id="tags/1"), replace(use, model_id="clip/1"))))
    with Publisher(store, lake) as publisher:
        publisher.apply_and_publish(entries(lake))
    assert rows(store, "SELECT sum(decode_s), sum(bytes)::BIGINT, count(*) FROM usage") == [(1.5, 1001, 3)]


def test_a_place_belongs_to_its_newest_content_in_any_order(tmp_path: Path) -> None:
    old = replace(
        video(0), locations=(VideoLocation("/a.mp4", None, 1, "2026-01-01T00:00:00Z"), VideoLocation("/b.mp4"))
    )
    new = replace(video(1), locations=(VideoLocation("/a.mp4", None, 1, "2026-02-01T00:00:00+01:00"),))
    seen = []
    for n, order in enumerate(([0, 1], [1, 0], [0, 1, 0, 1, 1])):
        lake = Lake(tmp_path / f"lake{n}")
        for record in (old, new):
            lake.write_video(record)
        for number in (0, 1):
            lake.write_run(run(f"j_{number}", number))
        with writing(tmp_path / f"{n}.duckdb") as connection:
            migrate(connection)
            for number in order:
                load_job(connection, lake, f"j_{number}")
            places = connection.execute("SELECT uri, video_id FROM video_locations ORDER BY uri").fetchall()
            seen.append((places, connection.execute("SELECT video_id, uri FROM videos ORDER BY uri").fetchall()))
    assert seen[0] == (
        [("/a.mp4", video_name(1)), ("/b.mp4", video_name(0))],
        [(video_name(1), "/a.mp4"), (video_name(0), "/b.mp4")],
    )
    assert seen[1] == seen[2] == seen[0]


# ---------------------------------------------------------------- results of a job


def test_results_of_a_job_are_its_own_plan(sample: Path) -> None:
    out = job_results(sample, "j_one")
    assert out["frame_offset"] == list(range(0, 60, 6))
    assert out["time_offset"][:3] == [0.0, 0.2002, 0.4004]
    assert [i for i, element in enumerate(out["detector"]) if element is None] == [1]
    listed = [p["detection_id"] for element in out["detector"] if element for p in element["predictions"]]
    assert len(listed) == rows(sample, "SELECT count(*) FROM job_detections WHERE job_id = 'j_one'")[0][0] > 0
    everything = job_results(sample, "j_one", confidence=0.0)
    assert set(listed) < {
        p["detection_id"] for element in everything["detector"] if element for p in element["predictions"]
    }
    json.dumps(out)


def test_results_that_are_not_there(sample: Path) -> None:
    with pytest.raises(JobNotFound):
        job_results(sample, "j_nobody")
    with pytest.raises(StoreError, match="nothing there") as caught:
        job_results(sample, "j_bad")
    assert caught.value.code == "store.no_results"


# ---------------------------------------------------------------- equal tables


frames_and_gaps = st.lists(
    st.tuples(st.sets(st.integers(0, 59), min_size=1), st.sampled_from([None, "decode.failed", "inference.timeout"])),
    min_size=1,
    max_size=6,
)


@cache
def memory_database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    migrate(connection)
    return connection


def scratch() -> duckdb.DuckDBPyConnection:
    """A database of this release with empty tables."""
    for table in TABLES - {"schema_version", "settings"}:
        memory_database().execute(f"DELETE FROM {table}")
    return memory_database()


def loaded(lake: Lake, order: Sequence[tuple[str, str]], times: int = 1) -> dict[str, str]:
    """Checksums of empty tables after these loads."""
    connection = scratch()
    for what, key in order:
        for _ in range(times):
            if what == "job":
                load_job(connection, lake, key)
            else:
                load_parts(connection, lake, key, DETECTOR)
    return tables_checksum(connection)


@settings(max_examples=10)
@given(pieces=frames_and_gaps, seed=st.integers(0, 9))
def test_any_order_and_any_number_of_loads_give_equal_tables(
    pieces: list[tuple[set[int], str | None]], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        lake = Lake(Path(root))
        put_job(lake, "j_1", range(0, 60, 3))
        put_job(lake, "j_2", range(0, 60, 2), status="failed")
        order = [("job", "j_1"), ("job", "j_2"), ("parts", video_name(0))]
        for frames, reason in pieces:
            put_part(lake, sorted(frames), gaps=dict.fromkeys(frames, reason) if reason else {})
        whole = loaded(lake, order)
        shuffled = random.Random(seed).sample(order * 2, len(order) * 2)
        assert loaded(lake, shuffled) == whole
        assert loaded(lake, order, times=2) == whole


@settings(max_examples=10)
@given(
    cuts=st.sets(st.integers(1, 59), max_size=6), overlap=st.integers(0, 3), shuffle=st.randoms(use_true_random=False)
)
def test_any_split_into_parts_gives_equal_tables(cuts: set[int], overlap: int, shuffle: random.Random) -> None:
    gaps = dict.fromkeys(range(7, 60, 11), "decode.failed")
    edges = [0, *sorted(cuts), 60]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as many:
        whole, split = Lake(Path(one)), Lake(Path(many))
        for lake in (whole, split):
            put_job(lake, "j_1", range(60))
        put_part(whole, range(60), gaps=gaps)
        pieces = [range(max(0, a - overlap), b) for a, b in itertools.pairwise(edges)]
        shuffle.shuffle(pieces)
        for piece in pieces:
            put_part(split, piece, gaps={n: reason for n, reason in gaps.items() if n in piece})
        order = [("parts", video_name(0)), ("job", "j_1")]
        assert loaded(split, order) == loaded(whole, order)


@pytest.mark.parametrize("first_loaded", range(6))  # other instants, another name: the gaps' part comes first or last
def test_loaded_beats_gap(tmp_path: Path, first_loaded: int) -> None:
    lake = Lake(tmp_path / "lake")
    put_job(lake, "j_1", range(10))
    gaps = dict.fromkeys(range(10), "inference.timeout")
    put_part(lake, range(10), gaps=gaps)
    connection = scratch()
    load_parts(connection, lake, video_name(0), DETECTOR)
    assert connection.execute("SELECT DISTINCT status FROM inferences").fetchall() == [("gap",)]
    put_part(lake, range(first_loaded, 10))
    load_parts(connection, lake, video_name(0), DETECTOR)
    gap_frames = connection.execute("SELECT frame_offset FROM inferences WHERE status = 'gap' ORDER BY 1").fetchall()
    assert gap_frames == [(frame,) for frame in range(first_loaded)]


def test_a_changed_row_changes_the_checksum(database: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    for job_id in lake.job_ids():
        load_job(database, lake, job_id)
    for key in lake.part_keys():
        load_parts(database, lake, *key)
    before = tables_checksum(database)
    changes = {
        "detections": "UPDATE detections SET x = x + 0.0001 WHERE rowid = 3",
        "inferences": "UPDATE inferences SET gap_reason = 'other' WHERE status = 'gap'",
        "frames": "INSERT INTO frames SELECT * FROM frames LIMIT 1",
        "videos": "UPDATE videos SET duration_s = nextafter(duration_s, 100) WHERE n_frames = 300",
        "completeness": "UPDATE inferences SET status = 'loaded'",
        "planned": "DELETE FROM job_frames WHERE frame_offset = 6",
    }
    assert set(changes) == set(before)
    for table, sql in changes.items():
        database.begin()
        database.execute(sql)
        assert tables_checksum(database)[table] != before[table], table
        database.rollback()
    database.execute("UPDATE jobs SET attempt = 9, finished_at = NULL; UPDATE inferences SET job_id = 'x', infer_s = 9")
    assert tables_checksum(database) == before


def test_a_rebuild_gives_equal_tables_and_goes_on(tmp_path: Path) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    log = entries(lake)
    with Publisher(store, lake) as publisher:
        for entry in random.Random(1).sample(log, len(log)):
            publisher.apply_and_publish([replace(entry, seq=publisher.published_seq + 1)])
    before, number = snapshot_checksum(store), len(log)
    done = rebuild(store, lake)
    assert (done.n_videos, done.n_jobs, done.n_loads, done.set_aside) == (2, 2, 2, ())
    assert snapshot_checksum(store) == before
    put_part(lake, [2])
    with Publisher(store, lake) as publisher:
        assert publisher.published_seq == number
        for seq in range(number + 1, number + 4):
            publisher.apply_and_publish([LoadEntry(seq, "parts", video_name(0), DETECTOR)])
    after = snapshot_checksum(store)
    assert after["inferences"] != before["inferences"]
    rebuild(store, lake)
    assert snapshot_checksum(store) == after


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("damage", ["zero bytes", "cut", "flipped", "foreign", "beyond the end"])
def test_a_bad_part_is_set_aside_and_the_rest_is_loaded(tmp_path: Path, damage: str) -> None:
    lake, store = small_lake(tmp_path / "lake", gap=False), tmp_path / "store"
    bad = Path(put_part(lake, range(100, 140)).path)
    if damage == "zero bytes":
        bad.write_bytes(b"")
    elif damage == "cut":
        bad.write_bytes(bad.read_bytes()[:-9])
    elif damage == "flipped":
        content = bytearray(bad.read_bytes())
        content[300] ^= 1
        bad.write_bytes(content)
    elif damage == "foreign":
        bad.unlink()
        bad = Path(put_part(lake, [3], number=5).path).rename(bad.with_name(Path(put_part(lake, [3]).path).name))
    else:
        bad.unlink()
        bad = Path(put_part(lake, [299, 300]).path)
    with Publisher(store, lake) as publisher:
        done = publisher.publish(entries(lake))
    assert done is not None
    assert [(item.path, item.code) for item in done.set_aside] == [(str(bad), "results.misaligned_parts")]
    assert bad.with_name(bad.name + ".bad").exists()
    counts = rows(store, "SELECT n_planned, n_loaded, n_unexplained FROM completeness WHERE n_planned > 0 ORDER BY 1")
    assert counts == [(10, 10, 0), (20, 20, 0)]


def test_rows_go_when_their_last_part_is_set_aside(tmp_path: Path, database: duckdb.DuckDBPyConnection) -> None:
    lake = Lake(tmp_path / "lake")
    path = Path(put_part(lake, range(20)).path)
    load_parts(database, lake, video_name(0), DETECTOR)
    assert database.execute("SELECT count(*) > 0 FROM detections").fetchall() == [(True,)]
    path.write_bytes(b"")
    load_parts(database, lake, video_name(0), DETECTOR)
    assert database.execute("SELECT count(*) FROM detections").fetchall() == [(0,)]


def test_damaged_records_are_reported_and_the_rest_is_loaded(tmp_path: Path) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    lake.run_path("j_one").write_text("{")
    lake.video_path(video_name(1)).write_text("")
    with Publisher(store, lake) as publisher:
        done = publisher.publish(entries(lake))
    assert done is not None
    assert {Path(item.path).name for item in done.set_aside} == {"j_one.json", f"{video_name(1)}.json"}
    assert rows(store, "SELECT job_id FROM jobs") == [("j_two",)]
    assert rows(store, "SELECT count(*) FROM inferences") == [(30,)]


def test_a_part_of_a_later_release_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    monkeypatch.setattr(parts, "SCHEMA_VERSION", 2)
    later = Path(put_part(lake, [200]).path)
    monkeypatch.undo()
    with Publisher(store, lake) as publisher:
        done = publisher.publish(entries(lake))
    assert done is not None
    assert [(item.path, item.code) for item in done.set_aside] == [(str(later), parts.LATER_SCHEMA)]
    assert later.exists()


def test_parts_without_video_or_job_are_loaded_and_times_come_later(
    tmp_path: Path, database: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(tmp_path / "lake")
    put_part(lake, range(0, 30, 3))
    load_parts(database, lake, video_name(0), DETECTOR)
    assert database.execute("SELECT count(*) FROM frames WHERE time_offset_s IS NOT NULL").fetchall() == [(10,)]
    lake.write_plan("j_1", video_name(0), plan(range(0, 60, 6)))
    load_job(database, lake, "j_1")
    assert database.execute("SELECT count(*) FROM frames WHERE time_offset_s IS NULL").fetchall() == [(5,)]
    lake.write_video(video())
    lake.write_run(run("j_1"))
    load_job(database, lake, "j_1")
    wrong = "SELECT * FROM frames WHERE time_offset_s IS DISTINCT FROM frame_offset * 1001 / 30000::DOUBLE"
    assert database.execute(wrong).fetchall() == []
    assert database.execute("SELECT count(*) FROM frames").fetchall() == [(15,)]


def test_migrating_twice_does_nothing(database: duckdb.DuckDBPyConnection) -> None:
    before = database.execute("FROM schema_version").fetchall()
    migrate(database)
    assert database.execute("FROM schema_version").fetchall() == before
    assert schema_version(database) == max(migrations())


def test_a_failing_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = script

    def broken(name: str) -> str:
        return real(name) + "\nSELECT * FROM nosuch;" if name.startswith("migrations/") else real(name)

    monkeypatch.setattr("framehouse.store.connection.script", broken)
    with pytest.raises(MigrationError, match="0001"), writing(tmp_path / "x.duckdb") as connection:
        migrate(connection)
    with writing(tmp_path / "x.duckdb") as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []


def test_a_database_of_a_later_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    with Publisher(store, lake) as publisher:
        publisher.apply_and_publish(entries(lake))
    newest = max(migrations())
    monkeypatch.setattr(migrate_module, "migrations", lambda: {0: "migrations/0000_none.sql"})
    with pytest.raises(MigrationError, match=f"schema {newest}, this release knows 0"):
        run_query(store, "SELECT 1")
    with pytest.raises(MigrationError, match=f"schema {newest}"):
        Publisher(store, lake)


def test_changed_views_are_published_without_a_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    with Publisher(store, lake) as publisher:
        publisher.apply_and_publish(entries(lake))
    monkeypatch.setattr(migrate_module, "_views_mark", lambda: "views other")
    with Publisher(store, lake, confidence=0.25) as publisher:
        assert publisher.publish([]) is not None
        assert publisher.publish([]) is None
    assert rows(store, "SELECT value FROM settings WHERE name = 'confidence'") == [("0.25",)]
    assert rows(store, "SELECT name FROM schema_version WHERE version = 0") == [("views other",)]
    assert rows(store, "SELECT asked_confidence()") == [(0.25,)]


def test_unreadable_plan_is_named(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    lake.plan_path("j_one").write_bytes(b"PAR1")
    with pytest.raises(ResultsError):
        lake.read_plan("j_one")
