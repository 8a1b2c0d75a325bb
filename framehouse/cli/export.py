"""`framehouse export`: what is stored, as files that other tools read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.export.run import Pictures


class ExportFormat(StrEnum):
    """Forms of an export; `framehouse.export.run.Format`, which help need not wait for."""

    ROBOFLOW = "roboflow"
    COCO = "coco"
    YOLO = "yolo"
    PARQUET = "parquet"
    CSV = "csv"


def export(
    videos: list[str] = typer.Argument(None, metavar="[VIDEO…]", help="ids (v_…), files, or where they were seen"),
    format_: ExportFormat = typer.Option(..., "--format", help="roboflow: a job's results JSON"),
    out: Path = typer.Option(..., "--out", metavar="DIR", help="folder to make"),
    all_: bool = typer.Option(False, "--all", help="every video"),
    model: str = typer.Option("", "--model", "-m", metavar="NAME[/VERSION]", help="only this model; default all"),
    confidence: float | None = typer.Option(
        None, "--confidence", min=0, max=1,
        help="least confidence; default: coco and yolo 0.4 (a setting), roboflow the job's, tables all that is stored",
    ),
    class_: list[str] = typer.Option([], "--class", metavar="CLASS", help="only objects of this class; repeatable"),
    job: str = typer.Option("", "--job", metavar="JOB_ID", help="only this job: its video, models and frames"),
    images: bool = typer.Option(False, "--images", help="coco, yolo: with the frames as JPEG, from the video's file"),
    force: bool = typer.Option(False, "--force", help="replace an earlier export of that name"),
    as_json: bool = typer.Option(False, "--json", help="print what was written, machine-readable"),
) -> None:  # fmt: skip
    """Write what is stored as COCO, YOLO, the results JSON, Parquet or CSV; works with the stack down.

    The folder is whole or absent, and export.json in it says what it holds. The same rows give the same bytes.

    Example: framehouse export bikes.mp4 --format coco --images --out bikes-coco
    """
    from framehouse.cli.output import begin, emit_json, say
    from framehouse.cli.videos import find_video_id
    from framehouse.export.run import LABELS, Format, Place
    from framehouse.export.run import export as write_export
    from framehouse.export.selection import Wanted

    _check_arguments(videos or [], all_, job, images, format_)
    settings = begin()
    form = Format(format_.value)
    names = {find_video_id(settings, video): video for video in videos or ()}
    if confidence is None and form in LABELS:
        confidence = settings.jobs.confidence
    wanted = Wanted(tuple(sorted(names)) if names else None, model, confidence, tuple(class_), job)
    place = Place(settings.store_dir, out.expanduser().absolute(), force, settings.store.query_memory)
    labels = _labels(settings) if form in LABELS else {}
    with _pictures(settings, names, wanted=images) as pictures:
        written = write_export(place, form, wanted, labels=labels, pictures=pictures)
    if as_json:
        emit_json(written)
        return
    for line in _lines(written):
        say(f"{out}/{line}")


def _check_arguments(videos: list[str], all_: bool, job: str, images: bool, form: ExportFormat) -> None:
    """Refuse what cannot be meant. Raises ConfigError `config.export`."""
    from framehouse.errors import ConfigError

    if sum([bool(videos), all_, bool(job)]) != 1:
        raise ConfigError(
            "which videos?", code="config.export", hint="name some, or --all, or --job JOB_ID; one of the three"
        )
    if images and form not in (ExportFormat.COCO, ExportFormat.YOLO):
        raise ConfigError(f"--images is for coco and yolo, not {form.value}", code="config.export", hint="leave it out")


def _labels(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Class names of the models that are known here, by model_id."""
    from framehouse.inference.repository import load_specs

    return {spec.model_id: spec.labels for spec in load_specs(settings.model_repositories).values()}


@contextmanager
def _pictures(settings: Settings, names: dict[str, str], *, wanted: bool) -> Iterator[Pictures | None]:
    """Makes pictures from the videos' files, with a count on stderr where that is a terminal."""
    if not wanted:
        yield None
        return
    from framehouse.export.pictures import write_pictures
    from framehouse.jobs.media import local_file
    from framehouse.video.probe import probe

    with _count() as told:

        def make(folder: Path, video_id: str, frame_offset: Any) -> None:
            source = local_file(settings, video_id, names.get(video_id, ""))
            index = probe(source, max_pixels=settings.source.max_pixels)
            write_pictures(folder, source, index, video_id, frame_offset, told=told)

        yield make


@contextmanager
def _count() -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _n: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} pictures"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("pictures", total=None)
        yield lambda n: progress.advance(task, n)


def _lines(written: dict[str, Any]) -> Iterator[str]:
    """What is in the folder, for people."""
    for job_id in written.get("jobs", {}):
        yield f"{job_id}.json"
    for part in written.get("datasets", ()):
        gaps = f", without {part['n_gaps']} frames that have no answer" if part["n_gaps"] else ""
        yield f"{part['labels']}: {part['n_objects']} objects in {part['n_images']} frames of {part['model_id']}{gaps}"
    for table, n_rows in written.get("tables", {}).items():
        yield f"{table}{'' if written['format'] == 'parquet' else '.csv'}: {n_rows} rows"
