"""Jobs: how far they are, why they failed, and the buttons that change them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from framehouse.api.context import ApiContext
from framehouse.api.jobs import visible_job
from framehouse.api.routes import events as all_events
from framehouse.api.routes import jobs as of_jobs
from framehouse.api.routes import ledger
from framehouse.api.routes.health import engine_of
from framehouse.api.routes.jobs import JobId, JobWish, Status, job_facts
from framehouse.api.routes.results import result_url
from framehouse.api.routes.uploads import promised_upload
from framehouse.api.ui.access import Form, ReadViewer, SubmitViewer, inner_path
from framehouse.api.ui.templates_in import page, prefect_page
from framehouse.errors import BadRequest, FramehouseError
from framehouse.inference.repository import load_specs
from framehouse.state.tallies import take_tallies

router = APIRouter()
_MOST = 200
_FEW_GAPS = 50


@router.get("/jobs")
def list_(
    request: Request, api: ApiContext, viewer: ReadViewer, status: Annotated[list[Status] | None, Query()] = None
) -> Response:
    """The viewer's own, an admin's: all; newest first, what is under way before the rest."""
    found = of_jobs.list_(api, viewer.caller, status, _MOST)
    under_way = ("queued", "running", "paused")
    jobs = sorted(found.jobs, key=lambda job: job.status not in under_way)
    totals = take_tallies(api.state.engine, 0.0).jobs if viewer.may("admin") else {}
    return page(
        request, "jobs.html", viewer=viewer, jobs=jobs, chosen=status or [], totals=totals, most=_MOST,
        slugs=_slugs(api), problem=None, wish={}, engine=engine_of(api.settings),
    )  # fmt: skip


@router.post("/jobs")
def create(request: Request, api: ApiContext, viewer: SubmitViewer, form: Form) -> Response:
    """Submit what the form names; what is wrong with it is said beside it."""
    try:
        wish = JobWish(
            sources=[line.strip() for line in form.get("sources", "").splitlines() if line.strip()],
            models=[name for name in form.get("models", "detector").split(",") if name],
            infer_fps=form.get("infer_fps", "").strip(),
        )
        of_jobs.create(wish, api, viewer.caller)
    except (FramehouseError, ValueError) as error:
        named = error if isinstance(error, FramehouseError) else BadRequest(_first_line(error), code="api.invalid")
        found = of_jobs.list_(api, viewer.caller, None, _MOST)
        return page(
            request, "jobs.html", viewer=viewer, status=400, jobs=found.jobs, chosen=[], totals={}, most=_MOST,
            slugs=_slugs(api), problem=named, wish=form, engine=engine_of(api.settings),
        )  # fmt: skip
    return RedirectResponse("/ui/jobs", 303)


@router.post("/uploads")
def upload(request: Request, api: ApiContext, viewer: SubmitViewer, form: Form) -> dict[str, str]:
    """A signed URL for a file that the page is about to send; the page then submits that URL."""
    return {"url": promised_upload(api, viewer.caller, form.get("file_name", "video"), request)}


@router.get("/jobs/{job_id}")
def show(request: Request, job_id: JobId, api: ApiContext, viewer: ReadViewer) -> Response:
    """One job: its progress, its cost, its gaps."""
    job = visible_job(api, viewer.caller, job_id)
    run = (
        f"{prefect_page(request)}/runs/flow-run/{job.flow_run_id}" if prefect_page(request) and job.flow_run_id else ""
    )
    url = result_url(api, job_id, request) if job.status == "done" else ""
    return page(
        request, "job.html", viewer=viewer, job=job_facts(job), run=run, result=url,
        may_change=viewer.may("submit") and viewer.caller.may_see(job.origin.owner), **_account(api, job_id, viewer),
    )  # fmt: skip


@router.post("/jobs/{job_id}/retry")
def retry(job_id: JobId, api: ApiContext, viewer: SubmitViewer, form: Form) -> Response:
    """Queue it again."""
    of_jobs.retry(job_id, api, viewer.caller)
    return _back(form, job_id)


@router.post("/jobs/{job_id}/resume")
def resume(job_id: JobId, api: ApiContext, viewer: SubmitViewer, form: Form) -> Response:
    """Let it go on."""
    of_jobs.resume(job_id, api, viewer.caller)
    return _back(form, job_id)


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: JobId, api: ApiContext, viewer: SubmitViewer, form: Form) -> Response:
    """End it."""
    of_jobs.cancel(job_id, api, viewer.caller)
    return _back(form, job_id)


@router.get("/events")
def events(api: ApiContext, viewer: ReadViewer, seen: all_events.Seen = []) -> StreamingResponse:  # noqa: B006
    """Every change of the jobs that one may see, as server-sent events without end."""
    return all_events.events(api, viewer.caller, seen)


def _account(api: ApiContext, job_id: str, viewer: ReadViewer) -> dict[str, Any]:
    """Cost and gaps as the tables have them; nothing while nothing has been published."""
    try:
        usage = ledger.usage(job_id, api, viewer.caller).usage
        gaps = ledger.gaps(job_id, api, viewer.caller, _FEW_GAPS)
    except FramehouseError as error:
        if error.code != "store.empty":
            raise
        return {"usage": [], "gaps": [], "more_gaps": False}
    return {"usage": usage, "gaps": gaps.gaps, "more_gaps": gaps.truncated}


def _slugs(api: ApiContext) -> list[str]:
    return list(dict.fromkeys(spec.slug for spec in load_specs(api.settings.model_repositories).values()))


def _back(form: dict[str, str], job_id: str) -> RedirectResponse:
    return RedirectResponse(inner_path(form.get("back", f"/ui/jobs/{job_id}")), 303)


def _first_line(error: ValueError) -> str:
    """What pydantic says first, for people."""
    told = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
    return f"{'.'.join(str(part) for part in told['loc'])}: {told['msg']}"
