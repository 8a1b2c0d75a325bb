"""The backlog as work: what is owed, where its bytes are, what it will cost; and the jobs that settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from framehouse import ids
from framehouse.catalog.backlog import (
    Ask,
    Debt,
    History,
    LeftOut,
    Selection,
    asks_of,
    debts_of,
    outdated,
    read_history,
    selected_videos,
)
from framehouse.catalog.estimates import Speeds, card_speed_s, estimate, measure, together
from framehouse.config import Settings
from framehouse.errors import ConfigError, FramehouseError, ResultsError, SourceNotFound
from framehouse.inference.cards import load_cards
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.places import Place, find_place
from framehouse.jobs.plans import keep_index
from framehouse.jobs.sources import open_video
from framehouse.jobs.submit import NO_CAPS, check_request, store_job
from framehouse.results.indexes import read_index
from framehouse.results.lake import Estimate, Lake, RunRecord, VideoRecord
from framehouse.results.opening import open_lake
from framehouse.state import Job, JobRequest, State
from framehouse.state.budgets import Caps
from framehouse.state.catalog_members import catalog_members
from framehouse.storage.local import LocalSource, path_uri, uri_path
from framehouse.storage.registry import open_source
from framehouse.telemetry import redact_uri
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, parse_infer_fps

log = structlog.get_logger(__name__)

_UNFINISHED = ("queued", "running", "paused")


@dataclass(frozen=True, slots=True)
class Owing:
    """One job to be: a video's debt, where its bytes are, what it will cost. `job_id`: the unfinished job that does it
    already."""

    debt: Debt
    place: Place
    estimate: Estimate
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Everything that a selection owes.

    Attributes:
        unseen: failed jobs whose video was never read: nothing is known of what they will cost.
        total: of what is not under way already.
    """

    owing: tuple[Owing, ...]
    unseen: tuple[RunRecord, ...]
    left_out: tuple[LeftOut, ...]
    total: Estimate
    gaps: str

    @property
    def cannot(self) -> bool:
        """Whether something is owed that cannot be done."""
        return any(left.code != "models.earlier" for left in self.left_out)

    @property
    def in_words(self) -> str:
        """One line: how much, and how long."""
        total, n_jobs = self.total, sum(item.job_id is None for item in self.owing) + len(self.unseen)
        return (
            f"{n_jobs} jobs, {total.n_frames} frames x models, about {total.seconds:.0f} s "
            f"({total.low_s:.0f} to {total.high_s:.0f}), {total.read_bytes} bytes to read, "
            f"{total.fetch_bytes} to fetch; {len(self.left_out)} left out"
        )


def backlog_rows(backlog: Backlog) -> list[dict[str, Any]]:
    """A flat table for people: debts, jobs that are tried again, and what is left out."""
    rows: list[dict[str, Any]] = [
        {
            "video": item.debt.video.video_id,
            "models": ", ".join(model.model_id for model in item.debt.models if model.n_owed),
            "frames": item.debt.n_owed,
            "seconds": item.estimate.seconds,
            "bytes": item.estimate.fetch_bytes,
            "what": f"{item.job_id} is at it" if item.job_id else "owed",
        }
        for item in backlog.owing
    ]
    rows += [{"video": run.uri, "what": f"tried again: {run.job_id} {run.error_code}"} for run in backlog.unseen]
    return rows + [{"video": left.what, "what": f"left out: {left.code}: {left.message}"} for left in backlog.left_out]


