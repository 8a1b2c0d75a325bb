"""Kill any process at any moment, and the tables come out as if nothing had happened: `make chaos`, in short."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from chaos.__main__ import chaos, table

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(1500)]

N_VIDEOS = 16
STALL_S = 30.0


def test_kill_anything_and_lose_nothing(kills: int, tmp_path: Path) -> None:
    seed = int(os.environ.get("FRAMEHOUSE_TEST_SEED", time.time_ns() % 2**32))
    report = chaos(N_VIDEOS, kills, seed, tmp_path, stall_s=STALL_S)
    print(table(report))
    assert not report["faults"], table(report)
    assert report["wild"]["gaps"]["decode.quarantined"] > 0
    assert len(report["wild"]["quarantined"]) == 2  # the deadly chunk and the hanging one
