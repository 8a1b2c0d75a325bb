"""Two hosts that share no folder: only a bucket, the Prefect API, the Dask scheduler and the state database.

Each host sees its own folder and not the other's (a mount namespace hides it), runs a runner and a Dask worker in a
working directory of its own; the loader runs on one of them. The tables are those of one process over a local lake.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from framehouse.config import ROOT
from framehouse.ids import content_sha256, video_id
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.specs import TritonTarget
from framehouse.jobs.plans import store_plan
from framehouse.results.lake import Lake, ModelUse, RunRecord
from framehouse.storage.local import LocalSource
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.rebuild import rebuild
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, parse_infer_fps, plan_frames
from httpserver import serve
from local_stack import Stack, running_stack
from media import Recipe, write
from real_parts import require

if TYPE_CHECKING:
    from cloud import Cloud
    from framehouse.inference.server import TritonServer

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(900)]

FPS = "2"
HIDE = 'mkdir -p "$1" "$2"; mount -t tmpfs none "$1" && mount -t tmpfs none "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True, slots=True)
class Hosts:
    a: Stack
    b: Stack
    bucket: Any
    served: tuple[Path, ...]
    urls: tuple[str, ...]


@pytest.fixture(scope="module")
def hosts(
    tmp_path_factory: pytest.TempPathFactory,
    triton: TritonServer,
    s3_cloud: Cloud,
    new_postgres_database: Any,
    sample_videos: dict[str, Path],
) -> Iterator[Hosts]:
    root = tmp_path_factory.mktemp("hosts")
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        require("stack", "no mount namespaces here (unshare -rm)")
    store = s3_cloud.new_store()
    recipes = [Recipe(name=f"{n}.mp4", n_frames=60 + n, first_number=n, gop=30) for n in range(4)]
    served = (sample_videos["bikes.mp4"], *(write(root, recipe) for recipe in recipes))
    with ExitStack() as running:
        urls = [running.enter_context(serve(path.read_bytes())).url(path.name) for path in served]
        services = running.enter_context(
            running_stack(root / "services", FRAMEHOUSE_STACK__PARTS="prefect,dask-scheduler")
        )
        found = services.facts()["endpoints"]
        common = {
            "FRAMEHOUSE_LAKE__URL": f"{store.uri}/the lake ü",
            "FRAMEHOUSE_STATE__URL": new_postgres_database(),
            "FRAMEHOUSE_PREFECT__API_URL": found["prefect_api_url"],
            "FRAMEHOUSE_PREFECT__RUN_SLOTS": "1",
            "FRAMEHOUSE_DASK__SCHEDULER_ADDRESS": found["dask_address"],
            "FRAMEHOUSE_DASK__N_WORKERS": "1",
            "FRAMEHOUSE_TRITON__URL": triton.url,
            "AWS_ENDPOINT_URL": s3_cloud.gate.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

        def host(name: str, other: str, parts: str) -> Stack:
            (root / name / "here").mkdir(parents=True)
            hidden = [str(root / other), str(root / "services")]
            within = ("unshare", "-rm", "sh", "-c", HIDE, "sh", *hidden)
            settings = {**common, "FRAMEHOUSE_STACK__PARTS": parts}
            stack = running_stack(root / name / "home", cwd=root / name / "here", within=within, **settings)
            return running.enter_context(stack)

        a = host("a", "b", "loader,runner,dask-workers")
        b = host("b", "a", "runner,dask-workers")
        yield Hosts(a, b, store, served, tuple(urls))


def test_two_hosts_without_a_common_folder_give_the_tables_of_one(
    hosts: Hosts, triton: TritonServer, tmp_path: Path
) -> None:
    own = hosts.a.home.parent / "only here.mp4"
    write(own.parent, Recipe(name=own.name, n_frames=160, rate=Fraction(2), gop=10))  # 80 s: chunks for both workers
    jobs = json.loads(hosts.a.ok("run", *hosts.urls, str(own), "--fps", FPS, "--json", timeout_s=600))
    assert [job["status"] for job in jobs] == ["done"] * 6, f"{jobs}\n{hosts.a.logs()}\n{hosts.b.logs()}"

    videos = (*hosts.served, own)
    reference(videos, triton.url, tmp_path / "reference")
    expected = snapshot_checksum(tmp_path / "reference" / "store")
    assert snapshot_checksum(hosts.a.home / "store") == expected

    assert not (hosts.b.home / "store").exists(), "the loader runs on one host"
    assert not (hosts.a.home / "lake").exists() and not (hosts.b.home / "lake").exists()
    for stack in (hosts.a, hosts.b):
        assert said(stack, "dask-workers", "chunk inferred"), stack.logs()
        assert said(stack, "runner", "run started"), stack.logs()
    fetched = [line["video_id"] for line in said(hosts.b, "dask-workers", "video fetched by a worker")]
    assert fetched.count(video_id(content_sha256(own))) == 1, "through the bucket, once"
    assert not list(hosts.bucket.list("the lake ü/media/")), "what was lent is taken back"

    fresh = Stack(tmp_path / "fresh", hosts.a.env | {"FRAMEHOUSE_HOME": str(tmp_path / "fresh")}, tmp_path)
    fresh.ok("db", "rebuild")
    assert snapshot_checksum(tmp_path / "fresh" / "store") == expected


def said(stack: Stack, component: str, event: str) -> list[dict[str, Any]]:
    """Log lines of one event."""
    lines = (stack.home / "logs" / f"{component}.log").read_text(errors="replace").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and event in line]
    return [line for line in found if line.get("event") == event]


def reference(videos: Sequence[Path], triton_url: str, folder: Path) -> None:
    """The same jobs in this process, over a lake in a folder."""
    lake = Lake(folder / "lake")
    spec = resolve(load_specs([ROOT / "triton_models"]), "detector")
    target = TritonTarget(triton_url, True, 60.0, 4)
    for number, path in enumerate(videos):
        attempt: Any = SimpleNamespace(lake=lake, job_id=f"j_{number}")
        local = LocalSource(path).fetch(folder)
        name, index = video_id(local.sha256), probe(path)
        plan = plan_frames(index, parse_infer_fps(FPS))
        store_plan(attempt, local, name, index, plan)
        for chunk in chunks(index):
            planned = frames_of_chunk(plan, chunk)
            infer_chunk(
                ChunkTask(
                    attempt.job_id, name, str(path), index.stream, chunk, planned, int(index.pts[0]), (spec,),
                    str(lake.root), target,
                )
            )  # fmt: skip
        n = int(np.size(plan.frame_offset))
        use = ModelUse(spec.model_id, spec.digest, spec.kind, n, n)
        lake.write_run(RunRecord(attempt.job_id, name, local.uri, "done", FPS, 0.4, (use,)))
    rebuild(folder / "store", lake)
    shutil.rmtree(folder / "lake")