def select(
    settings: Settings,
    state: State,
    videos: Sequence[str] = (),
    *,
    catalog: str = "",
    only_failed: bool = False,
    models: Sequence[str] = (),
    infer_fps: str = "",
    since: datetime | None = None,
    gaps: str = "all",
    quarantined: bool = False,
    seconds: tuple[float, float] | None = None,
    frame: int | None = None,
    chunk: str = "",
) -> Selection:
    """A selection from the words of people.

    Args:
        videos: ids, files of this machine, or places where they were seen; none means all.
        frame: only this frame_offset.
        chunk: only this chunk; one video must be named with it.

    Raises:
        ConfigError: code `config.gaps`, no such policy; `config.unknown_catalog`; `config.chunk`, the video has none.
        SourceNotFound: a video that was never seen.
    """
    policy = next((known for known in ("all", "model", "none") if known == gaps), None)
    if policy is None:
        raise ConfigError(f"no such choice of gaps: {gaps}", code="config.gaps", hint="all, model or none")
    lake = open_lake(*settings.lake_place)
    wanted = [find_video(lake, settings.fetch_dir, text) for text in videos]
    if catalog:
        wanted += _of_catalog(lake, state, catalog)
    frames = None if frame is None else (frame, frame + 1)
    if chunk:
        frames = _frames_of_chunk(lake, wanted, chunk)
    return Selection(
        video_ids=frozenset(wanted) if videos or catalog else None,
        only_failed=only_failed,
        models=tuple(models),
        infer_fps=infer_fps,
        since=since,
        gaps="every" if quarantined and policy == "all" else policy,
        frames=frames,
        seconds=seconds,
    )


def find_video(lake: Lake, fetch_dir: Path, text: str) -> str:
    """Id of a video that was seen: named by its id, by a place, or by a file of this machine with its content.

    Raises:
        SourceNotFound: code `source.not_found`, none of these.
    """
    shown = redact_uri(text)
    names = {shown}
    if "://" not in text or text.startswith("file://"):
        path = uri_path(text)
        names |= {path_uri(path.absolute())}
        if path.is_file():
            names.add(ids.video_id(LocalSource(path).fetch(fetch_dir).sha256))
    for known in lake.video_ids():
        if known in names:
            return known
    for known in lake.video_ids():
        record = lake.read_video(known)
        if record is not None and names & {place.uri for place in record.locations}:
            return known
    raise SourceNotFound(f"{shown}: no such video was run", hint="see: framehouse videos list", uri=shown)


def _of_catalog(lake: Lake, state: State, name: str) -> list[str]:
    members = catalog_members(state.engine, name)
    uris, ids = {uri for uri, _ in members}, {known for _, known in members if known is not None}
    records = [lake.read_video(known) for known in lake.video_ids() if known not in ids]
    seen = [r.video_id for r in records if r is not None and uris & {place.uri for place in r.locations}]
    return [*sorted(ids), *seen]


def _frames_of_chunk(lake: Lake, videos: Sequence[str], chunk_id: str) -> tuple[int, int]:
    if len(videos) == 1:
        for chunk in chunks(read_index(lake, videos[0])):
            if chunk.chunk_id == chunk_id:
                return chunk.first_frame, chunk.first_frame + chunk.n_frames
    raise ConfigError(f"no chunk {chunk_id}", code="config.chunk", hint="name one video, and a chunk of it")


def read_backlog(settings: Settings, state: State, selection: Selection, *, ask_places: bool) -> Backlog:
    """What is owed. Nothing is submitted, and no video is opened.

    Args:
        ask_places: ask remote places whether they still have the video; files of this machine are always looked at.

    Raises:
        ConfigError: a model that is not known (`config.unknown_model`), a rate that is none (`config.infer_fps`).
    """
    lake, specs = open_lake(*settings.lake_place), load_specs(settings.model_repositories)
    selection = replace(selection, models=tuple(resolve(specs, name).model_id for name in selection.models))
    if selection.infer_fps:
        parse_infer_fps(selection.infer_fps)
    history = read_history(lake)
    speeds = _speeds(settings, lake, history, specs)
    reader = _Reader(settings, state, lake, specs, selection, speeds, ask_places)
    for video in selected_videos(lake, history, selection):
        reader.read(video, history.by_video.get(video.video_id, ()))
    unseen = () if _is_narrow(selection) else tuple(run for run in history.unseen if reader.is_failed(run))
    ours = [item.estimate for item in reader.owing if item.job_id is None]
    total = together(ours, speeds, settings.prefect.run_slots)
    return Backlog(tuple(reader.owing), unseen, tuple(reader.left_out), total, selection.gaps)


