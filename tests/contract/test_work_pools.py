"""docker/work-pools/: templates of the installed workers with our values; each makes a job that a worker would send."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from typing import Any

import google.auth
import google.auth.credentials
import pytest
from prefect.client.orchestration import PrefectClient
from prefect_aws.workers.ecs_worker import ECSJobConfiguration
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerJobV2Configuration

from deployed import unknown_variables, wrong_settings
from framehouse.config import ROOT

FOLDER = ROOT / "docker" / "work-pools"


def committed(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / name).read_text()))


def configured(kind: Any, template: dict[str, Any]) -> Any:
    """The job that a worker makes of a template when a run says nothing of its own."""

    async def made() -> Any:
        return await kind.from_template_and_values(template, {}, client=PrefectClient("http://127.0.0.1:1/api"))

    return asyncio.run(made())


def test_they_are_as_the_script_writes_them() -> None:
    spec = importlib.util.spec_from_file_location("write_templates", FOLDER / "write_templates.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, template in module.templates().items():
        assert committed(name) == template, "run: python docker/work-pools/write_templates.py"


def test_a_task_of_ecs_is_our_image_with_our_settings() -> None:
    job = configured(ECSJobConfiguration, committed("ecs.json"))
    (container,) = job.task_definition["containerDefinitions"]
    assert "framehouse-app" in container["image"] and container["user"] == "10001"
    assert [secret["name"] for secret in container["secrets"]] == ["FRAMEHOUSE_STATE__URL"]
    assert job.task_run_request["launchType"] == "FARGATE"
    assert not unknown_variables(job.env) and not wrong_settings(job.env)
    assert not unknown_variables([secret["name"] for secret in container["secrets"]])


def test_a_job_of_cloud_run_is_our_image_with_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = google.auth.credentials.AnonymousCredentials()
    monkeypatch.setattr(google.auth, "default", lambda *_, **__: (nobody, "project"))
    job = configured(CloudRunWorkerJobV2Configuration, committed("cloud-run.json"))
    (container,) = job.job_body["template"]["template"]["containers"]
    assert "framehouse-app" in container["image"]
    assert set(job.env_from_secrets) == {"FRAMEHOUSE_STATE__URL"}
    assert job.timeout == 86400
    assert not unknown_variables(job.env) and not wrong_settings(job.env)


@pytest.mark.parametrize("name", ["ecs.json", "cloud-run.json"])
def test_no_password_is_in_a_template(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert "FRAMEHOUSE_STATE__URL=" not in text and "postgresql+" not in text
