"""docs/scaling.md is what the measured costs give; the simulation loses no video and agrees with the calculation."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCALING: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "scaling.py"))
DOCUMENT = json.loads(SCALING["COSTS"].read_text())
COSTS = DOCUMENT["costs"]
DAILY = SCALING["Workload"]("test", 2_000, 1, daily=True)


def test_the_tables_are_written_by_the_script() -> None:
    text = SCALING["PAGE"].read_text()
    made = SCALING["page"](text, SCALING["tables"](DOCUMENT, json.loads(SCALING["SIMULATED"].read_text())))
    assert made == text, "run: python scripts/scaling.py"


def test_needs_grow_with_what_is_asked_for() -> None:
    need, double = (SCALING["needs"](replace(DAILY, hours=hours), COSTS) for hours in (2_000, 4_000))
    assert need.frames_per_s == pytest.approx(2_000 * 3600 * 5 / 86400)
    assert double.infer_cores == pytest.approx(2 * need.infer_cores)
    assert double.prefect_cores == pytest.approx(2 * need.prefect_cores)
    short = SCALING["needs"](replace(DAILY, video_s=60.0), COSTS)
    assert short.prefect_cores == pytest.approx(10 * need.prefect_cores), "a job costs the same whatever its length"


def test_the_simulation_finishes_what_arrived_and_works_as_much_as_was_calculated() -> None:
    row = SCALING["simulate"](DAILY, COSTS, hours=1.0, seed=3)
    assert row == SCALING["simulate"](DAILY, COSTS, hours=1.0, seed=3), "the same seed, the same table"
    assert row["n_done"] == row["n_videos"] > 300
    assert row["n_lost"] >= 2 * row["n_quarantined"]
    calculated = SCALING["needs"](DAILY, COSTS).prefect_cores
    assert row["busy"]["prefect"] == pytest.approx(calculated, rel=0.25)


def test_too_few_workers_are_seen_in_the_waiting() -> None:
    plant = SCALING["plant_for"](SCALING["needs"](DAILY, COSTS), DAILY)
    times = []
    for workers in (plant.workers, max(1, plant.workers // 3)):
        seen = SCALING["Simulation"](DAILY, COSTS, replace(plant, workers=workers), 1).run(1800.0)
        times.append(sorted(seen.latency_s)[len(seen.latency_s) // 2])
    assert times[1] > 3 * times[0]
