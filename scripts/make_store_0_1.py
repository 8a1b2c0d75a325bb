"""Makes `tests/data/store-0.1/`: what release 0.1 stored, kept unchanged so that later releases can prove they read it.

Starts the whole local stack in a folder whose path says nothing about the machine, runs the detector over a few tiny
videos (sound, damaged, cut short, no video at all, and a real one with boxes in it), stops the stack and keeps the
lake, the state and the published snapshot, with `expected.json` about them. Was run once, for release 0.1; it refuses
to replace what is there.
"""

from __future__ import annotations

import getpass
import gzip
import hashlib
import json
import re
import shutil
import socket
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from framehouse.config import ROOT
from framehouse.errors import StoreError
from framehouse.samples import sample_videos
from framehouse.state import Job, open_state
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.job_results import job_results
from framehouse.store.query import run_query
from framehouse.store.snapshots import current_snapshot
from local_stack import Stack, running_stack
from media import RECIPES, Recipe, damaged, damaged_packet, no_video, write

DATA = ROOT / "tests" / "data" / "store-0.1"
NEUTRAL = Path("/tmp/framehouse-store-0.1")
LIMIT_BYTES = 1_000_000
ABSOLUTE = re.compile(r"(?<![\w.:<])/(?:[\w.-]+/)+[\w.-]+")

TABLES = ("videos", "video_locations", "jobs", "job_frames", "frames", "inferences", "detections", "usage")
QUESTIONS = (
    "SELECT video_id, class_name, count(*) AS n FROM detections WHERE confidence >= 0.4 GROUP BY ALL ORDER BY ALL",
    "SELECT frame_offset, class_name, round(confidence::DOUBLE, 3) AS confidence, round(x::DOUBLE, 1) AS x,"
    " round(y::DOUBLE, 1) AS y, round(width::DOUBLE, 1) AS width, round(height::DOUBLE, 1) AS height FROM detections"
    " ORDER BY detections.confidence DESC, frame_offset, class_name LIMIT 10",
    "SELECT video_id, status, gap_reason, count(*) AS n, min(frame_offset) AS first, max(frame_offset) AS last"
    " FROM inferences GROUP BY ALL ORDER BY ALL",
    "SELECT video_id, model_id, n_planned, n_loaded, n_gaps, n_open, n_unexplained FROM completeness ORDER BY ALL",
    "SELECT uri, cause, stage, retry_command FROM failed_videos ORDER BY ALL",
    "SELECT job_id, uri, status, infer_fps, error_code FROM jobs ORDER BY ALL",
    "SELECT uri, video_id FROM video_locations ORDER BY ALL",
)
"""Named columns only: the answers stay the same when a later release adds a column."""


def main() -> int:
    """Run once; returns the exit code."""
    if DATA.exists():
        print(f"{DATA} is there already and stays as it is", file=sys.stderr)
        return 1
    shutil.rmtree(NEUTRAL, ignore_errors=True)
    home = NEUTRAL / "home"
    try:
        with running_stack(home, FRAMEHOUSE_DASK__N_WORKERS="1") as stack:
            run_all(stack, NEUTRAL / "videos")
        keep(home, DATA)
        (DATA / "expected.json").write_text(json.dumps(expected(home, DATA), indent=1) + "\n")
    finally:
        shutil.rmtree(NEUTRAL, ignore_errors=True)
    refuse_traces(DATA)
    size = sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file())
    print(f"{DATA}: {size} bytes")
    return int(size >= LIMIT_BYTES)


def run_all(stack: Stack, videos: Path) -> None:
    """Jobs that are done, done with gaps, failed with rows, failed without; one content twice, one video twice."""
    videos.mkdir(parents=True)
    sound = write(videos, replace(RECIPES["dated.mp4"], name="sound.mp4", sound=True, b_frames=2))
    copy = Path(shutil.copyfile(sound, videos / "a copy of ü.mp4"))
    whole = write(videos, Recipe("whole.mp4", n_frames=60, first_number=100))
    scratch = damaged_packet(whole, 43, "scratch.mp4")  # two frames before a key frame: gaps within the budget
    front = write(videos, replace(RECIPES["dated.mp4"], name="front.mp4", first_number=200))
    cut = damaged(front, "cut_data", "cut.mp4")
    text = no_video(videos, "text")
    sample = sample_videos(ROOT / ".framehouse-test" / "samples")["carphone_pristine.mp4"]
    carphone = Path(shutil.copyfile(sample, videos / "carphone.mp4"))
    say(stack.run("run", str(sound), str(scratch), str(cut), str(text), "--fps", "all"))
    say(stack.run("run", str(carphone), "--fps", "2"))
    say(stack.run("run", str(carphone), "--fps", "4", "--confidence", "0.5"))  # owes only what is new
    say(stack.run("run", str(copy)))


