"""Errors over HTTP: one JSON shape, one table from class to status."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from framehouse import errors
from framehouse.errors import FramehouseError

log = structlog.get_logger(__name__)


STATUS: dict[type[FramehouseError], int] = {
    errors.Unauthorised: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.BadRequest: 400,
    errors.TooMany: 429,
    errors.NoRoom: 507,
    errors.ApiError: 400,
    errors.ConfigError: 400,
    errors.SourceNotFound: 404,
    errors.SourceForbidden: 403,
    errors.SourceUnavailable: 502,
    errors.SourceError: 400,
    errors.MediaError: 422,
    errors.InferenceError: 503,
    errors.QueryRejected: 400,
    errors.QueryTimeout: 408,
    errors.StoreLocked: 503,
    errors.LakeUnavailable: 503,
    errors.StoreError: 503,
    errors.ResultsError: 500,
    errors.JobNotFound: 404,
    errors.CatalogNotFound: 404,
    errors.EngineUnavailable: 503,
    errors.JobError: 409,
    FramehouseError: 500,
}
"""The first class of an error's line of descent that is here decides."""

STATUS_OF_CODE: dict[str, int] = {"store.empty": 404, "search.nothing_indexed": 404, "store.no_results": 404}
"""Narrow codes whose class says something else."""


class Problem(BaseModel):
    """What went wrong, under a stable code, and what to try."""

    code: str
    message: str
    hint: str


class ProblemBody(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


PROMISED: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody} for status in (400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 502, 503, 507)
}
"""Answers that any route may give, for the OpenAPI document."""


def status_of(error: FramehouseError) -> int:
    """HTTP status of an error."""
    by_class = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return STATUS_OF_CODE.get(error.code, by_class)


def body_of(error: FramehouseError) -> dict[str, object]:
    """The JSON body of an error: code, message, what to try."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def install(app: FastAPI) -> None:
    """Every failure of a route becomes the one JSON shape."""

    @app.exception_handler(FramehouseError)
    async def _named(_request: Request, error: FramehouseError) -> JSONResponse:
        return JSONResponse(body_of(error), status_of(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse(body_of(errors.BadRequest(f"{where}: {first['msg']}", code="api.invalid")), 422)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "api.not_found", 405: "api.method", 413: "api.too_large"}.get(error.status_code, "api.http")
        named = FramehouseError(f"{request.method} {request.url.path}: {error.detail}", code=code, hint="see /docs")
        return JSONResponse(body_of(named), error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed", method=request.method, path=request.url.path, error=error)
        named = FramehouseError("something went wrong here", code="api.internal", hint="the server's log says more")
        return JSONResponse(body_of(named), 500)
