"""`framehouse models add`: a model trained elsewhere, recognised, tried, and served."""

from __future__ import annotations

from pathlib import Path

import typer


def add(
    path: Path = typer.Argument(..., metavar="MODEL.onnx", help="an ONNX file; it is read, not kept"),
    name: str = typer.Option("", "--name", help="slug under which jobs ask for it; default: from the file's name"),
    version: int = typer.Option(0, "--version", min=0, help="version of the slug; default 1"),
    family: str = typer.Option("", "--family", help="what kind of network it is; default: found out"),
    labels: str = typer.Option("", "--labels", help="file with a class name a line, names by comma, or coco"),
    vertical_first: bool = typer.Option(False, "--vertical-first", help="gaze: the vertical angle comes first"),
) -> None:
    """Add your own model: an export of YOLO, YOLOX, RF-DETR, DETR, RT-DETR, a classifier or a gaze network.

    It is judged, wrapped, run once in a process of its own, and loaded into the running server without a restart.

    Example: framehouse models add forklifts.onnx --name forklifts
    """
    from framehouse.cli.models import load_into_server
    from framehouse.cli.output import begin, emit_text, say
    from framehouse.inference.exports.add import add_model

    settings = begin()
    added = add_model(
        path, roots=settings.model_repositories, added_dir=settings.added_models_dir, name=name,
        version=version or None, family=family, labels=_labels(labels), vertical_first=vertical_first,
        max_bytes=settings.models.max_bytes,
    )  # fmt: skip
    for warning in added.warnings:
        say(f"note: {warning}")
    width, height = added.input_size
    state = "was here already" if added.already else f"{added.ms:.0f} ms a picture in one thread"
    emit_text(
        f"{added.model_id}: {added.layout} (seen in its {added.seen_in}), {added.kind}, {width} x {height}, "
        f"{added.n_classes} classes, {state}\n"
    )
    loaded = load_into_server(settings, added.triton_models)
    say("loaded into the running server" if loaded else "it will be loaded when a job first asks for it")


def _labels(text: str) -> tuple[str, ...]:
    """Names out of a file, or by comma; a known list's name alone is itself."""
    if not text:
        return ()
    path = Path(text)
    if path.is_file():
        return tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    return tuple(part.strip() for part in text.split(",") if part.strip())
