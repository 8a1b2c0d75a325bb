"""The Video Inference API's words: every slug with its inference type, forms on request, and what a poll says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from framehouse.config import ROOT
from framehouse.errors import BadRequest, ConfigError
from framehouse.inference.repository import load_specs
from framehouse.jobs.wire import INFERENCE_TYPES, options_of, poll_body, project, wire_request
from framehouse.results.kinds import KINDS
from framehouse.state import Job, JobRequest, Origin

SPECS = load_specs([ROOT / "triton_models"])
JOB = Job(
    "j_1", JobRequest("http://h/a.mp4", ("detector/1",)), Origin(), "queued", None, 0, 0, None, 0, 0, None, None, False,
    None, None, None, None, 0.0, None, None,
)  # fmt: skip


def request(*models: Any, fps: Any = 5) -> tuple[JobRequest, tuple[dict[str, Any], ...]]:
    return wire_request("http://h/a.mp4", fps, list(models), SPECS, confidence=0.4, allow_private=False)


def test_every_kind_of_rows_has_a_word() -> None:
    assert set(INFERENCE_TYPES) == set(KINDS)


@pytest.mark.parametrize("model_id", sorted(SPECS))
def test_every_model_is_accepted_with_its_inference_type(model_id: str) -> None:
    slug, version = model_id.split("/")
    entry = {"model_id": slug, "model_version": version, "inference_type": INFERENCE_TYPES[SPECS[model_id].kind]}
    found, wire = request(entry)
    assert [model.split("/")[0] for model in found.models] == [slug]
    assert wire[0]["framehouse_model"] == found.models[0]
    with pytest.raises(BadRequest, match="does"):
        request(entry | {"inference_type": "semantic-segmentation"})


@pytest.mark.parametrize("kind", sorted(INFERENCE_TYPES))
def test_a_model_of_any_kind_would_be(kind: str) -> None:
    """Also of the kinds whose models are pulled: OCR, moderation."""
    spec = replace(SPECS["detector/1"], model_id="mine/1", slug="mine", kind=kind)
    entry = {"model_id": "mine", "model_version": "1", "inference_type": INFERENCE_TYPES[kind]}
    found, _ = wire_request("http://h/a", 5, [entry], {"mine/1": spec}, confidence=0.4, allow_private=False)
    assert found.models == ("mine/1",)


def test_two_versions_of_a_project_are_two_models_and_one_twice_is_one() -> None:
    two = {
        "detector/1": SPECS["detector/1"],
        "detector/2": replace(SPECS["detector/1"], model_id="detector/2", version="2"),
    }
    entries = [{"model_id": "detector", "model_version": v} for v in ("2", "1", "2")]
    found, wire = wire_request("http://h/a", 5, entries, two, confidence=0.4, allow_private=False)
    assert found.models == ("detector/2", "detector/1") and len(wire) == 2


@pytest.mark.parametrize("name", ["detector", "workspace/detector"])
def test_a_workspace_before_the_slug_is_left_out(name: str) -> None:
    assert request({"model_id": name, "model_version": 1})[0].models == ("detector/1",)


@pytest.mark.parametrize(
    ("fps", "text"), [(None, ""), (1, "1"), (5.0, "5"), (2.5, "2.5"), (120, "120"), (0.1, "0.1"), (29.97, "29.97")]
)
def test_rates_that_are_taken(fps: Any, text: str) -> None:
    assert request({"model_id": "detector"}, fps=fps)[0].infer_fps == text


@pytest.mark.parametrize("fps", [0, -1, 120.5, float("nan"), float("inf"), True, "5", [5]])
def test_rates_that_are_refused(fps: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        request({"model_id": "detector"}, fps=fps)
    assert caught.value.code == "api.fps"


def test_each_model_has_its_own_threshold_and_forms() -> None:
    found, wire = request(
        {"model_id": "detector", "inference_params": {"confidence": 0.7}},
        {"model_id": "persons", "inference_params": {"confidence": 0.2, "mask_format": "rle"}},
        {"model_id": "clip", "model_version": "1", "inference_params": {"embedding_format": "dict"}},
        {"model_id": "tags"},
    )
    assert found.confidence == 0.2, "what is stored must reach down to the lowest"
    options = options_of(replace(JOB, origin=Origin("", wire)))
    by_slug = {model.split("/")[0]: option for model, option in options.items()}
    assert by_slug["detector"].confidence == 0.7
    assert (by_slug["persons"].confidence, by_slug["persons"].forms.masks) == (0.2, "rle")
    assert by_slug["clip"].forms.embeddings == "dict"
    assert by_slug["tags"].confidence is None


def test_comparing_needs_something_to_compare_with() -> None:
    with pytest.raises(BadRequest, match="clip-compare needs"):
        request({"model_id": "clip", "inference_type": "clip-compare"})
    assert request({"model_id": "clip", "inference_type": "clip-compare", "inference_params": {"prompt": ["a"]}})


@pytest.mark.parametrize("model", [None, 5, {}, {"model_id": 5}, {"model_id": "detector", "model_version": [1]}])
def test_what_is_no_model(model: Any) -> None:
    with pytest.raises((BadRequest, ConfigError)):
        request(model)


@pytest.mark.parametrize(
    ("job", "status", "progress"),
    [
        (JOB, 1, 0.0),
        (replace(JOB, status="running", n_planned=10, n_settled=4), 1, 0.4),
        (replace(JOB, status="running", n_planned=10, n_settled=10), 1, 0.99),
        (replace(JOB, status="done", n_planned=10, n_settled=10), 0, 1.0),
        (replace(JOB, status="failed", error_code="media.x", error_message="why", error_hint="try"), 2, 0.0),
        (replace(JOB, status="cancelled"), 2, 0.0),
    ],
)
def test_a_poll_has_an_integer_status_and_the_same_success(job: Job, status: int, progress: float) -> None:
    body = poll_body(job, "http://h/results" if status == 0 else None)
    assert type(body["status"]) is int and body["status"] == body["success"] == status
    assert body["progress"] == progress
    assert ("output_signed_url" in body) == (status == 0)
    assert ("error" in body) == (status == 2)
    if job.status == "failed":
        assert body["error"] == {"code": "media.x", "message": "media.x: why", "hint": "try"}


def test_a_project_has_what_the_client_reads() -> None:
    found = project("lab", [SPECS["tags/1"]], 1.0)
    needed = "id name type annotation classes colors images splits public unannotated created updated".split()  # noqa: SIM905
    assert set(needed) <= set(found["project"])
    assert (found["project"]["type"], found["project"]["multilabel"]) == (
        "classification", SPECS["tags/1"].kind == "multilabels"
    )  # fmt: skip
    (version,) = found["versions"]
    assert {"id", "augmentation", "created", "images", "preprocessing", "splits", "model"} <= set(version)
    assert version["model"]
