"""Write the base job templates of our work pools in clouds: `python docker/work-pools/write_templates.py`.

Each is the template of the installed Prefect worker with our values as defaults, so that `prefect work-pool create
--base-job-template` makes a pool whose runs are our image with our settings. What is yours to fill in is in capitals:
addresses, ARNs. Passwords come from the cloud's own store of secrets, never from a template. docs/guide/docker.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect_aws.workers import ECSWorker
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerV2

FOLDER = Path(__file__).parent
_SETTINGS = {
    "FRAMEHOUSE_PREFECT__API_URL": "http://PREFECT_HOST:4200/api",
    "FRAMEHOUSE_DASK__SCHEDULER_ADDRESS": "tcp://DASK_HOST:8786",
    "FRAMEHOUSE_TRITON__URL": "TRITON_HOST_1:8001,TRITON_HOST_2:8001",
    "FRAMEHOUSE_TRITON__CONFIG_NAME": "cpu",
    "FRAMEHOUSE_TRITON__SHARED_MEMORY": "false",
    "PREFECT_API_URL": "http://PREFECT_HOST:4200/api",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}


def templates() -> dict[str, dict[str, Any]]:
    """File name to template."""
    return {"ecs.json": _ecs(), "cloud-run.json": _cloud_run()}


def _ecs() -> dict[str, Any]:
    template = json.loads(json.dumps(ECSWorker.get_default_base_job_template()))
    definition = template["job_configuration"]["task_definition"]
    definition["ephemeralStorage"] = {"sizeInGiB": 100}
    definition["networkMode"] = "awsvpc"
    definition["containerDefinitions"][0] |= {
        "user": "10001",
        "linuxParameters": {"initProcessEnabled": True},
        "stopTimeout": 30,
        "secrets": [{"name": "FRAMEHOUSE_STATE__URL", "valueFrom": "{{ state_url_secret_arn }}"}],
    }
    template["variables"]["properties"]["state_url_secret_arn"] = {
        "title": "Secret of the state database",
        "description": "ARN of the secret in Secrets Manager that holds FRAMEHOUSE_STATE__URL.",
        "type": "string",
        "default": "arn:aws:secretsmanager:REGION:ACCOUNT:secret:framehouse-state-url",
    }
    account = "arn:aws:iam::ACCOUNT:role"
    values = {
        "image": "ACCOUNT.dkr.ecr.REGION.amazonaws.com/framehouse-app:latest",
        "env": {"FRAMEHOUSE_LAKE__URL": "s3://BUCKET/lake", "AWS_DEFAULT_REGION": "REGION", **_SETTINGS},
        **{"cpu": 1024, "memory": 4096, "launch_type": "FARGATE", "container_name": "framehouse"},
        **{"family": "framehouse-run", "cluster": "framehouse", "vpc_id": "VPC_ID"},
        "task_role_arn": f"{account}/framehouse-run",
        "execution_role_arn": f"{account}/framehouse-execution",
        **{"configure_cloudwatch_logs": True, "match_latest_revision_in_family": True},
    }
    return _with_defaults(template, values)


def _cloud_run() -> dict[str, Any]:
    template = json.loads(json.dumps(CloudRunWorkerV2.get_default_base_job_template()))
    values = {
        "image": "REGION-docker.pkg.dev/PROJECT/framehouse/framehouse-app:latest",
        "env": {"FRAMEHOUSE_LAKE__URL": "gs://BUCKET/lake", **_SETTINGS},
        "env_from_secrets": {"FRAMEHOUSE_STATE__URL": {"secret": "framehouse-state-url", "version": "latest"}},
        **{"region": "REGION", "cpu": "1000m", "memory": "4Gi", "timeout": 86400, "max_retries": 0},
        **{"launch_stage": "GA", "vpc_connector_name": "VPC_CONNECTOR"},
        "service_account_name": "framehouse-run@PROJECT.iam.gserviceaccount.com",
    }
    return _with_defaults(template, values)


def _with_defaults(template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The template with these defaults; a name that the worker does not know is a KeyError."""
    for name, value in values.items():
        template["variables"]["properties"][name]["default"] = value
    return template


def main() -> None:
    """Write all of them."""
    for name, template in templates().items():
        (FOLDER / name).write_text(json.dumps(template, indent=2) + "\n")


if __name__ == "__main__":
    main()
