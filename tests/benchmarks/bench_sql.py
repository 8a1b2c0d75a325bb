"""How long questions to a large store take: the moments of a text among 100,000 frames with vectors of 512 numbers, and
10,000,000 detections counted by class.

`make bench-sql` or `.venv/bin/python tests/benchmarks/bench_sql.py --frames 100000`. Prints one JSON document. The
store is made of numbers drawn at random, in a temporary folder. `wall_ms` is the median of a question in a process that
has asked before, `first_ms` the first one; the questions are asked in turn, so that what else the machine does falls on
all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from framehouse.results.lake import Lake
from framehouse.store.publish import Publisher
from framehouse.store.query import run_query
from framehouse.store.search import Place, vector_moments

DIMENSIONS = 512
PER_VIDEO = 1000
STEP_FRAMES = 6
DIGEST, DETECTOR = "e" * 32, "d" * 32
CLASSES = ("person", "car", "dog", "bicycle", "traffic light", "chair", "bottle", "cat")
AIMS_MS = {"moments": 100.0, "moments_in_sql": 100.0, "group_by": 1000.0}

_VIDEOS = """
INSERT INTO videos BY NAME
SELECT 'v_' || lpad(i::VARCHAR, 24, '0') AS video_id, '/videos/' || i || '.mp4' AS uri, 'x' AS content_sha256,
    1 AS size_bytes, 'mp4' AS container, 'h264' AS codec, 640 AS width, 360 AS height, 0 AS rotation_deg,
    'exact' AS timing, 30.0 AS video_fps, '30' AS video_fps_text, $n * $step AS n_frames, $n * $step / 30 AS duration_s,
    0 AS first_pts, 1 AS time_base_num, 30 AS time_base_den, map {'camera': (i % 4)::VARCHAR} AS labels,
    TIMESTAMP '2026-01-01' AS first_seen_at, []::VARCHAR[] AS damage