def backlog_of_requests(settings: Settings, state: State, requests: Sequence[JobRequest]) -> Backlog:
    """What new jobs would do (`run --dry-run`). A video that was never seen is opened, and fetched if it is far away:
    its index is kept, so that the job does not read it again.

    Raises:
        ConfigError: see `check_request`.
    """
    lake, specs = open_lake(*settings.lake_place), load_specs(settings.model_repositories)
    speeds = _speeds(settings, lake, read_history(lake), specs)
    owing, left_out = [], []
    for request in requests:
        models = tuple(spec.model_id for spec in check_request(request, settings))
        try:
            local = open_video(request.uri, settings, allow_private=request.allow_private).fetch(settings.fetch_dir)
            index = probe(local.path, max_pixels=settings.source.max_pixels)
            video = keep_index(lake, local, ids.video_id(local.sha256), index)
            ask = Ask(models, request.infer_fps, request.confidence)
            debts, out = debts_of(lake, video, [ask], specs, Selection(gaps="every"))
        except FramehouseError as error:
            left_out.append(LeftOut(redact_uri(request.uri), error.code, error.message))
            continue
        left_out += out
        place = Place(request.uri, request.allow_private, is_here=True, is_asked=True)
        owing += [Owing(debt, place, estimate(debt, speeds, fetch_bytes=0)) for debt in debts]
    total = together([item.estimate for item in owing], speeds, settings.prefect.run_slots)
    return Backlog(tuple(owing), (), tuple(left_out), total, "every")


def submit_backlog(settings: Settings, state: State, backlog: Backlog, *, caps: Caps = NO_CAPS) -> list[str]:
    """One job for each debt that no unfinished job is at; a failed job is queued again as itself. Returns their ids."""
    found = []
    for item in backlog.owing:
        if item.job_id is None:
            found.append(_submit(state, item, backlog.gaps, caps))
    for run in backlog.unseen:
        found.append(state.reopen(run.job_id, gaps=backlog.gaps).job_id)
    log.info("backfill submitted", n_jobs=len(found), n_frames=backlog.total.n_frames)
    return found


def _submit(state: State, item: Owing, gaps: str, caps: Caps) -> str:
    debt, expected = item.debt, asdict(item.estimate)
    again = debt.ask.job_id
    if again is not None and _is_known(state, again):
        return state.reopen(again, gaps=gaps, estimate=expected).job_id
    request = JobRequest(
        item.place.uri,
        tuple(model.model_id for model in debt.models),
        debt.ask.infer_fps,
        debt.ask.confidence,
        allow_private=item.place.allow_private,
        gaps=gaps,
        frames=debt.ask.frames,
        budget=_shared_budget(state, debt.video.video_id),
    )
    return store_job(state, request, caps, job_id=ids.new_job_id(), estimate=expected)


def _is_known(state: State, job_id: str) -> bool:
    return bool(state.list_jobs(job_ids=[job_id], statuses=["failed"]))


def _shared_budget(state: State, video_id: str) -> str:
    """The budget that the video's newest job shares: what is done for it later counts there too."""
    jobs = state.list_jobs(video_ids=[video_id], limit=1)
    return jobs[0].request.budget if jobs else ""


