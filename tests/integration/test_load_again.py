"""Loading is idempotent: any load ten times over, in any company, leaves the same tables."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from framehouse.store.checksum import snapshot_checksum
from framehouse.store.publish import LoadEntry, Publisher
from lakes import put_every_kind, small_lake

pytestmark = pytest.mark.real("duckdb")
N_TIMES = 10


def test_any_load_ten_times_leaves_the_same_tables(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    put_every_kind(lake, gap=8)
    things = [("parts", video, digest, None) for video, digest in lake.part_keys()]
    things += [("job", None, None, job_id) for job_id in lake.job_ids()]
    with Publisher(tmp_path / "store", lake) as publisher:
        publisher.publish([LoadEntry(i + 1, *thing) for i, thing in enumerate(things)])
        expected = snapshot_checksum(tmp_path / "store")
        assert {"detections", "embeddings", "gazes", "texts", "classifications"} <= expected.keys()
        seq, shuffled = len(things), random.Random(7)
        rounds = [[shuffled.choice(things)] * N_TIMES]  # one alone, and all in any order
        rounds += [shuffled.sample(things, len(things)) for _ in range(N_TIMES)]
        for again in rounds:
            publisher.publish([LoadEntry(seq + 1 + i, *thing) for i, thing in enumerate(again)])
            seq += len(again)
            assert snapshot_checksum(tmp_path / "store") == expected
