"""One pass over the videos through a whole stack of its own, undisturbed or not, and what it left behind."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from chaos.killer import KINDS, Killer
from chaos.videos import Videos, throttling_store
from framehouse.results.lake import Lake
from framehouse.results.parts import part_paths, read_part
from framehouse.results.quarantine import quarantined
from framehouse.state import Job, State, open_state
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.publish import current_snapshot
from local_stack import running_stack

SITE = Path(__file__).parent / "site"
MODELS = ("detector", "clip/1")
N_SAMPLED = 20
"""Loads that each replay but the first does again."""
PUBLISH_S = 120
"""Patience with a loader that publishes nothing younger."""
QUESTIONS = {
    "n_planned": "SELECT coalesce(sum(n_planned), 0) FROM completeness",
    "n_loaded": "SELECT coalesce(sum(n_loaded), 0) FROM completeness",
    "n_gaps": "SELECT coalesce(sum(n_gaps), 0) FROM completeness",
    "n_unexplained": "SELECT coalesce(sum(n_unexplained + n_open + n_unplanned), 0) FROM completeness",
    "n_duplicates": "SELECT (SELECT count(*) - count(DISTINCT (video_id, frame_offset, model_digest)) FROM inferences)"
    " + (SELECT count(*) - count(DISTINCT (video_id, frame_offset, model_digest, detection_id)) FROM detections)"
    " + (SELECT count(*) - count(DISTINCT (video_id, frame_offset, model_digest)) FROM embeddings)",
    "n_detections": "SELECT count(*) FROM detections",
    "n_embeddings": "SELECT count(*) FROM embeddings",
}


@dataclass
class Pass:
    """What one pass did."""

    elapsed_s: float = 0.0
    kills: dict[str, int] = field(default_factory=dict)
    kill_log: list[str] = field(default_factory=list)
    jobs: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    checksum: dict[str, str] = field(default_factory=dict)
    replayed_checksums: int = 0
    """Different checksums seen over the replays of every load; 1 is right."""
    n_inferred: int = 0
    """Frames × models that Triton has computed, as far as was seen."""
    n_stored_twice: int = 0
    """Frames × models that more than one part holds: done again though they were stored."""
    n_refused: int = 0
    """Requests that the store refused."""
    quarantined: list[str] = field(default_factory=list)
    attempts: int = 0
    problems: list[str] = field(default_factory=list)


def run_pass(
    videos: Videos,
    home: Path,
    *,
    fps: str,
    stall_s: float,
    patience_s: float,
    kills: int = 0,
    seed: int = 0,
    replays: int = 0,
) -> Pass:
    """Start a stack, submit every video, kill so many processes spread over the work, wait, look."""
    path = os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    done = Pass()
    settings = {
        "FRAMEHOUSE_JOBS__STALL_S": f"{stall_s:g}",
        "FRAMEHOUSE_JOBS__MAX_GAP_SHARE": "0.5",  # of a deadly video a third is lost, and the rest is to be done
    }
    with throttling_store(videos.folder) as store, running_stack(home, PYTHONPATH=path, **settings) as stack:
        state = open_state(f"sqlite:///{home / 'state' / 'state.db'}")
        with counted(stack.facts()["endpoints"]["triton_url"]) as counter:
            began = time.monotonic()
            words = [*map(str, videos.near), *map(store.url, videos.far), "--fps", fps, "--no-wait", "--json"]
            asked = stack.ok("run", *words, *(word for model in MODELS for word in ("--model", model)))
            job_ids = [job["job_id"] for job in json.loads(asked)]
            killer = Killer(stack, random.Random(seed))
            _disturb(state, job_ids, killer, kills, patience_s)
            done.problems += _wait(state, job_ids, patience_s)
            done.elapsed_s = round(time.monotonic() - began, 1)
        done.kills, done.kill_log, done.n_refused = dict(killer.killed), killer.log, store.n_refused
        jobs = state.list_jobs(job_ids=job_ids)
        done.jobs = dict(Counter(f"{job.status} {job.error_code or ''}".strip() for job in jobs))
        done.attempts = sum(job.attempt for job in jobs)
        done.n_inferred = counter.n_inferred
        done.n_stored_twice = _stored_twice(Lake(home / "lake"))
        done.quarantined = [chunk.name for chunk in quarantined(Lake(home / "lake"))]
        _look(done, state, jobs, home, replays)
        if done.problems:
            done.problems.append(stack.logs(15))
    return done


def _disturb(state: State, job_ids: list[str], killer: Killer, kills: int, patience_s: float) -> None:
    """Kill by progress: the next one when its share of the jobs is over, a moment later; so all fall into the work."""
    queue = [KINDS[i % len(KINDS)] for i in range(kills)]
    killer.rng.shuffle(queue)
    deadline = time.monotonic() + patience_s
    for i, kind in enumerate(queue):
        while _n_over(state, job_ids) < len(job_ids) * i // (kills + 1):
            if time.monotonic() > deadline:
                return
            time.sleep(0.2)
        time.sleep(killer.rng.uniform(0.0, 2.0))
        while not _is_inferring(state, job_ids) and time.monotonic() < deadline:  # a kill is to hit work
            time.sleep(0.05)
        while not killer.kill(kind) and time.monotonic() < deadline:
            if _n_over(state, job_ids) == len(job_ids):
                return
            time.sleep(0.2)


def _n_over(state: State, job_ids: list[str]) -> int:
    return sum(job.is_final for job in state.list_jobs(job_ids=job_ids))


def _is_inferring(state: State, job_ids: list[str]) -> bool:
    """Whether frames are being inferred now, or nothing is left to be."""
    open_jobs = [job for job in state.list_jobs(job_ids=job_ids) if not job.is_final]
    return not open_jobs or any(job.hop == "infer" for job in open_jobs)


def _wait(state: State, job_ids: list[str], patience_s: float) -> list[str]:
    deadline = time.monotonic() + patience_s
    while left := [job for job in state.list_jobs(job_ids=job_ids) if not job.is_final]:
        if time.monotonic() > deadline:
            return [f"{job.job_id} is {job.status} in {job.hop}, attempt {job.attempt}" for job in left]
        time.sleep(0.5)
    return []


def _look(done: Pass, state: State, jobs: list[Job], home: Path, replays: int) -> None:
    """Wait until everything that was asked for is published, then read the tables; load all again, so many times."""
    _published(state, home, [job.job_id for job in jobs], done)
    with duckdb.connect(str(current_snapshot(home / "store")), read_only=True) as connection:
        done.counts = {name: int(connection.execute(question).fetchall()[0][0]) for name, question in QUESTIONS.items()}
        rows = connection.execute(
            "SELECT gap_reason, count(*) FROM inferences WHERE status = 'gap' GROUP BY 1 ORDER BY 1"
        )
        done.gaps = {str(reason): int(n) for reason, n in rows.fetchall()}
    done.checksum = snapshot_checksum(home / "store")
    seen = {json.dumps(done.checksum, sort_keys=True)}
    keys, job_ids = Lake(home / "lake").part_keys(), [job.job_id for job in jobs]
    for i in range(replays):  # all once, then some of them
        n = len(keys) if i == 0 else min(len(keys), N_SAMPLED)
        state.request_load(random.Random(i).sample(keys, n), random.Random(i).sample(job_ids, min(len(job_ids), n)))
        _published(state, home, [job.job_id for job in jobs], done)
        seen.add(json.dumps(snapshot_checksum(home / "store"), sort_keys=True))
    done.replayed_checksums = len(seen)


def _stored_twice(lake: Lake) -> int:
    n_held = n_distinct = 0
    for key in lake.part_keys():
        frames = [part.frame_offset[part.loaded] for part in map(read_part, part_paths(lake.parts_dir(*key)))]
        n_held += sum(offsets.size for offsets in frames)
        n_distinct += len({offset for offsets in frames for offset in offsets.tolist()})
    return n_held - n_distinct


def _published(state: State, home: Path, job_ids: list[str], done: Pass) -> None:
    """Wait for a snapshot that was made after all that has been asked for by now, while younger ones come."""
    marker, published = state.request_load([], job_ids[:1]), -1
    deadline = time.monotonic() + PUBLISH_S
    while time.monotonic() < deadline:
        with suppress(duckdb.Error, TypeError):
            with duckdb.connect(str(current_snapshot(home / "store")), read_only=True) as connection:
                seq = int(connection.execute("SELECT max(seq) FROM loads").fetchall()[0][0])
            if seq >= marker:
                return
            if seq > published:
                published, deadline = seq, time.monotonic() + PUBLISH_S
        time.sleep(0.3)
    done.problems.append(f"the loader published nothing for {PUBLISH_S} s, after {published} of {marker}")


@dataclass
class Inferred:
    """Frames that a Triton server has computed, over its restarts."""

    n_inferred: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def add(self, counts: dict[str, int]) -> None:
        for name, n in counts.items():
            before = self._last.get(name, 0)
            self.n_inferred += n - before if n >= before else n
        self._last = counts


@contextmanager
def counted(url: str) -> Iterator[Inferred]:
    """Ask the server four times a second what it has computed; its last moments before a kill are missed."""
    counter, over = Inferred(), threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            _ask(url, counter)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield counter
    finally:
        over.set()
        thread.join()
        _ask(url, counter)


def _ask(url: str, counter: Inferred) -> None:
    names = [model.partition("/")[0] for model in MODELS]
    try:
        client: Any = grpc.InferenceServerClient(url)
        found = client.get_inference_statistics(client_timeout=1.0).model_stats
        counter.add({m.name: int(m.inference_count) for m in found if m.name in names})
    except InferenceServerException:
        return
    finally:
        client.close()
