"""/docs: the API's page, with every file of it from this server, so that it works without the internet."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

router = APIRouter(include_in_schema=False)

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]
_FOLDER = Path(str(files("fastapi_offline"))) / "static"
"""Swagger UI 5 as the package `fastapi-offline` carries it; 4 does not read OpenAPI 3.1."""


@router.get("/docs")
@router.get("/docs/")
def page() -> HTMLResponse:
    """Swagger UI over /openapi.json. It asks no validator elsewhere about the document."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Framehouse API",
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
        swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": True},
    )


@router.get("/docs/assets/{name}")
def asset(name: Asset) -> FileResponse:
    """One file of the page."""
    return FileResponse(_FOLDER / name, headers={"Cache-Control": "max-age=86400"})
