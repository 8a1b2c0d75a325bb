"""A box for SQL: its answer as a table and a chart, or as a file."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from framehouse.api.context import ApiContext
from framehouse.api.ui.access import AdminViewer, Form
from framehouse.api.ui.asking import rows
from framehouse.api.ui.templates_in import page
from framehouse.errors import FramehouseError
from framehouse.store.query import QueryResult, plain, run_query

router = APIRouter()

_SHOWN_ROWS, _FILE_ROWS = 1000, 1_000_000
_LONGEST = 100_000
EXAMPLES = (
    ("What is in each video?",
     "SELECT uri, class_name, max_in_frame, n_detections\nFROM objects_per_video\nORDER BY n_detections DESC"),
    ("When were most people in view?",
     "SELECT second, max_in_frame AS people\nFROM detections_per_second\nWHERE class_name = 'person'\n"
     "ORDER BY second"),
    ("Where did people look?",
     "SELECT second, degrees(mean_yaw_rad) AS yaw, degrees(mean_pitch_rad) AS pitch\nFROM gazes_per_second\n"
     "ORDER BY second"),
    ("Why did videos fail?", "SELECT cause, stage, count(*) AS videos\nFROM failed_videos\nGROUP BY ALL"),
    ("Is every frame accounted for?",
     "SELECT uri, model_id, n_planned, n_loaded, n_gaps\nFROM completeness\nORDER BY n_gaps DESC"),
)  # fmt: skip


@router.get("/sql")
def box(request: Request, api: ApiContext, viewer: AdminViewer, q: str = Query("", max_length=20_000)) -> Response:
    """The box, with `q` in it; nothing is run before somebody says so."""
    return _page(request, api, viewer, q, None, None)


@router.post("/sql")
def run(request: Request, api: ApiContext, viewer: AdminViewer, form: Form) -> Response:
    """Run it: a page with the first rows, or a file with all."""
    text, form_of_answer = form.get("q", "")[:_LONGEST], form.get("format", "page")
    try:
        with api.query_slots:
            found = _run(api, text, _SHOWN_ROWS if form_of_answer == "page" else _FILE_ROWS)
    except FramehouseError as error:
        return _page(request, api, viewer, text, None, error)
    if form_of_answer == "csv":
        return _file(found.to_csv(), "text/csv; charset=utf-8", "csv")
    if form_of_answer == "json":
        return _file(found.to_json(), "application/json", "json")
    return _page(request, api, viewer, text, found, None)


def _run(api: ApiContext, text: str, most: int) -> QueryResult:
    settings = api.settings
    return run_query(
        settings.store_dir, text, timeout_s=settings.store.query_timeout_s, max_rows=most,
        memory=settings.store.query_memory,
    )  # fmt: skip


def _page(
    request: Request, api: ApiContext, viewer: AdminViewer, text: str, found: QueryResult | None,
    problem: FramehouseError | None,
) -> Response:  # fmt: skip
    """The box, an answer, or what is wrong with the question."""
    told: dict[str, Any] | None = None
    if found is not None:
        told = {"columns": list(found.columns), "types": list(found.types),
                "rows": _plain_rows(found)}  # fmt: skip
    return page(
        request, "sql.html", viewer=viewer, status=400 if problem else 200, q=text, found=found, told=told,
        problem=problem, examples=EXAMPLES, tables=rows(api, "sql_tables"),
    )  # fmt: skip


def _plain_rows(found: QueryResult) -> list[list[Any]]:
    return [[plain(value) for value in row] for row in found.rows()]


def _file(text: str, media_type: str, suffix: str) -> Response:
    name = f"framehouse-{time.strftime('%Y%m%d-%H%M%S')}.{suffix}"
    return Response(text, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
