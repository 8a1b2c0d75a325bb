"""One video: the player with what the models saw drawn over it, and its story in figures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from framehouse.api.context import Api, ApiContext
from framehouse.api.routes import findings
from framehouse.api.routes.jobs import job_facts
from framehouse.api.ui.access import AdminViewer, Viewer
from framehouse.api.ui.asking import rows
from framehouse.api.ui.templates_in import page
from framehouse.api.ui.words import file_name
from framehouse.errors import NotFound

router = APIRouter()

VideoId = Annotated[str, Path(pattern=r"^v_[0-9a-f]{24}$", description="id of a video")]
_LEAST_WINDOW_S, _STEPS_IN_WINDOW = 20.0, 40
_PLACES, _RULESETS, _EVENTS = 20, 20, 300


def known_video(api: Api, video_id: str) -> dict[str, Any]:
    """Facts of a video.

    Raises:
        NotFound: none of this id has been published.
    """
    found = rows(api, "video", video_id=video_id)
    if not found:
        raise NotFound(f"no video {video_id}", hint="see the list of videos; a new one appears when its job is done")
    return found[0]


@router.get("/videos/{video_id}")
def show(
    request: Request,
    video_id: VideoId,
    api: ApiContext,
    viewer: AdminViewer,
    start_s: Annotated[float, Query(alias="t", ge=0, allow_inf_nan=False)] = 0.0,
) -> Response:
    """Plays from `t` seconds after the first frame on."""
    facts, models = known_video(api, video_id), rows(api, "video_models", video_id=video_id)
    steps = [model["step_s"] for model in models if model["step_s"]]
    jobs = [job_facts(job) for job in api.state.list_jobs(video_ids=[video_id], limit=20)]
    found = _found(api, viewer, video_id)
    told = {
        "video_id": video_id, "width": facts["width"], "height": facts["height"], "duration_s": facts["duration_s"],
        "n_frames": facts["n_frames"], "fps": facts["video_fps"], "start_s": start_s, "models": models,
        "window_s": max(_LEAST_WINDOW_S, _STEPS_IN_WINDOW * max(steps, default=0.0)),
        "confidence": api.settings.jobs.confidence, "codec": facts["codec"], "container": facts["container"],
        "strips": [_strip(one) for one in found],
    }  # fmt: skip
    return page(
        request, "video.html", viewer=viewer, facts=facts, models=models, jobs=jobs, told=told,
        name=file_name(facts["uri"]) or video_id, found=found, places=_places(api, video_id),
    )  # fmt: skip


def _found(api: Api, viewer: Viewer, video_id: str) -> list[dict[str, Any]]:
    """What rulesets found in the video, newest first: facts of each with its `events` and `scenes`."""
    found: list[dict[str, Any]] = findings.findings(api, viewer.caller, video_id=video_id, limit=_RULESETS)["findings"]
    events = rows(api, "video_events", video_id=video_id, top=_EVENTS) if found else []
    scenes = rows(api, "video_scenes", video_id=video_id) if found else []
    return [
        one
        | {
            "events": [event for event in events if event["ruleset_id"] == one["ruleset_id"]],
            "scenes": [scene for scene in scenes if scene["ruleset_id"] == one["ruleset_id"]],
        }
        for one in found
    ]


def _strip(found: dict[str, Any]) -> dict[str, Any]:
    """Spans of a ruleset for the timeline: [start, end, class or kind], an instant with its end at its start."""
    spans = [[scene["start_s"], scene["end_s"], "scene"] for scene in found["scenes"]]
    spans += [
        [event["time_offset_s"], event["end_s"] or event["time_offset_s"], event["class_name"] or event["kind"]]
        for event in found["events"]
    ]
    return {"kind": found["kind"], "name": found["name"], "is_scenes": bool(found["scenes"]), "spans": spans}


def _places(api: Api, video_id: str) -> list[dict[str, Any]]:
    return rows(api, "video_places", video_id=video_id, top=_PLACES)
