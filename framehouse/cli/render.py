"""`framehouse render`: a video with things covered, lit up, or drawn in."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.rulings import Classes

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.render.compose import Step, Written
    from framehouse.render.redact import Redaction
    from framehouse.store.archive import Archive
    from framehouse.video.index import VideoIndex


class StyleName(enum.StrEnum):
    """How something is covered."""

    PIXELATE = "pixelate"
    BLUR = "blur"
    SOLID = "solid"


class ShapeName(enum.StrEnum):
    """What of it is covered."""

    BOX = "box"
    MASK = "mask"


@dataclass(slots=True)
class _Work:
    """What is asked of a video, being turned into steps. `said`: for people, a piece per step."""

    settings: Settings
    archive: Archive
    video_id: str
    index: VideoIndex
    steps: list[Step] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    redaction: Redaction | None = None


def render(
    video: str = typer.Argument(..., metavar="VIDEO_OR_ID", help="an id (v_…), a file, or where it was seen"),
    out: Path = typer.Option(..., "--out", help="the .mp4 to write"),
    blur: list[str] | None = typer.Option(
        None, "--blur", metavar="CLASS", help="cover this class; `face` and `text` too; again for more"
    ),
    style: StyleName | None = typer.Option(None, "--style", help="of covering; default: text solid, else pixelate"),
    shape: ShapeName = typer.Option(ShapeName.BOX, "--shape", help="mask: follow outlines where a model gave them"),
    reach_s: float | None = typer.Option(
        None, "--reach", min=0, metavar="SECONDS", help="inferred frames further apart leave what is between unknown"
    ),
    audit: Path | None = typer.Option(None, "--audit", help="write what was covered and why to this .json or .csv"),
    highlight: list[str] | None = typer.Option(
        None, "--highlight", metavar="CLASS", help="dim everything but this class; again for more"
    ),
    model: list[str] | None = typer.Option(
        None, "--model", "-m", metavar="NAME[/VERSION]", help="draw what it saw; again for more; default: detections"
    ),
    gaze: bool = typer.Option(False, "--gaze", help="draw where people look; as --model gaze"),
    tracks: bool = typer.Option(False, "--tracks", help="draw objects with the numbers and trails of their tracks"),
    line: list[str] | None = typer.Option(
        None, "--line", "-l", metavar="[NAME=]x1,y1,x2,y2", help="draw a line with its count so far; as in `lines`"
    ),
    zone: list[str] | None = typer.Option(
        None, "--zone", "-z", metavar="[NAME=]x1,y1,x2,y2,x3,y3…", help="draw an area and how many are inside"
    ),
    classes: Classes = None,
    confidence: float | None = typer.Option(
        None,
        "--confidence",
        min=0,
        max=1,
        help="least confidence; default: all that is stored where things are covered",
    ),
    mute: bool = typer.Option(False, "--mute", help="leave the sound out"),
) -> None:
    """Write a copy of a video in its own timing and with its sound: what a model saw drawn in, or things covered.

    Covering is fail-closed: what no model could speak for (gaps, frames not inferred, a model that never ran) is
    covered whole, and told. Nothing else of the file comes along: no metadata, subtitles or cover. Works with the stack
    down.

    Example: framehouse render bikes.mp4 --blur face --blur person --audit covered.json --out redacted.mp4

    Example: framehouse render bikes.mp4 --tracks --line 0.5,0,0.5,1 --class person --out counted.mp4
    """
    from framehouse.cli.output import begin, say
    from framehouse.cli.videos import find_video_id
    from framehouse.jobs.media import local_file
    from framehouse.render.compose import check_out, compose
    from framehouse.store.archive import open_archive
    from framehouse.video.probe import probe

    settings, target = begin(), out.expanduser().absolute()
    video_id = find_video_id(settings, video)
    source = local_file(settings, video_id, video)
    check_out(target, source)
    _check_audit(audit, blur)
    index = probe(source, max_pixels=settings.source.max_pixels)
    threshold = settings.jobs.confidence if confidence is None else confidence
    with open_archive(settings.store_dir, memory=settings.store.query_memory) as archive:
        work = _Work(settings, archive, video_id, index)
        if blur:
            _cover(work, blur, style, shape, reach_s, confidence or 0.0)
        if highlight:
            _light(work, highlight, threshold)
        if tracks or line or zone:
            _follow(work, tracks, line or (), zone or (), classes or (), threshold)
        layers = [*(model or ()), *(["gaze"] if gaze else [])]
        for wanted in layers or ([] if work.steps else [""]):
            _draw(work, wanted, threshold)
    with _bar(index.n_frames) as progress:
        written = compose(source, index, work.steps, target, sound="none" if mute else "keep", progress=progress)
    if work.redaction is not None:
        _tell_lost(work, work.redaction)
        if audit is not None:
            _write_audit(work, written, audit, target)
    if written.left_out:
        say(f"{len(written.left_out)} frames do not decode and are left out")
    say(f"{out}: {written.n_frames} frames, {'; '.join(work.said)}")


def _check_audit(audit: Path | None, blur: Sequence[str] | None) -> None:
    from framehouse.errors import ConfigError

    if audit is not None and not blur:
        raise ConfigError("--audit lists what --blur covers", code="config.output", hint="name a class: --blur person")
    if audit is not None and audit.suffix.lower() not in (".json", ".csv"):
        raise ConfigError(f"{audit}: an audit list is .json or .csv", code="config.output", hint="name it .json")


def _cover(
    work: _Work, classes: Sequence[str], style: StyleName | None, shape: ShapeName, reach_s: float | None, least: float
) -> None:
    from framehouse.analytics.drawing import seconds, wishes
    from framehouse.render.redact import Redactor, plan_redaction
    from framehouse.render.regions import Growth

    size = work.index.stream.size
    found = wishes(
        work.archive,
        work.video_id,
        classes,
        _labels(work.settings),
        style=style.value if style else None,
        confidence=least,
    )
    plan = plan_redaction(found, seconds(work.index), size, growth=Growth(), reach_s=reach_s, shape=shape.value)
    work.redaction = plan
    work.steps.append(Redactor(plan, size))
    for wish in found:
        n = sum(len(source.sightings) for source in wish.sources)
        models = ", ".join(source.model_id for source in wish.sources) or "no model"
        work.said.append(f"{wish.what} covered by {n} sightings of {models}")


def _light(work: _Work, classes: Sequence[str], least: float) -> None:
    from framehouse.analytics.drawing import seconds, wishes
    from framehouse.render.highlight import Highlighter

    found = wishes(work.archive, work.video_id, classes, _labels(work.settings), confidence=least)
    sources = [source for wish in found for source in wish.sources]
    work.steps.append(Highlighter(sources, seconds(work.index), work.index.stream.size))
    n = sum(len(source.sightings) for source in sources)
    work.said.append(f"{', '.join(classes)} lit up from {n} sightings")


def _draw(work: _Work, wanted: str, least: float) -> None:
    from framehouse.analytics.drawing import inferred, layer
    from framehouse.render.annotate import Marks

    model = layer(work.archive, work.video_id, wanted)
    seen = inferred(work.archive, model, work.index, least)
    work.steps.append(Marks(work.index, seen))
    what = "boxes" if seen.rows.kind == "detections" else seen.rows.kind
    work.said.append(f"{len(seen.rows)} {what} of {model.model_id} in {len(seen.pts)} inferred frames")


def _follow(
    work: _Work, tracks: bool, line: Sequence[str], zone: Sequence[str], classes: Sequence[str], least: float
) -> None:
    """Tracks, lines and zones: the same tracks that `framehouse lines` counts."""
    from framehouse.analytics.drawing import seconds
    from framehouse.analytics.lines import LINES
    from framehouse.analytics.tracked import TrackedParams, tracked
    from framehouse.analytics.watched import places, step_s, ways
    from framehouse.cli.lines import shape
    from framehouse.render.trails import Places, Trails

    video, second = work.archive.video(work.video_id), seconds(work.index)
    if tracks:
        seen = tracked(work.archive, video, TrackedParams(classes=tuple(classes), confidence=least))
        found = ways(seen, "bottom")
        work.steps.append(Trails(found, second, 2.5 * step_s(seen)))
        work.said.append(f"{len(found)} tracks of {seen.model.model_id}")
    if line or zone:
        values = {"lines": [shape(text) for text in line], "zones": [shape(text) for text in zone]}
        params = LINES.check({**values, "classes": classes, "confidence": least})
        drawn = places(work.archive, video, params, LINES.ruleset(params))
        work.steps.append(Places(drawn, second))
        work.said += [place.count(float(second[-1])) for place in drawn]


def _labels(settings: Settings) -> dict[str, Sequence[str]]:
    """Class names of the installed models by digest."""
    from framehouse.inference.repository import load_specs

    return {spec.digest: spec.labels for spec in load_specs(settings.model_repositories).values()}


def _tell_lost(work: _Work, redaction: Redaction) -> None:
    """Say what was covered whole, and what to do about it."""
    from framehouse.cli.output import say
    from framehouse.render.redact import NEVER_RAN
    from framehouse.render.regions import NOT_INFERRED

    whole = int(redaction.whole.sum())
    if not whole:
        return
    say(f"{whole} of {len(redaction.whole)} frames were not analysed and are covered whole:")
    counted: dict[tuple[str, str], int] = {}
    for lost in redaction.lost:
        key = (lost.what, lost.why)
        counted[key] = counted.get(key, 0) + lost.last_frame - lost.first_frame + 1
    advice = {
        NEVER_RAN: "run a model that knows it: framehouse models list",
        NOT_INFERRED: "run more frames a second (--fps), or accept wider steps with --reach",
    }
    for (what, why), n_frames in counted.items():
        say(f"  {what}: {n_frames} frames, {why} ({advice.get(why, 'framehouse backfill --failed')})")


def _write_audit(work: _Work, written: Written, path: Path, out: Path) -> None:
    from framehouse import ids
    from framehouse.analytics.drawing import seconds
    from framehouse.render.audit import as_csv, as_json, entries
    from framehouse.results.files import write_whole

    plan = work.redaction
    assert plan is not None
    found = entries(plan, seconds(work.index), work.index.stream.size, written.left_out)
    if path.suffix.lower() == ".csv":
        text = as_csv(found)
    else:
        header: dict[str, Any] = {
            "video_id": work.video_id, "out": out.name,
            "out_sha256": ids.content_sha256(out), "width": work.index.stream.width,
            "height": work.index.stream.height, "n_frames": work.index.n_frames, "n_written": written.n_frames,
            "n_whole": int(plan.whole.sum()), "shape": plan.shape,
            "covered": [
                {
                    "what": covered.what, "style": covered.style, "model_id": covered.source.model_id,
                    "model_digest": covered.source.model_digest, "n_sightings": len(covered.source.sightings),
                }
                for covered in plan.covered
            ],
        }  # fmt: skip
        text = as_json(header, found)
    write_whole(path.expanduser().absolute(), text.encode())


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
