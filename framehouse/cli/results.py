"""`framehouse results`: the results JSON of a job."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Masks(StrEnum):
    """Forms of a mask."""

    POLYGON = "polygon"
    RLE = "rle"


class Vectors(StrEnum):
    """Forms of an embedding."""

    LIST = "list"
    DICT = "dict"


def results(
    job_id: str = typer.Argument(..., metavar="JOB_ID"),
    confidence: float | None = typer.Option(None, "--confidence", min=0, max=1, help="default: what the job asked for"),
    masks: Masks = typer.Option(Masks.POLYGON, "--masks", help="outline of an object, or all its pixels as COCO's rle"),
    embeddings: Vectors = typer.Option(Vectors.LIST, "--embeddings", help="plain vectors, or the dictionary form"),
    out: Path | None = typer.Option(None, "--out", help="write a file instead of stdout"),
) -> None:
    """Print the results of a job as JSON, one list per model, aligned with the frames; works with the stack down.

    Example: framehouse results j_01k9x0c2ve3v7q8y6p5m > results.json
    """
    from framehouse.cli.output import begin, emit_json
    from framehouse.results.elements.base import Forms
    from framehouse.store.job_results import job_results

    settings = begin()
    found = job_results(
        settings.store_dir,
        job_id,
        confidence=confidence,
        forms=Forms(masks.value, embeddings.value),
        memory=settings.store.query_memory,
    )
    emit_json(found, out, long=True)
