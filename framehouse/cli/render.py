"""`framehouse render`: a video with what the models saw drawn in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.render.overlay import Inferred

_MODELS = """
SELECT i.model_digest, any_value(i.model_id) AS model_id, any_value(u.kind) AS kind,
    count(*) FILTER (i.status = 'loaded') AS n_loaded
FROM inferences i
JOIN (SELECT model_digest, any_value(kind) AS kind FROM usage GROUP BY model_digest) u USING (model_digest)
WHERE i.video_id = $video_id
    AND u.kind <> 'embeddings'
    AND ($model = '' OR i.model_id = $model OR starts_with(i.model_id, $model || '/'))
GROUP BY i.model_digest
ORDER BY any_value(u.kind) = 'detections' DESC, n_loaded DESC, model_id DESC
"""
_LEDGER = """
SELECT i.frame_offset, f.pts, i.status = 'loaded' AS loaded
FROM inferences i JOIN frames f USING (video_id, frame_offset)
WHERE i.video_id = $video_id AND i.model_digest = $model_digest
ORDER BY i.frame_offset
"""


def render(
    video: str = typer.Argument(..., metavar="VIDEO_OR_ID", help="an id (v_…), a file, or where it was seen"),
    out: Path = typer.Option(..., "--out", help="the .mp4 to write"),
    model: str = typer.Option(
        "", "--model", "-m", metavar="NAME[/VERSION]", help="default: detections, and of those the one with most frames"
    ),
    confidence: float | None = typer.Option(None, "--confidence", min=0, max=1, help="least confidence that is drawn"),
) -> None:
    """Write a video with what a model saw drawn in, in its own timing and with its sound; works with the stack down.

    Boxes, masks, points, looks, lines of text and classes can be drawn; vectors cannot.

    Example: framehouse render bikes.mp4 --out annotated.mp4
    """
    from framehouse.cli.output import begin, say
    from framehouse.cli.videos import find_video_id
    from framehouse.jobs.media import local_file
    from framehouse.render.annotate import annotate
    from framehouse.video.probe import probe

    settings = begin()
    video_id = find_video_id(settings, video)
    source = local_file(settings, video_id, video)
    threshold = settings.jobs.confidence if confidence is None else confidence
    model_id, inferred = _inferred(settings, video_id, model, threshold)
    index = probe(source, max_pixels=settings.source.max_pixels)
    with _bar(index.n_frames) as progress:
        n_frames = annotate(source, index, inferred, out.expanduser().absolute(), progress=progress)
    what = "boxes" if inferred.rows.kind == "detections" else inferred.rows.kind
    say(f"{out}: {n_frames} frames, {len(inferred.rows)} {what} of {model_id} in {len(inferred.pts)} inferred frames")


def _inferred(settings: Settings, video_id: str, model: str, confidence: float) -> tuple[str, Inferred]:
    """(model_id, rows) of one model of the video.

    Raises:
        ConfigError: code `config.nothing_to_draw`, no such model saw the video.
    """
    import numpy as np

    from framehouse.errors import ConfigError
    from framehouse.render.overlay import Inferred
    from framehouse.store.rows import video_rows

    models = _ask(settings, _MODELS, video_id=video_id, model=model)
    if not len(models["model_id"]):
        raise ConfigError(
            f"{video_id} has nothing that can be drawn" + (f" of {model}" if model else ""),
            code="config.nothing_to_draw",
            hint="run it first: framehouse run FILE",
        )
    key = {"video_id": video_id, "model_digest": str(models["model_digest"][0])}
    ledger = _ask(settings, _LEDGER, **key)
    rows = video_rows(
        settings.store_dir, str(models["kind"][0]), **key, confidence=confidence, memory=settings.store.query_memory
    )
    return str(models["model_id"][0]), Inferred(
        ledger["frame_offset"].astype(np.int64),
        ledger["pts"].astype(np.int64),
        ledger["loaded"].astype(np.bool_),
        rows,
    )


def _ask(settings: Settings, query: str, **params: Any) -> dict[str, Any]:
    """Columns of a query as numpy arrays, by name."""
    from framehouse.store.query import run_query

    result = run_query(settings.store_dir, query, params=params, max_rows=None, memory=settings.store.query_memory)
    return {name: result.table.column(i).to_numpy() for i, name in enumerate(result.columns)}


@contextmanager
def _bar(n_frames: int) -> Iterator[Callable[[int], None] | None]:
    """A function told after each frame, which draws a bar on stderr; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("frames", total=n_frames)
        yield lambda done: progress.update(task, completed=done)