class _Reader:
    """Reads the debts of one video after the other."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        lake: Lake,
        specs: Mapping[str, ModelSpec],
        selection: Selection,
        speeds: Speeds,
        ask_places: bool,
    ) -> None:
        self.owing: list[Owing] = []
        self.left_out: list[LeftOut] = []
        self._settings, self._state, self._lake, self._specs = settings, state, lake, specs
        self._selection, self._speeds, self._ask_places = selection, speeds, ask_places
        self._unfinished: dict[str, list[Job]] = {}
        for job in state.list_jobs(statuses=_UNFINISHED):
            for key in {_shown(job.request.uri), job.video_id or ""}:
                self._unfinished.setdefault(key, []).append(job)

    def read(self, video: VideoRecord, runs: Sequence[RunRecord]) -> None:
        """Take in what one video owes."""
        identity = video.video_id
        if old := [] if self._selection.models else outdated(runs, self._specs):
            text = f"seen by an earlier {', '.join(old)}; infer it again with {' '.join(f'--model {m}' for m in old)}"
            self.left_out.append(LeftOut(identity, "models.earlier", text))
        try:
            asks = asks_of(runs, self._specs, self._selection)
            debts, left_out = debts_of(self._lake, video, asks, self._specs, self._selection)
        except ResultsError as error:
            self.left_out.append(LeftOut(identity, error.code, error.message))
            return
        self.left_out += left_out
        if not debts:
            return
        jobs = self._state.list_jobs(video_ids=[identity])
        try:
            place = find_place(video, jobs, self._settings, ask_remote=self._ask_places)
        except FramehouseError as error:
            self.left_out.append(LeftOut(identity, error.code, error.message))
            return
        for debt in debts:
            fetch_bytes = 0 if place.is_here else video.size_bytes
            expected = estimate(debt, self._speeds, fetch_bytes=fetch_bytes)
            self.owing.append(Owing(debt, place, expected, self._at_it(debt)))

    def is_failed(self, run: RunRecord) -> bool:
        """Whether a job that never saw its video can be queued again: it is known, failed, and nobody else is at it."""
        if _shown(run.uri) in self._unfinished:
            return False
        if _is_known(self._state, run.job_id):
            return True
        self.left_out.append(LeftOut(run.uri, "job.not_found", f"{run.job_id} is not in the state database any more"))
        return False

    def _at_it(self, debt: Debt) -> str | None:
        """The unfinished job that will settle a debt, if there is one."""
        keys = [debt.video.video_id, *(place.uri for place in debt.video.locations)]
        wanted = {model.model_id for model in debt.models if model.n_owed}
        for job in (job for key in keys for job in self._unfinished.get(key, ())):
            request = job.request
            models = {resolve(self._specs, name).model_id for name in request.models if self._knows(name)}
            covers = request.frames is None or request.frames == debt.ask.frames
            if request.infer_fps == debt.ask.infer_fps and covers and wanted <= models:
                return job.job_id
        return None

    def _knows(self, name: str) -> bool:
        try:
            resolve(self._specs, name)
        except ConfigError:
            return False
        return True


def _shown(uri: str) -> str:
    """The name under which a place is stored, however a job wrote it."""
    try:
        return redact_uri(open_source(uri).uri)
    except FramehouseError:
        return redact_uri(uri)


def _is_narrow(selection: Selection) -> bool:
    """Whether the selection is about known videos, so that jobs without one are not meant."""
    about_videos = (selection.video_ids is not None, selection.since is not None, selection.frames is not None)
    return any((*about_videos, selection.seconds is not None, bool(selection.models), bool(selection.infer_fps)))


def _speeds(settings: Settings, lake: Lake, history: History, specs: Mapping[str, ModelSpec]) -> Speeds:
    videos = {}
    for video_id in history.by_video:
        try:
            video = lake.read_video(video_id)
        except ResultsError:
            continue
        if video is not None:
            videos[video_id] = video
    runs = sorted((run for runs in history.by_video.values() for run in runs), key=lambda run: run.finished_at or "")
    return measure(runs, videos, _card_speeds(settings, specs))


def _card_speeds(settings: Settings, specs: Mapping[str, ModelSpec]) -> dict[str, float]:
    """Seconds per frame by model_id, as the cards say."""
    by_slug = {card.slug: card_speed_s(card.speed) for card in load_cards(settings.model_repositories).values()}
    found = {model_id: by_slug.get(spec.slug) for model_id, spec in specs.items()}
    return {model_id: seconds for model_id, seconds in found.items() if seconds is not None}
