"""What is stored, what was spent, what is owed."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from framehouse.api.context import Api, ApiContext
from framehouse.api.ui.access import AdminViewer, Form
from framehouse.api.ui.asking import rows
from framehouse.api.ui.templates_in import free_room, low_room, page
from framehouse.jobs.backfill import Backlog, backlog_rows, read_backlog, select, submit_backlog
from framehouse.keep.sweep import sized
from framehouse.state.tallies import take_tallies

router = APIRouter()

_FOLDERS = (
    ("store", "the database and its snapshots", True),
    ("lake", "parts, plans and run records: the truth", False),
    ("uploads", "uploaded and fetched videos", False),
    ("cache", "stills, playable copies and copies of parts", True),
    ("results", "results files", True),
    ("models", "added and pulled models", False),
    ("state", "jobs, keys, catalogues", False),
    ("logs", "logs", False),
    ("prefect", "Prefect's own records", False),
    ("triton", "the embedded server's files", True),
)
"""Folder, what lies there, whether it can be made again."""
_MOST_VIDEOS = 300
_SIZES_KEPT_S = 60


@router.get("/stored")
def show(request: Request, api: ApiContext, viewer: AdminViewer, owed: bool = Query(False)) -> Response:
    """The backlog of a large catalogue takes a while to read: then only when it is asked for (`owed`)."""
    totals = rows(api, "videos_total", words="") or [{"n_videos": 0, "duration_s": 0.0}]
    backlog = _backlog(api) if owed or totals[0]["n_videos"] <= _MOST_VIDEOS else None
    return page(
        request, "stored.html", viewer=viewer, disk=disk_use(api.settings.home), free=free_room(request),
        low=low_room(request), total=totals[0], held=rows(api, "rows_held"), spent=rows(api, "spent"),
        tallies=take_tallies(api.state.engine, time.time()), backlog=backlog,
        owing=backlog_rows(backlog) if backlog else [], n_owed=_n_owed(backlog),
    )  # fmt: skip


@router.post("/stored/backfill")
def backfill(api: ApiContext, _: AdminViewer, __: Form) -> Response:
    """Submit what is owed, and only that."""
    submit_backlog(api.settings, api.state, _backlog(api))
    return RedirectResponse("/ui/jobs", 303)


def _backlog(api: Api) -> Backlog:
    selection = select(api.settings, api.state)
    return read_backlog(api.settings, api.state, selection, ask_places=False)


def _n_owed(backlog: Backlog | None) -> int:
    """Jobs that would be submitted."""
    return sum(item.job_id is None for item in backlog.owing) + len(backlog.unseen) if backlog else 0


def disk_use(home: Path) -> list[dict[str, Any]]:
    """Bytes and files by folder, largest first; counted at most once a minute."""
    return _disk_use(home, int(time.monotonic() // _SIZES_KEPT_S))


@lru_cache(maxsize=2)
def _disk_use(home: Path, _minute: int) -> list[dict[str, Any]]:
    found = []
    for name, what, is_made_again in _FOLDERS:
        n_files, n_bytes = sized([home / name]) if (home / name).is_dir() else (0, 0)
        if n_files:
            found.append({"name": name, "what": what, "again": is_made_again, "files": n_files, "bytes": n_bytes})
    return sorted(found, key=lambda folder: -folder["bytes"])
