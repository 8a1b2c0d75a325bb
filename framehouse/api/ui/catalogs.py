"""Places that are watched for videos."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from framehouse.api.context import ApiContext
from framehouse.api.routes import catalogs
from framehouse.api.routes.catalogs import Name
from framehouse.api.ui.access import AdminViewer, Form
from framehouse.api.ui.templates_in import page

router = APIRouter()
_MOST = 200


@router.get("/catalogs")
def list_(request: Request, api: ApiContext, viewer: AdminViewer) -> Response:
    """Every catalogue: what is asked of its videos, and how the last scan went."""
    return page(request, "catalogs.html", viewer=viewer, catalogs=catalogs.list_(api, viewer.caller).catalogs)


@router.get("/catalogs/{name}")
def show(request: Request, name: Name, api: ApiContext, viewer: AdminViewer) -> Response:
    """One, with the places that changed last."""
    found = catalogs.show(name, api, viewer.caller, _MOST)
    return page(request, "catalog.html", viewer=viewer, catalog=found, most=_MOST)


@router.post("/catalogs/{name}/scan")
def scan(name: Name, api: ApiContext, viewer: AdminViewer, _: Form) -> Response:
    """Ask for a scan now."""
    catalogs.scan(name, api, viewer.caller)
    return RedirectResponse(f"/ui/catalogs/{name}?asked=1", 303)
