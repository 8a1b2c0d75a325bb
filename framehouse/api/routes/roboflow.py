"""The Video Inference API as its official client knows it: account calls, upload URLs, jobs, polls.

Both spellings of a path, with and without the slash at the end, are answered directly: a redirect would turn a POST
into a GET. The account calls are answered from the model registry; a workspace is whatever the caller's key says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from framehouse.api.context import Api, ApiContext, Reader, Submitter
from framehouse.api.jobs import submit, visible_job
from framehouse.api.routes.results import result_url
from framehouse.api.routes.uploads import promised_upload, upload_of_url
from framehouse.errors import BadRequest, NotFound
from framehouse.inference.repository import load_specs
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.prompts import with_vectors
from framehouse.jobs.sources import may_be_named
from framehouse.jobs.wire import INFERENCE_TYPES, poll_body, project, wire_request
from framehouse.state import Origin
from framehouse.telemetry import redact_uri

router = APIRouter(tags=["video inference API"])
account = APIRouter(tags=["account calls of the official client"])
_CREATED = 1_700_000_000.0
"""Some time: the client wants one, and a model folder's own says nothing."""


class UploadWish(BaseModel):
    """Body of an upload URL request."""

    file_name: str = Field(min_length=1, max_length=255)


class VideoInferWish(BaseModel):
    """Body of a job."""

    model_config = ConfigDict(extra="ignore")

    input_url: str = Field(min_length=1, max_length=8192)
    infer_fps: Any = None
    models: Any


@router.post("/video_upload_signed_url", summary="A signed URL to upload a video to")
@router.post("/video_upload_signed_url/", include_in_schema=False)
def video_upload_signed_url(wish: UploadWish, request: Request, api: ApiContext, caller: Submitter) -> dict[str, str]:
    """PUT the bytes of the file to the URL, then send the same URL as `input_url` of a job."""
    return {"signed_url": promised_upload(api, caller, wish.file_name, request)}


@router.post("/videoinfer", summary="Start a job")
@router.post("/videoinfer/", include_in_schema=False)
def start(wish: VideoInferWish, api: ApiContext, caller: Submitter) -> dict[str, str]:
    """Run models over the sampled frames of one video; poll with the `job_id`."""
    upload = upload_of_url(api, caller, wish.input_url)
    if upload is None and not may_be_named(wish.input_url, api.settings):
        raise BadRequest("input_url must be an http(s) URL or an upload URL of this server", code="api.input_url")
    job_request, wire = wire_request(
        upload.uri if upload else wish.input_url,
        wish.infer_fps,
        wish.models,
        load_specs(api.settings.model_repositories),
        confidence=api.settings.jobs.confidence,
        allow_private=False,
    )
    wire, notes = with_vectors(wire, api.settings)
    origin = Origin(caller.owner, wire, upload.upload_id if upload else None)
    (job_id,) = submit(api, caller, [(job_request, origin, None)])
    told = f"job {job_id} on {redact_uri(wish.input_url)}: poll /videoinfer?job_id={job_id}"
    return {"job_id": job_id, "message": "; ".join((told, *notes))}


@router.get("/videoinfer", summary="How far a job is")
@router.get("/videoinfer/", include_in_schema=False)
def poll(
    request: Request, api: ApiContext, caller: Reader, job_id: Annotated[str, Query(max_length=64)]
) -> dict[str, Any]:
    """`status` 1 while it runs, 0 with `output_signed_url` when it is done, 2 with `error` when it is not to be."""
    job = visible_job(api, caller, job_id)
    return poll_body(job, result_url(api, job.job_id, request) if job.status == "done" else None)


@account.post("/", summary="Whose key it is")
def validate(api: ApiContext, caller: Reader) -> dict[str, str]:
    """The workspace of a key."""
    return {"workspace": caller.workspace, "welcome": "Framehouse"}


@account.get("/{workspace}", summary="The models, as projects of a workspace")
@account.get("/{workspace}/", include_in_schema=False)
def workspace_of(workspace: str, api: ApiContext, caller: Reader) -> dict[str, Any]:
    """Every model that can be asked for."""
    _must_be_own(workspace, caller.workspace)
    slugs = _by_slug(api)
    projects = [
        {**project(workspace, slugs[slug], _CREATED)["project"], "versions": len(slugs[slug])} for slug in slugs
    ]
    return {"workspace": {"name": workspace, "url": workspace, "members": 1, "projects": projects}}


