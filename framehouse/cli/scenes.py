"""`framehouse scenes`: shots, scenes, and where an advertisement disturbs least."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.rulings import Against, All, AsJson, DryRun, Name, Videos

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Ruled
    from framehouse.cli.rulings import Rows
    from framehouse.config import Settings
    from framehouse.store.archive import Archive


def scenes(
    videos: Videos = None,
    all_: All = False,
    show: str = typer.Option("points", "--show", metavar="points|scenes|shots|cuts", help="what the table lists"),
    top: int = typer.Option(10, "--top", min=0, help="most insertion points"),
    weights: list[str] | None = typer.Option(
        None, "--weight", "-w", metavar="REASON=N", help="of change, calm, faces, silence or distance; 1 each; 0: none"
    ),
    spacing_s: float = typer.Option(60.0, "--spacing", min=0, help="seconds between points that have full marks"),
    apart_s: float = typer.Option(0.0, "--apart", min=0, help="least seconds between two points"),
    edge_s: float = typer.Option(2.0, "--edge", min=0, help="least seconds from the start and the end"),
    silence_db: float = typer.Option(-50.0, "--silence", min=-100, max=0, help="at or below so many dB it is silence"),
    fps: str = typer.Option("", "--fps", metavar="N|all", help="frames of each second to look at; default: all"),
    by: str = typer.Option("auto", "--by", metavar="auto|frames|embeddings", help="auto: embeddings without the file"),
    param: list[str] | None = typer.Option(
        None, "--param", metavar="NAME=VALUE", help="any other parameter: cut_ratio, cut_level, scene_alike …"
    ),
    name: Name = "",
    against: Against = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Shots and scenes of videos, and ranked points for advertisements, each with its reasons.

    The file is decoded once, without a model; what it looks like is kept, so other parameters answer at once. Faces
    come from the models that were run. Where the file is not at hand, embeddings of sampled frames have to do.

    Example: framehouse scenes bikes.mp4 --weight silence=2 --spacing 30
    """
    from framehouse.cli.rulings import Asked, rule

    values = {
        "top": top, "spacing_s": spacing_s, "apart_s": apart_s, "edge_s": edge_s, "silence_db": silence_db, "by": by,
        **_weights(weights or []), **_values(param or []),
    }  # fmt: skip
    rows_of = _TABLES.get(show)
    if rows_of is None:
        from framehouse.errors import ConfigError

        raise ConfigError(
            f"--show {show}: nothing is called so", code="config.scenes", hint="points, scenes, shots or cuts"
        )
    asked = Asked(videos, all_, name, against, dry_run, as_json)
    rule("scenes", values, asked, rows_of, before=lambda *told: None if by == "embeddings" else look(*told, fps=fps))


def look(settings: Settings, archive: Archive, chosen: Mapping[str, str], *, fps: str = "") -> None:
    """Look at the videos that were not looked at before; one line on stderr for each that cannot be."""
    from framehouse.cli.output import say
    from framehouse.jobs.sights import ensure_sight

    assert archive.lake is not None
    for video_id, named in chosen.items():
        video = archive.video(video_id)
        with _bar(video.name) as progress:
            told = ensure_sight(settings, archive.lake, video_id, named=named, fps=fps, progress=progress)
        if told:
            say(f"{video.name}: not looked at: {told}")


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function told (done, total), which draws a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"looking at {title}", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _weights(given: list[str]) -> dict[str, float]:
    from framehouse.analytics.insertion import REASONS

    return {f"weight_{name}": number for name, number in (weight_of(text, REASONS, "config.scenes") for text in given)}


def weight_of(text: str, names: Sequence[str], code: str) -> tuple[str, float]:
    """NAME=N of `--weight`; raises ConfigError for a name that is none, or no number."""
    from framehouse.errors import ConfigError

    name, _, number = text.partition("=")
    if name not in names:
        raise ConfigError(f"--weight {text}: nothing is called so", code=code, hint=f"one of {', '.join(names)}")
    try:
        return name, float(number)
    except ValueError:
        raise ConfigError(f"--weight {text}: not a number", code=code, hint=f"for example: {name}=0.5") from None


def _values(given: list[str]) -> dict[str, Any]:
    """NAME=VALUE as numbers where they are numbers; the use checks them."""
    found: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value) if "." in value else int(value)
        except ValueError:
            found[name] = value
    return found


# --- tables ---------------------------------------------------------------------------------------------------------


def _points(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import event_rows
    from framehouse.cli.rulings import clock

    rows = [event for event in event_rows(ruled.finding) if event["kind"] == "insertion_point"]
    rows.sort(key=lambda event: event["facts"]["rank"])
    table = []
    for event in rows:
        reasons = event["facts"]["reasons"]
        says = "; ".join(reason["says"] for reason in reasons.values())
        table.append(
            [
                event["facts"]["rank"],
                clock(event["time_offset_s"]),
                event["frame_offset"],
                round(event["score"], 3),
                says,
            ]
        )
    return ["rank", "at", "frame", "score", "reasons"], table


def _scenes(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import scene_rows
    from framehouse.cli.rulings import clock

    rows = scene_rows(ruled.finding)
    return ["scene", "from", "to", "first", "last", "shots", "begins with"], [
        [row["scene_id"], clock(row["start_s"]), clock(row["end_s"]), row["first_frame_offset"],
         row["last_frame_offset"], row["facts"]["n_shots"], row["facts"]["begins_with"]]
        for row in rows
    ]  # fmt: skip


def _shots(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import event_rows
    from framehouse.cli.rulings import clock

    rows = [event for event in event_rows(ruled.finding) if event["kind"] == "shot"]
    return ["shot", "scene", "from", "to", "seconds"], [
        [row["facts"]["shot"], row["facts"]["scene"], clock(row["time_offset_s"]), clock(row["end_s"]),
         round(row["end_s"] - row["time_offset_s"], 2)]
        for row in rows
    ]  # fmt: skip


def _cuts(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import event_rows
    from framehouse.cli.rulings import clock

    rows = [event for event in event_rows(ruled.finding) if event["kind"] == "scene_cut"]
    return ["at", "frame", "what", "from", "to", "between scenes", "sure"], [
        [clock(row["facts"]["at_s"]), row["frame_offset"], row["class_name"],
         None if row["end_s"] is None else clock(row["time_offset_s"]),
         None if row["end_s"] is None else clock(row["end_s"]), row["facts"]["between_scenes"], round(row["score"], 2)]
        for row in rows
    ]  # fmt: skip


_TABLES = {"points": _points, "scenes": _scenes, "shots": _shots, "cuts": _cuts}
