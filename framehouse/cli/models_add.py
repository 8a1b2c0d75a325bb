"""`framehouse models add`: a model trained elsewhere, recognised, tried, and served."""

from __future__ import annotations

import re
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import typer


class Pixels(StrEnum):
    """What the pixels of a network are; `imagenet`: 0..1 less the mean of ImageNet, divided by its deviation."""

    BYTES = "0..255"
    SHARES = "0..1"
    SIGNED = "-1..1"
    IMAGENET = "imagenet"


class Colour(StrEnum):
    """Order of the channels."""

    RGB = "rgb"
    BGR = "bgr"


def add(
    path: Path = typer.Argument(..., metavar="MODEL.onnx", help="an ONNX file; it is read, not kept"),
    name: str = typer.Option("", "--name", help="slug under which jobs ask for it; default: from the file's name"),
    version: int = typer.Option(0, "--version", min=0, help="version of the slug; default 1"),
    family: str = typer.Option("", "--family", help="what kind of network it is; default: found out"),
    labels: str = typer.Option("", "--labels", help="file with a class name a line, names by comma, or coco"),
    size: str = typer.Option("", "--size", metavar="N|WxH", help="pixels, for a file that takes pictures of any size"),
    pixels: Pixels | None = typer.Option(None, "--pixels", help="what its pixels are; default: the family's usual"),
    colour: Colour | None = typer.Option(None, "--colour", help="order of its channels; default: the family's usual"),
    vertical_first: bool = typer.Option(False, "--vertical-first", help="gaze: the vertical angle comes first"),
    title: str = typer.Option("", "--title", help="for the card"),
    licence: str = typer.Option("", "--licence", help="for the card; default: what the file says"),
    origin: str = typer.Option("", "--origin", help="for the card: where the weights come from"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Add your own model: an export of YOLO, YOLOX, RF-DETR, DETR, RT-DETR, a classifier or a gaze network.

    It is judged, wrapped, run once in a process of its own, and loaded into the running server without a restart.

    Example: framehouse models add forklifts.onnx --name forklifts
    """
    from framehouse.cli.models import load_into_server
    from framehouse.cli.output import begin, emit_json, emit_text, say
    from framehouse.inference.exports.add import add_model
    from framehouse.inference.exports.folder import Words

    settings = begin()
    added = add_model(
        path, roots=settings.model_repositories, added_dir=settings.added_models_dir, name=name,
        version=version or None, family=family, labels=_labels(labels), size=_size(size),
        values=pixels.value if pixels else "", colour=colour.value if colour else "", vertical_first=vertical_first,
        words=Words(title, origin, licence), max_bytes=settings.models.max_bytes,
    )  # fmt: skip
    for warning in added.warnings:
        say(f"note: {warning}")
    loaded = load_into_server(settings, added.triton_models)
    if as_json:
        emit_json({**asdict(added), "folder": str(added.folder), "loaded": loaded})
        return
    width, height = added.input_size
    state = "was here already" if added.already else f"{added.ms:.0f} ms a picture in one thread"
    emit_text(
        f"{added.model_id}: {added.layout} (seen in its {added.seen_in}), {added.kind}, {width} x {height}, "
        f"{added.n_classes} classes, {state}\n"
    )
    say("loaded into the running server" if loaded else "it will be loaded when a job first asks for it")


def _labels(text: str) -> tuple[str, ...]:
    """Names out of a file, or by comma; a known list's name alone is itself.

    Raises:
        ConfigError: code `models.labels`, the file is no text.
    """
    from framehouse.errors import ConfigError

    if not text:
        return ()
    path = Path(text)
    if path.is_file():
        try:
            return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        except ValueError as error:
            raise ConfigError(f"{path} is no text in UTF-8", code="models.labels", hint="a name a line") from error
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _size(text: str) -> tuple[int, int] | None:
    """(width, height) of `640` or `640x384`; None of nothing.

    Raises:
        ConfigError: code `models.size`.

    >>> _size("640"), _size("640x384"), _size("")
    ((640, 640), (640, 384), None)
    """
    from framehouse.errors import ConfigError

    if not text:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if found is None:
        raise ConfigError(f"{text[:40]!r} is no size", code="models.size", hint="--size 640, or --size 640x384")
    return int(found[1]), int(found[2] or found[1])