FROM range($n_videos) t(i);
"""
_FRAMES = """
INSERT INTO frames BY NAME
SELECT 'v_' || lpad((i // $n)::VARCHAR, 24, '0') AS video_id, (i % $n) * $step AS frame_offset,
    (i % $n) * $step AS pts, (i % $n) * $step / 30 AS time_offset_s
FROM range($n_frames) t(i);
"""
_LEDGER = """
INSERT INTO inferences BY NAME
SELECT video_id, frame_offset, $digest AS model_digest, $model AS model_id, 'loaded' AS status,
    0.01::FLOAT AS infer_s
FROM frames;
"""
_DETECTIONS = """
INSERT INTO detections BY NAME
SELECT 'v_' || lpad((i // 100000)::VARCHAR, 24, '0') AS video_id, (i % 100000 // 10) * $step AS frame_offset,
    $digest AS model_digest, i % 10 AS detection_id, 'detector/1' AS model_id, (hash(i) % 8)::INTEGER AS class_id,
    $classes[1 + (hash(i) % 8)::INTEGER] AS class_name, (hash(i + 1) % 1000 / 1000)::FLOAT AS confidence,
    100.0::FLOAT AS x, 100.0::FLOAT AS y, 50.0::FLOAT AS width, 50.0::FLOAT AS height
FROM range($n_detections) t(i);
"""


def fill(connection: Any, n_frames: int, n_detections: int) -> None:
    """The rows of the store."""
    n_videos = max(1, n_frames // PER_VIDEO)
    run = connection.execute
    run(_VIDEOS, {"n": PER_VIDEO, "step": STEP_FRAMES, "n_videos": n_videos})
    run(_FRAMES, {"n": PER_VIDEO, "step": STEP_FRAMES, "n_frames": n_frames})
    for digest, model in ((DIGEST, "clip/2"), (DETECTOR, "detector/1")):
        run(_LEDGER, {"digest": digest, "model": model})
    rng = np.random.default_rng(1)
    for video in range(n_videos):
        vectors = rng.normal(size=(PER_VIDEO, DIMENSIONS)).astype(np.float32)
        run(
            "INSERT INTO embeddings SELECT 'v_' || lpad($video::VARCHAR, 24, '0'), i * $step, $digest, 'clip/2', v"
            " FROM (SELECT unnest(range($n)) AS i, unnest($vectors::FLOAT[][]) AS v)",
            {"video": video, "step": STEP_FRAMES, "digest": DIGEST, "n": PER_VIDEO, "vectors": vectors},
        )
    run(_DETECTIONS, {"step": STEP_FRAMES, "digest": DETECTOR, "classes": list(CLASSES), "n_detections": n_detections})


def questions(store: Path, vector: np.ndarray) -> dict[str, Callable[[], int]]:
    """Name -> a function that asks once and says how many rows came."""
    numbers = vector.astype(float).tolist()

    def sql(query: str, params: dict[str, Any] | None = None) -> Callable[[], int]:
        return lambda: run_query(store, query, params=params).n_rows

    one_query = """
        SELECT m.* FROM moments($vector, 200, of_model := $digest, video_ids := (
            SELECT list(video_id) FROM videos WHERE labels['camera'] = '3')) m
        WHERE near(m.video_id, m.start_s, 'person', 2, until_s := m.end_s) LIMIT 10"""
    return {
        "moments": lambda: len(vector_moments(Place(store, resident=True), vector, DIGEST, 10)),
        "moments_from_the_file": lambda: len(vector_moments(Place(store), vector, DIGEST, 10)),
        "moments_in_sql": sql("FROM moments($vector, 10, of_model := $digest)", {"vector": numbers, "digest": DIGEST}),
        "moments_objects_camera": sql(one_query, {"vector": numbers, "digest": DIGEST}),
        "group_by": sql("SELECT class_name, count(*), avg(confidence) FROM detections GROUP BY class_name"),
        "objects_per_video": sql("SELECT * FROM objects_per_video LIMIT 10"),
    }


def measure(asked: dict[str, Callable[[], int]], times: int) -> dict[str, dict[str, Any]]:
    """Every question `times` times after its first, in turn."""
    first = {name: _timed(ask) for name, ask in asked.items()}
    later: dict[str, list[tuple[float, float, int]]] = {name: [] for name in asked}
    for _ in range(times):
        for name, ask in asked.items():
            later[name].append(_timed(ask))
    return {
        name: {
            "first_ms": round(first[name][0], 1), "wall_ms": round(statistics.median(w for w, _, _ in rounds), 1),
            "best_ms": round(min(w for w, _, _ in rounds), 1),
            "cpu_ms": round(statistics.median(c for _, c, _ in rounds), 1), "n_rows": rounds[0][2],
        }
        for name, rounds in later.items()
    }  # fmt: skip


def _timed(ask: Callable[[], int]) -> tuple[float, float, int]:
    """(wall ms, CPU ms of this process, rows)."""
    wall, cpu = time.perf_counter(), time.process_time()
    n_rows = ask()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3, n_rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--detections", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--store", type=Path, help="keep the store here and take it again")
    asked = parser.parse_args()
    home = asked.store or Path(tempfile.mkdtemp(prefix="bench-sql-"))
    try:
        if not (home / "CURRENT").exists():
            with Publisher(home, Lake(home / "lake")) as publisher:
                publisher.replace(lambda connection: fill(connection, asked.frames, asked.detections), "bench")
        vector = np.random.default_rng(2).normal(size=DIMENSIONS).astype(np.float32)
        load = os.getloadavg()[0]
        found = measure(questions(home, vector), asked.times)
        size_bytes = sum(path.stat().st_size for path in home.glob("snapshot-*.duckdb"))
    finally:
        if asked.store is None:
            shutil.rmtree(home)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    about = {
        "machine": platform.platform(), "cores": os.cpu_count(), "load_before": round(load, 2), "commit": commit,
        "n_frames": asked.frames, "n_detections": asked.detections, "size_bytes": size_bytes, "aims_ms": AIMS_MS,
    }  # fmt: skip
    print(json.dumps({**about, "questions": found}, indent=1))


if __name__ == "__main__":
    main()