def say(done: Any) -> None:
    """Show what a command said."""
    print(done.stdout + done.stderr, flush=True)


def keep(home: Path, data: Path) -> None:
    """Copy what a release must be able to read, in the layout of a FRAMEHOUSE_HOME; the snapshot packed."""
    shutil.copytree(home / "lake", data / "lake", ignore=shutil.ignore_patterns(".*"))
    (data / "state").mkdir()
    state = home / "state" / "state.db"
    connection = sqlite3.connect(state)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    assert not list(state.parent.glob("state.db-*")), "somebody still has the state open"
    shutil.copyfile(state, data / "state" / "state.db")
    (data / "store").mkdir()
    snapshot = current_snapshot(home / "store")
    assert not snapshot.with_name(snapshot.name + ".wal").exists()
    shutil.copyfile(snapshot.with_name("CURRENT"), data / "store" / "CURRENT")
    packed = gzip.compress(snapshot.read_bytes(), compresslevel=9, mtime=0)
    (data / "store" / f"{snapshot.name}.gz").write_bytes(packed)


def expected(home: Path, data: Path) -> dict[str, Any]:
    """What a reader of the data must find."""
    store = home / "store"
    state = open_state(f"sqlite:///{home / 'state' / 'state.db'}")
    jobs = sorted(state.list_jobs(), key=lambda job: job.job_id)
    state.close()
    files = sorted(file for file in data.rglob("*") if file.is_file())
    return {
        "release": version("framehouse"),
        "made_by": "scripts/make_store_0_1.py",
        "files": {str(file.relative_to(data)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "jobs": {job.job_id: job_facts(store, job) for job in jobs},
        "n_rows": {table: run_query(store, f"SELECT count(*) FROM {table}").rows()[0][0] for table in TABLES},
        "checksums": snapshot_checksum(store),
        "answers": [{"sql": sql, "rows": run_query(store, sql).records()} for sql in QUESTIONS],
    }


def job_facts(store: Path, job: Job) -> dict[str, Any]:
    """A job as the state has it, and its results in numbers; None for a job without a plan."""
    try:
        found = job_results(store, job.job_id)
    except StoreError:
        results = None
    else:
        frames = found["detector"]
        boxes = Counter(box["class"] for frame in frames if frame for box in frame["predictions"])
        results = {"n_frames": len(frames), "n_gaps": frames.count(None), "n_boxes": dict(sorted(boxes.items()))}
    return {
        "uri": job.request.uri,
        "status": job.status,
        "video_id": job.video_id,
        "error_code": job.error_code,
        "n_planned": job.n_planned,
        "n_settled": job.n_settled,
        "results": results,
    }


# --- nothing about the machine --------------------------------------------------------------------------------------


def refuse_traces(data: Path) -> None:
    """Fail when any file names a folder, the host or the user of this machine."""
    names = [re.escape(name) for name in (socket.gethostname(), getpass.getuser())]
    name = re.compile(rf"(?<![\w-])(?:{'|'.join(names)})(?![\w-])")
    for file in sorted(file for file in data.rglob("*") if file.is_file()):
        content = file.read_bytes() if file.suffix != ".gz" else gzip.decompress(file.read_bytes())
        for folder in (ROOT, Path.home()):
            assert f"{folder}/".encode() not in content, f"{file}: {folder}"
        for text in texts_of(file):
            strange = [path for path in ABSOLUTE.findall(text) if not path.startswith(f"{NEUTRAL}/")]
            assert not strange, f"{file}: {strange}"
            assert not name.search(text), f"{file}: {name.findall(text)}"


def texts_of(file: Path) -> Iterator[str]:
    """Every text that a file holds, unpacked."""
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        yield str(table.schema.metadata)
        yield str(table.to_pylist())
        yield str(pq.read_metadata(file).created_by)
    elif file.suffix == ".npz":
        with np.load(file) as arrays:
            yield arrays["facts"].tobytes().decode()
    elif file.suffix == ".db":
        with sqlite3.connect(file.resolve().as_uri() + "?immutable=1", uri=True) as connection:
            yield from connection.iterdump()
    elif file.suffix == ".gz":
        yield from texts_of_snapshot(file)
    else:
        yield file.read_text(encoding="utf-8")


def texts_of_snapshot(file: Path) -> Iterator[str]:
    """Every row of every table, from a copy outside the data."""
    copy = NEUTRAL / "look" / "copy.duckdb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(gzip.decompress(file.read_bytes()))
    with duckdb.connect(str(copy), read_only=True) as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
            yield from map(str, connection.execute(f'FROM "{table}"').fetchall())
    shutil.rmtree(NEUTRAL)


if __name__ == "__main__":
    sys.exit(main())
