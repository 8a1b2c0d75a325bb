"""The Video Inference API's words for jobs, translated: projects and inference types there, models and kinds here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framehouse.errors import BadRequest
from framehouse.inference.repository import resolve
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.prompts import asked_of, prompts_of
from framehouse.results.assemble import ModelOptions
from framehouse.results.elements.base import Forms
from framehouse.state import Job, JobRequest

MAX_FPS = 120
"""As in the official client, which refuses more by itself."""
MAX_MODELS = 32

INFERENCE_TYPES: dict[str, str] = {
    "detections": "object-detection",
    "segmentations": "instance-segmentation",
    "keypoints": "keypoint-detection",
    "classifications": "classification",
    "multilabels": "classification",
    "embeddings": "clip-embed-image",
    "gazes": "gaze-detection",
    "texts": "ocr",
}
"""Kind of rows to `inference_type` of a request; `type` of a project is the same word."""

ALSO_CALLED: dict[str, str] = {"clip-compare": "clip-embed-image"}
"""Other words that a request may use: comparing is what `inference_params.prompt` makes of embedding."""

RUNNING, DONE, FAILED = 1, 0, 2
"""`status` of a poll: the official client waits on 1, fetches results on 0, and gives up above."""


def wire_request(
    uri: str, infer_fps: Any, models: Any, specs: Mapping[str, ModelSpec], *, confidence: float, allow_private: bool
) -> tuple[JobRequest, tuple[dict[str, Any], ...]]:
    """A job from the body of `POST /videoinfer`, and its models as they were sent, each once.

    Args:
        infer_fps: number above 0, at most 120; None takes the default rate.
        models: list of {model_id, model_version, inference_type, inference_params}; the last two may be missing.
        specs: every known model.
        confidence: the threshold where a model names none.

    Raises:
        BadRequest: code `api.fps` or `api.models`, naming what is wrong.
        ConfigError: `config.unknown_model`.
    """
    if not isinstance(models, list) or not models or len(models) > MAX_MODELS:
        raise BadRequest(f"models must be a list of 1 to {MAX_MODELS} models", code="api.models")
    meant: dict[str, dict[str, Any]] = {}
    for entry in models:
        spec = _spec_of(entry, specs)
        sent = {key: value for key, value in entry.items() if not str(key).startswith("framehouse_")}
        meant.setdefault(spec.model_id, {**sent, "framehouse_model": spec.model_id})
    thresholds = [options.confidence for options in map(_options, meant.values())]
    lowest = min((confidence if asked is None else asked for asked in thresholds), default=confidence)
    request = JobRequest(
        uri, tuple(meant), infer_fps=_fps_text(infer_fps), confidence=lowest, allow_private=allow_private
    )
    return request, tuple(meant.values())


def options_of(job: Job) -> dict[str, ModelOptions]:
    """What a job's request wanted for each model, by model_id; empty for a job that came another way."""
    return {entry["framehouse_model"]: _options(entry) for entry in job.origin.wire or ()}


def poll_body(job: Job, output_signed_url: str | None) -> dict[str, Any]:
    """The body of a poll: integer `status`, the same as `success`, and what people read."""
    status = DONE if job.status == "done" else FAILED if job.is_final else RUNNING
    body: dict[str, Any] = {
        "status": status,
        "success": status,
        "job_id": job.job_id,
        "progress": progress_of(job),
        "message": _message(job),
    }
    if output_signed_url is not None:
        body["output_signed_url"] = output_signed_url
    if status == FAILED:
        body["error"] = {"code": job.error_code or f"job.{job.status}", "message": body["message"],
                         "hint": job.error_hint or ""}  # fmt: skip
    return body | {"models": list(job.request.models)}


def progress_of(job: Job) -> float:
    """Share of the work that is settled, 0..1; 1 only when the job is done."""
    if job.status == "done":
        return 1.0
    return round(min(0.99, job.n_settled / job.n_planned), 4) if job.n_planned else 0.0