@account.get("/{workspace}/{slug}", summary="One model with its versions")
@account.get("/{workspace}/{slug}/", include_in_schema=False)
def project_of(workspace: str, slug: str, api: ApiContext, caller: Reader) -> dict[str, Any]:
    """What the official client wants to know of a project."""
    _must_be_own(workspace, caller.workspace)
    return project(workspace, _versions(_by_slug(api), slug), _CREATED)


@account.get("/{workspace}/{slug}/{version}", summary="One version of a model")
@account.get("/{workspace}/{slug}/{version}/", include_in_schema=False)
def version_of(workspace: str, slug: str, version: str, api: ApiContext, caller: Reader) -> dict[str, Any]:
    """What clients before 1.4 ask for: some want `train.model`, some `models`, to believe that there is a model."""
    _must_be_own(workspace, caller.workspace)
    spec = _version(_by_slug(api), slug, version)
    (found,) = project(workspace, [spec], _CREATED)["versions"]
    trained = {"model": {"id": spec.model_id, "endpoint": spec.model_id}, "status": "finished"}
    return {"version": {**found, "train": trained, "models": [{"id": spec.model_id, "type": _model_type(spec)}]}}


@account.get("/{workspace}/{slug}/{version}/v2/trainings", summary="The training behind a version")
def trainings_of(workspace: str, slug: str, version: str, api: ApiContext, caller: Reader) -> dict[str, Any]:
    """One training for each version: where its weights came from is in the model's card."""
    _must_be_own(workspace, caller.workspace)
    spec = _version(_by_slug(api), slug, version)
    return {"trainings": [{"id": _training_id(spec), "status": "finished", "modelType": _model_type(spec)}]}


@account.get("/{workspace}/{slug}/{version}/v2/trainings/get", summary="One training with its models")
def training_of(
    workspace: str,
    slug: str,
    version: str,
    api: ApiContext,
    caller: Reader,
    training_id: Annotated[str, Query(alias="trainingId")],
) -> dict[str, Any]:
    """The model that `version.models()` of the official client gives."""
    _must_be_own(workspace, caller.workspace)
    spec = _version(_by_slug(api), slug, version)
    if training_id != _training_id(spec):
        raise NotFound(f"no training {training_id}")
    models = [{"modelId": spec.model_id}]
    return {"trainingId": training_id, "status": "finished", "modelType": _model_type(spec), "models": models}


def _must_be_own(workspace: str, own: str) -> None:
    if workspace != own:
        raise NotFound(f"no workspace {workspace} for this key", hint="POST / tells which one is yours")


def _by_slug(api: Api) -> dict[str, list[ModelSpec]]:
    found: dict[str, list[ModelSpec]] = {}
    for spec in load_specs(api.settings.model_repositories).values():
        found.setdefault(spec.slug, []).append(spec)
    return {
        slug: sorted(specs, key=lambda spec: (len(spec.version), spec.version)) for slug, specs in sorted(found.items())
    }


def _versions(slugs: Mapping[str, list[ModelSpec]], slug: str) -> list[ModelSpec]:
    if slug not in slugs:
        raise NotFound(f"no model {slug}", hint=f"known: {', '.join(slugs)}")
    return slugs[slug]


def _version(slugs: Mapping[str, list[ModelSpec]], slug: str, version: str) -> ModelSpec:
    for spec in _versions(slugs, slug):
        if spec.version == version:
            return spec
    raise NotFound(f"no version {version} of {slug}")


def _training_id(spec: ModelSpec) -> str:
    return f"{spec.slug}-{spec.version}"


def _model_type(spec: ModelSpec) -> str:
    """A word in which the client finds the task: `seg`, `keypoint`, `cls`, or none of them for detection."""
    words = {"instance-segmentation": "seg", "keypoint-detection": "keypoint", "classification": "cls"}
    return words.get(INFERENCE_TYPES[spec.kind], "det")
