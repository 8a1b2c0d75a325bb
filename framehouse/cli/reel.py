"""`framehouse reel`: the moments of a question, cut together."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.analytics.reels import ReelMoment
    from framehouse.config import Settings
    from framehouse.store.archive import Archive
    from framehouse.video.splice import Laid, Piece


class Order(StrEnum):
    """In which order moments come."""

    TIME = "time"
    BEST = "best"


def reel(
    query: str = typer.Argument("", help="what to show, in words; or --ruleset, or --class"),
    out: Path = typer.Option(..., "--out", help="the .mp4 to write"),
    ruleset: str = typer.Option("", "--ruleset", metavar="ID|NAME", help="moments that a ruleset found"),
    kinds: list[str] = typer.Option([], "--kind", help="with --ruleset: only events of this kind; may be repeated"),
    class_name: str = typer.Option("", "--class", "-c", help="stays of an object of this class"),
    confidence: float | None = typer.Option(
        None, "--confidence", min=0, max=1, help="with --class; default: the jobs'"
    ),
    video: list[str] = typer.Option([], "--video", metavar="VIDEO", help="only from this video; may be repeated"),
    day: str = typer.Option("", "--day", metavar="YYYY-MM-DD", help="only videos recorded (else first seen) that day"),
    before_s: float = typer.Option(1.0, "--before", min=0, max=600, help="seconds before each moment"),
    after_s: float = typer.Option(1.0, "--after", min=0, max=600, help="seconds after each moment"),
    longest_s: float = typer.Option(10.0, "--longest", min=0.1, max=600, help="most seconds of one moment"),
    total_s: float = typer.Option(60.0, "--total", min=0.1, max=86400, help="most seconds of the reel"),
    order: Order = typer.Option(Order.TIME, "--order", help="by time, or the best first"),
    model: str = typer.Option("clip", "--model", help="which CLIP, for words"),
    sound: bool = typer.Option(True, "--sound/--no-sound", help="with the sources' sound"),
    as_json: bool = typer.Option(False, "--json", help="where each moment came from, machine-readable"),
) -> None:
    """Cut the moments of a question together: a highlight reel, or with --day the recap of a day.

    A chapter for each moment; a table says where each came from. Works with the stack down; needs the files.

    Example: framehouse reel "a car" --total 30 --out cars.mp4
    """
    from framehouse.analytics.reels import ReelRules, plan_reel, reel_size
    from framehouse.cli.output import begin, emit_json, emit_text, say, table_text
    from framehouse.errors import ConfigError
    from framehouse.results.opening import open_lake
    from framehouse.store.archive import open_archive
    from framehouse.video.splice import splice

    asked = [name for name, given in (("QUERY", query), ("--ruleset", ruleset), ("--class", class_name)) if given]
    if len(asked) != 1:
        raise ConfigError(
            "one of QUERY, --ruleset and --class is needed", code="config.reel",
            hint='for example: framehouse reel "a car" --out cars.mp4',
        )  # fmt: skip
    target = out.expanduser().absolute()
    if target.suffix.lower() != ".mp4":
        raise ConfigError(f"{out}: an .mp4 is written", code="config.output", hint="name it so: --out reel.mp4")
    settings = begin()
    lake = open_lake(*settings.lake_place)
    with open_archive(settings.store_dir, memory=settings.store.query_memory, lake=lake) as archive:
        videos = _videos(settings, archive, video, day)
        sure = settings.jobs.confidence if confidence is None else confidence
        moments = _moments(settings, archive, [*videos], (query, ruleset, class_name), kinds, model, sure)
    rules = ReelRules(before_s, after_s, 0.5, longest_s, total_s, order.value)
    chosen, pieces = _at_hand(settings, plan_reel(moments, videos, rules))
    if not pieces:
        raise ConfigError(
            "no moment to show", code="config.nothing_to_show", hint="try other words, or --before and --after"
        )
    if target in {piece.path for piece in pieces}:
        raise ConfigError(f"{out} is one of the sources", code="config.output", hint="choose another --out")
    size = reel_size([piece.index.stream.size for piece in pieces])
    laid = splice(pieces, target, size, sound=sound)
    rows = [_row(moment, piece, lay) for moment, piece, lay in zip(chosen, pieces, laid, strict=True)]
    if as_json:
        emit_json(rows)
    else:
        emit_text(table_text(*_table(rows)))
    n_gaps = sum(lay.n_gaps for lay in laid)
    if n_gaps:
        say(f"{n_gaps} frames could not be decoded: the one before each stands")
    heard = "with sound" if any(lay.has_sound for lay in laid) else "no sound"
    say(f"{out}: {laid[-1].end_s:.1f} s, {len(laid)} moments, {size[0]} x {size[1]}, {heard}")


def _videos(settings: Settings, archive: Archive, named: Sequence[str], day: str) -> dict[str, float]:
    """Length of each video that may be shown, in order of time."""
    from framehouse.cli.videos import find_video_id
    from framehouse.jobs.reels import videos_in_order

    only = {find_video_id(settings, text) for text in named}
    seen = set(archive.video_ids())
    ordered = [one for one in videos_in_order(settings, day) if one in seen and (not only or one in only)]
    return {video_id: archive.video(video_id).duration_s for video_id in ordered}


def _moments(
    settings: Settings, archive: Archive, videos: Sequence[str], asked: tuple[str, str, str], kinds: Sequence[str],
    model: str, confidence: float,
) -> list[ReelMoment]:  # fmt: skip
    from framehouse.cli.output import say
    from framehouse.jobs.reels import moments_of_class, moments_of_query, moments_of_ruleset

    query, ruleset, class_name = asked
    if not videos:
        return []
    if ruleset:
        assert archive.lake is not None
        return moments_of_ruleset(archive.lake, ruleset, kinds, videos)
    if class_name:
        return moments_of_class(archive, class_name, confidence, videos)
    found, notes = moments_of_query(settings, query, model, videos)
    for note in notes:
        say(note)
    return found


def _at_hand(settings: Settings, chosen: Sequence[ReelMoment]) -> tuple[list[ReelMoment], list[Piece]]:
    """Moments whose video lies on this machine; one line on stderr for each video that does not."""
    from framehouse.cli.output import say
    from framehouse.cli.rulings import clock
    from framehouse.errors import FramehouseError
    from framehouse.jobs.media import local_file
    from framehouse.video.probe import probe
    from framehouse.video.splice import Piece

    files: dict[str, Any] = {}
    for video_id in dict.fromkeys(moment.video_id for moment in chosen):
        try:
            path = local_file(settings, video_id)
            files[video_id] = (path, probe(path, max_pixels=settings.source.max_pixels))
        except FramehouseError as error:
            say(f"left out: {error.line()}")
    kept = [moment for moment in chosen if moment.video_id in files]
    pieces = []
    for moment in kept:
        path, index = files[moment.video_id]
        title = f"{path.name} {clock(moment.start_s)} {moment.why}"
        pieces.append(Piece(path, index, moment.start_s, moment.end_s, title))
    return kept, pieces


def _row(moment: ReelMoment, piece: Piece, lay: Laid) -> dict[str, Any]:
    return {
        "at_s": round(lay.start_s, 4), "end_s": round(lay.end_s, 4), "video_id": moment.video_id,
        "video": piece.path.name, "from_s": round(moment.start_s, 4), "to_s": round(moment.end_s, 4),
        "score": round(moment.score, 4), "why": moment.why, "n_frames": lay.n_frames, "n_gaps": lay.n_gaps,
        "has_sound": lay.has_sound,
    }  # fmt: skip


def _table(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    from framehouse.cli.rulings import clock

    return ["at", "video", "from", "to", "score", "why"], [
        [clock(row["at_s"]), row["video"], clock(row["from_s"]), clock(row["to_s"]), round(row["score"], 3), row["why"]]
        for row in rows
    ]