def _message(job: Job) -> str:
    if job.status == "failed":
        return f"{job.error_code}: {job.error_message}"
    if job.status == "paused":
        return f"paused: {job.error_message}"
    if job.status == "running":
        return f"running: {job.hop or 'starting'}"
    return job.status


def _spec_of(entry: Any, specs: Mapping[str, ModelSpec]) -> ModelSpec:
    """The model that one entry means; its inference type must be that of the model's kind, where it names one."""
    if not isinstance(entry, dict) or not isinstance(entry.get("model_id"), str):
        raise BadRequest("a model is an object with model_id, model_version, inference_type", code="api.models")
    version = entry.get("model_version")
    if version is not None and not isinstance(version, str | int):
        raise BadRequest("model_version must be text", code="api.models")
    slug = entry["model_id"].rpartition("/")[2]  # some send workspace/project
    spec = resolve(specs, slug if entry["model_id"] == "clip" or version in (None, "") else f"{slug}/{version}")
    asked = entry.get("inference_type")
    expected = INFERENCE_TYPES[spec.kind]
    if asked is not None and ALSO_CALLED.get(asked, asked) != expected:
        raise BadRequest(f"{spec.model_id} does {expected}, not {asked!r}", code="api.models",
                         hint="leave inference_type out, or send the one named here")  # fmt: skip
    if asked == "clip-compare" and asked_of(_params(entry)) is None:
        raise BadRequest("clip-compare needs inference_params.prompt: what to compare with", code="api.prompt")
    return spec


def _params(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    params = entry.get("inference_params") or {}
    if not isinstance(params, dict):
        raise BadRequest("inference_params must be an object", code="api.models")
    return params


def _options(entry: Mapping[str, Any]) -> ModelOptions:
    params = _params(entry)
    confidence = params.get("confidence")
    if confidence is not None and not _is_share(confidence):
        raise BadRequest("inference_params.confidence must be a number from 0 to 1", code="api.models")
    masks, embeddings = params.get("mask_format", "polygon"), params.get("embedding_format", "list")
    if masks not in ("polygon", "rle") or embeddings not in ("list", "dict"):
        raise BadRequest("mask_format is polygon or rle, embedding_format is list or dict", code="api.models")
    return ModelOptions(None if confidence is None else float(confidence), Forms(masks, embeddings, prompts_of(entry)))


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _fps_text(infer_fps: Any) -> str:
    if infer_fps is None:
        return ""
    number = isinstance(infer_fps, int | float) and not isinstance(infer_fps, bool)
    if not number or not math.isfinite(infer_fps) or not 0 < infer_fps <= MAX_FPS:
        raise BadRequest(f"infer_fps must be a number above 0, at most {MAX_FPS}", code="api.fps")
    return f"{infer_fps:g}" if float(infer_fps).is_integer() else repr(infer_fps)


def project(workspace: str, versions: Sequence[ModelSpec], created: float) -> dict[str, Any]:
    """The `project` and `versions` of an account call, for all versions of one slug."""
    spec = versions[0]
    identity = f"{workspace}/{spec.slug}"
    labels = dict.fromkeys(spec.labels, 1)
    return {
        "project": {
            "id": identity, "name": spec.slug, "type": INFERENCE_TYPES[spec.kind], "annotation": spec.slug,
            "classes": labels, "colors": {}, "images": 1, "splits": {"train": 1}, "public": False,
            "unannotated": 0, "created": created, "updated": created, "multilabel": spec.kind == "multilabels",
        },
        "workspace": {"name": workspace, "url": workspace, "members": 1},
        "versions": [
            {
                "id": f"{identity}/{one.version}", "name": f"{one.slug} {one.version}", "created": created, "images": 1,
                "augmentation": {}, "preprocessing": {}, "splits": {}, "exports": [],
                "model": {"id": one.model_id, "endpoint": one.model_id},
            }
            for one in versions
        ],
    }  # fmt: skip
