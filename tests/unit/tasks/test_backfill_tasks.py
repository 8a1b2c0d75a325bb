"""The backfill deployment's tasks, and that Prefect can show its parameters."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

import tasks.backfill
from framehouse.config import ROOT, Settings
from framehouse.jobs.submit import connect
from framehouse.results.lake import Lake, RunRecord
from framehouse.state import JobRequest
from lakes import video


def test_what_is_owed_is_a_table_and_then_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(tasks.backfill, "create_table_artifact", lambda **artifact: shown.append(artifact))
    settings = Settings(home=tmp_path)
    state = connect(settings)
    job_id = state.submit(JobRequest("file:///gone.mp4", ("detector",), "5"))
    state.conclude(job_id, "failed", [], error=("source.not_found", "no", ""))
    lake = Lake(settings.lake_dir)
    lake.add_video(video(0))
    lake.write_run(RunRecord(job_id, None, "file:///gone.mp4", "failed", "5", 0.4, error_code="source.not_found"))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert tasks.backfill.plan_backfill.fn(settings, state, [], {"since": since}, ask_places=True).unseen == ()
    backlog = tasks.backfill.plan_backfill.fn(settings, state, [], {"only_failed": True}, ask_places=True)
    assert tasks.backfill.submit_backfill.fn(settings, state, backlog) == [job_id]
    assert state.job(job_id).status == "queued"
    assert json.loads(json.dumps(shown[1]["table"])) == [
        {"video": "file:///gone.mp4", "what": f"tried again: {job_id} source.not_found"}
    ]
    assert "1 jobs" in shown[1]["description"]


def test_the_deployment_takes_what_the_command_takes() -> None:
    known = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (entry,) = (deployment for deployment in known if deployment["name"] == "backfill")
    schema = parameter_schema(load_flow_from_entrypoint(entry["entrypoint"])).model_dump()
    assert set(schema["properties"]) == {
        "videos", "catalog", "failed", "models", "infer_fps", "since", "gaps", "quarantined", "dry_run",
    }  # fmt: skip
    assert not schema.get("required")
