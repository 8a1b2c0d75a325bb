"""`framehouse run` over three clouds at once: one by a Prefect block, two by their SDK's own chain."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from cloud import Cloud, connection_string
from local_stack import running_stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack", "prefect", "moto", "fake-gcs-server", "azurite"), pytest.mark.timeout(600)]


def save_block(cloud: Cloud, bucket: str, api_url: str) -> None:
    """What a person does on Prefect's page."""
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect_aws import AwsCredentials, S3Bucket
    from prefect_aws.client_parameters import AwsClientParameters

    credentials = AwsCredentials(
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=cloud.gate.url),
    )
    with temporary_settings({PREFECT_API_URL: api_url}):
        S3Bucket.register_type_and_schema(_sync=True)
        S3Bucket(bucket_name=bucket, credentials=credentials).save("cameras", overwrite=True, _sync=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_videos_of_three_clouds(s3_cloud: Cloud, gs_cloud: Cloud, az_cloud: Cloud, tmp_path: Path) -> None:
    stores = [cloud.new_store() for cloud in (s3_cloud, gs_cloud, az_cloud)]
    names = ["in/a b+c.mp4", "in/Straße #1?.mp4"]
    for number, store in enumerate(stores):
        for at, name in enumerate(names):
            recipe = Recipe(name=f"{number}{at}.mp4", n_frames=20, first_number=1000 + 100 * number + 50 * at)
            store.put(name, write(tmp_path, recipe))
    s3, gs, az = (store.uri for store in stores)
    settings = {
        "FRAMEHOUSE_DASK__N_WORKERS": "1",
        "FRAMEHOUSE_SOURCE__BLOCKS": json.dumps({s3: "s3-bucket/cameras"}),
        "STORAGE_EMULATOR_HOST": gs_cloud.gate.url,
        "AZURE_STORAGE_CONNECTION_STRING": connection_string(az_cloud.gate),
    }
    with running_stack(tmp_path / "home", **settings) as stack:
        endpoints = stack.facts()["endpoints"]
        save_block(s3_cloud, s3.removeprefix("s3://"), endpoints["prefect_api_url"])
        done = stack.run("run", f"{s3}/in/", gs, f"{az}/in", "--fps", "5", "--json")
        assert done.returncode == 0, done.stdout + done.stderr + stack.logs()
        jobs = json.loads(done.stdout)
        assert [job["uri"] for job in jobs] == [
            f"{store}/in/{name}" for store in (s3, gs, az) for name in ("Straße %231%3F.mp4", "a b+c.mp4")
        ]
        seen = json.loads(stack.ok("sql", "SELECT uri FROM videos ORDER BY uri", "--format", "json"))
        assert sorted(row["uri"] for row in seen) == sorted(job["uri"] for job in jobs)

        def post(source: str) -> int:
            wish = {"sources": [source], "models": ["detector"]}
            return httpx.post(f"{endpoints['api_url']}/v1/jobs", json=wish, timeout=60).status_code

        assert post(f"{s3}/in/a b+c.mp4") == 201
        assert [post(uri) for uri in (f"{gs}/in/a b+c.mp4", f"{s3}/in/", "file:///etc/passwd")] == [400] * 3

        missing = stack.run("run", f"{s3}/in/none.mp4")
        assert missing.returncode == 1
        assert "source.not_found" in missing.stdout + missing.stderr
