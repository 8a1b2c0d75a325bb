"""The FastAPI application: routes in the order in which they are matched, errors, one context."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from framehouse.api import errors
from framehouse.api.context import Api
from framehouse.api.counting import Counted
from framehouse.api.limits import BodyLimit
from framehouse.api.paths import OneSlash
from framehouse.api.routes import (
    catalogs,
    docs,
    events,
    findings,
    health,
    jobs,
    keys,
    ledger,
    metrics,
    models,
    query,
    results,
    resumable,
    roboflow,
    search,
    shares,
    uploads,
    usage,
    videos,
    webhooks,
)
from framehouse.api.signing import UrlSigner
from framehouse.api.slots import Slots
from framehouse.api.ui.site import create_page, to_first_page
from framehouse.config import Settings
from framehouse.jobs.media import Media
from framehouse.release import release
from framehouse.state import open_state
from framehouse.state.keys import Keys, check_workspace

_RESOURCES = (
    docs, health, metrics, keys, jobs, ledger, usage, shares, events, videos, catalogs, models, query, search, findings,
    webhooks, resumable, uploads, results, roboflow,
)  # fmt: skip


def create_app(settings: Settings) -> FastAPI:
    """The server's application. Opens the state database; raises what `open_state` and `check_workspace` raise."""
    check_workspace(settings.api.workspace)
    app = FastAPI(
        title="Framehouse", version=release(), docs_url=None, redoc_url=None,
        description="Self-hosted video inference.", redirect_slashes=False, responses=errors.PROMISED,
    )  # fmt: skip
    state = open_state(settings.state_url, pooled=True, backups=settings.backups)
    app.state.api = Api(
        settings, state, Keys(state.engine), UrlSigner.of(settings.state_dir), settings.api.is_loopback,
        Slots(settings.api.max_queries), Media(settings),
    )  # fmt: skip
    errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(OneSlash)
    if settings.api.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.api.cors_origins, allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type", "Upload-Offset"],
        )  # fmt: skip
    app.add_middleware(Counted, tally=app.state.api.tally)
    for resource in _RESOURCES:
        app.include_router(resource.router)
    app.add_route("/ui", to_first_page, include_in_schema=False)
    app.mount("/ui", create_page(app.state.api))
    app.include_router(roboflow.account)  # the last: its first segment is any workspace
    return app
