"""`framehouse compare`: how like texts and pictures each frame of a video is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framehouse.jobs.prompts import Asked


def compare(
    video: str = typer.Argument(..., metavar="VIDEO_OR_ID", help="an id (v_…), a file, or where it was seen"),
    texts: list[str] = typer.Argument(None, metavar="[TEXT]...", help="what to compare with, in words"),
    image: Path | None = typer.Option(None, "--image", help="compare with a picture instead"),
    as_labels: bool = typer.Option(False, "--labels", help="the texts are classes, one of which is right: tag frames"),
    model: str = typer.Option("clip", "--model", help="which CLIP"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Compare the frames that CLIP has seen with texts or a picture: cosines, or with --labels how likely each is.

    It needs the stack, for the vectors of the texts; those of the frames are stored.

    Example: framehouse compare shapes.mp4 "a red circle" "a blue square"
    """
    from framehouse.cli.output import begin, emit_json, emit_text, say, table_text
    from framehouse.cli.videos import find_video_id
    from framehouse.errors import StoreError
    from framehouse.inference.repository import load_specs, resolve
    from framehouse.jobs.prompts import embed, not_trained_on, server
    from framehouse.store.search import Place, frame_vectors

    settings = begin()
    asked = _asked(tuple(texts or ()), image, as_labels=as_labels)
    spec = resolve(load_specs(settings.model_repositories), model)
    place = Place(settings.store_dir, timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory)
    stored = frame_vectors(place, find_video_id(settings, video), spec.digest)
    if not len(stored.frame_offset):
        raise StoreError(
            f"{video} has no embeddings of {spec.model_id}", code="search.nothing_indexed",
            hint=f"run it first: framehouse run FILE --model {spec.slug}",
        )  # fmt: skip
    found, unknown = embed(server(settings), spec, asked, settings)
    if unknown:
        say(not_trained_on(spec, unknown))
    scores = _scores(stored.embedding, found)
    if as_json:
        emit_json({
            "model_id": spec.model_id, "way": "labels" if as_labels else "similarity", "names": list(found.names),
            "frames": [
                {"frame_offset": frame, "time_offset": round(time_s, 4), "scores": row}
                for frame, time_s, row in zip(
                    stored.frame_offset.tolist(), stored.time_offset_s.tolist(), scores, strict=True
                )
            ],
        })  # fmt: skip
        return
    rows: list[list[Any]] = [
        [frame, round(time_s, 2), *(round(score, 3) for score in row)]
        for frame, time_s, row in zip(stored.frame_offset.tolist(), stored.time_offset_s.tolist(), scores, strict=True)
    ]
    emit_text(table_text(["frame", "time_s", *found.names], rows))


def _asked(texts: tuple[str, ...], image: Path | None, *, as_labels: bool) -> Asked:
    """Raises ConfigError, code `search.empty`."""
    from framehouse.cli.search import read_picture
    from framehouse.errors import ConfigError
    from framehouse.jobs.prompts import Asked

    if (image is None) == (not texts):
        raise ConfigError("texts, or --image, but one of them", code="search.empty", hint="framehouse compare --help")
    if image is not None:
        return Asked("list", (image.name,), pictures=(read_picture(image),))
    return Asked("labels" if as_labels else "list", texts, texts)


def _scores(embedding: NDArray[Any], found: Any) -> list[list[float]]:
    """A row for each frame, a number for each name."""
    import numpy as np

    from framehouse.results.elements.base import shortest
    from framehouse.results.vectors import compare, zero_shot

    asked = np.array(found.vectors, np.float32)
    scores = zero_shot(embedding, asked, found.logit_scale) if found.form == "labels" else compare(embedding, asked)
    return [shortest(row) for row in scores]
