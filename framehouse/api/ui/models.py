"""The models and their cards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from framehouse.api.context import ApiContext
from framehouse.api.routes import models
from framehouse.api.ui.access import ReadViewer
from framehouse.api.ui.asking import rows
from framehouse.api.ui.templates_in import page

router = APIRouter()


@router.get("/models")
def list_(request: Request, api: ApiContext, viewer: ReadViewer) -> Response:
    """Shipped, added and pulled ones; for admins with the work that each has done."""
    spent = {row["model_id"]: row for row in rows(api, "spent")} if viewer.may("admin") else {}
    return page(request, "models.html", viewer=viewer, models=models.list_(api, viewer.caller)["models"], spent=spent)


@router.get("/models/{slug}/{version}")
def show(
    request: Request,
    slug: Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]*$")],
    version: Annotated[str, Path(pattern=r"^[0-9]+$")],
    api: ApiContext,
    viewer: ReadViewer,
) -> Response:
    """What it finds, what it was measured at, where its weights come from and under which licence."""
    return page(request, "model.html", viewer=viewer, model=models.show(slug, version, api, viewer.caller))
