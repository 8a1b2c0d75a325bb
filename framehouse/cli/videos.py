"""`framehouse videos list | show | probe | label | forget`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.errors import SourceNotFound
    from framehouse.storage.base import LocalVideo
    from framehouse.video.index import VideoIndex

app = typer.Typer(no_args_is_help=True)

_LIST = """
SELECT video_id, duration_s, video_fps_text AS video_fps, n_frames, width, height, codec, uri
FROM videos ORDER BY first_seen_at DESC, video_id
"""
_SHOW = """
SELECT v.*, l.locations, c.models FROM videos v
LEFT JOIN (
    SELECT video_id, list({uri: uri, size_bytes: size_bytes, modified_at: modified_at, gone_at: gone_at}) AS locations
    FROM video_locations GROUP BY video_id
) l USING (video_id)
LEFT JOIN (
    SELECT video_id, list({model_id: model_id, n_planned: n_planned, n_loaded: n_loaded, n_gaps: n_gaps}) AS models
    FROM completeness GROUP BY video_id
) c USING (video_id)
WHERE v.video_id = ?
"""
_VIDEO_ID = re.compile(r"v_[0-9a-f]{24}")


@app.command("list")
def list_(
    limit: int = typer.Option(100, "--limit", min=1),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """List the videos that were seen, newest first; works with the stack down.

    Example: framehouse videos list --json
    """
    from framehouse.cli.output import Format, begin, emit_rows
    from framehouse.store.query import run_query

    settings = begin()
    result = run_query(settings.store_dir, _LIST, max_rows=limit, memory=settings.store.query_memory)
    emit_rows(result, Format.JSON if as_json else Format.TABLE, None)


@app.command()
def show(
    video: str = typer.Argument(..., metavar="VIDEO_OR_ID", help="an id (v_…), a file, or where it was seen"),
) -> None:
    """Show one video as JSON: facts, places, and what each model did with it.

    Example: framehouse videos show bikes.mp4
    """
    from framehouse.cli.output import begin, emit_json
    from framehouse.store.query import run_query

    settings = begin()
    video_id = find_video_id(settings, video)
    rows = run_query(settings.store_dir, _SHOW, params=[video_id], memory=settings.store.query_memory).records()
    if not rows:
        raise not_seen(video)
    emit_json(rows[0])


@app.command()
def probe(
    source: str = typer.Argument(..., metavar="FILE_OR_URL"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable, with the whole index"),
) -> None:
    """Read a video's index: true rate, key frames, rotation, damage. A URL is downloaded first.

    Example: framehouse videos probe bikes.mp4
    """
    from framehouse.cli.output import begin, emit_json, emit_text
    from framehouse.jobs.sources import open_video
    from framehouse.video.probe import probe as probe_file

    settings = begin()
    private = settings.source.allow_private_hosts
    local = open_video(source, settings, allow_private=private).fetch(settings.fetch_dir)
    index = probe_file(local.path, max_pixels=settings.source.max_pixels)
    facts = probe_facts(local, index)
    if as_json:
        emit_json(facts | {"pts": index.pts.tolist(), "key_frames": index.is_key.nonzero()[0].tolist()}, long=True)
    else:
        emit_text("".join(f"{name:<14}{value}\n" for name, value in _for_people(facts).items()))


@app.command()
def label(
    videos: list[str] = typer.Argument(None, metavar="VIDEO_OR_ID…", help="ids (v_…), files, or where they were seen"),
    given: list[str] = typer.Option([], "--set", metavar="NAME=VALUE", help="camera=3; may be repeated"),
    removed: list[str] = typer.Option([], "--remove", metavar="NAME", help="may be repeated"),
    under: str = typer.Option("", "--under", metavar="PLACE", help="every video seen below this folder or address"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Give videos labels, or take them away: column `labels` of `videos`, camera = labels['camera'] in SQL.

    Example: framehouse videos label --under /cctv/door --set camera=3
    """
    from framehouse.cli.output import begin, emit_json, emit_text
    from framehouse.errors import ConfigError
    from framehouse.jobs.submit import connect
    from framehouse.results.labels import change_labels
    from framehouse.results.opening import open_lake

    settings = begin()
    wanted = dict(_pair(text) for text in given)
    video_ids = [find_video_id(settings, video) for video in videos or []]
    if under:
        video_ids += videos_under(settings, under)
    if not video_ids:
        raise ConfigError("no video is named", code="config.label", hint="name videos, or --under PLACE")
    lake = open_lake(*settings.lake_place)
    for video_id in video_ids:
        if lake.read_video(video_id) is None:
            raise not_seen(video_id)
    found = {video_id: change_labels(lake, video_id, wanted, removed) for video_id in dict.fromkeys(video_ids)}
    state = connect(settings)
    state.request_videos(found)
    state.close()
    if as_json:
        emit_json([{"video_id": video_id, "labels": labels} for video_id, labels in found.items()])
        return
    for video_id, labels in found.items():
        emit_text(f"{video_id}  {' '.join(f'{name}={value}' for name, value in labels.items()) or 'no label'}\n")


@app.command()
def forget(
    video: str = typer.Argument(..., metavar="VIDEO_OR_ID", help="an id (v_…), a file, or where it was seen"),
    yes: bool = typer.Option(False, "--yes", help="do not ask"),
) -> None:
    """Remove everything that was learned of one video: rows, parts, plans, records, uploads and downloads of it.

    Your own file stays where it lies, and so does one in a bucket: a catalogue that lists it would run it again.

    Example: framehouse videos forget v_0f0f0f0f0f0f0f0f0f0f0f0f
    """
    from framehouse.cli.output import begin, say
    from framehouse.jobs.housekeeping import forget as forget_everything
    from framehouse.jobs.submit import connect

    settings = begin()
    video_id = find_video_id(settings, video)
    if not yes:
        typer.confirm(f"remove everything that was learned of {video_id}?", abort=True, err=True)
    state = connect(settings)
    done = forget_everything(settings, state, video_id)
    state.close()
    size = f"{done.n_bytes / 1e6:.1f} MB"
    say(f"gone: {done.n_jobs} jobs, {done.n_files} files, {size}; the rows go with the next publish")


def find_video_id(settings: Settings, text: str) -> str:
    """Id of a video named by its id, by a file here, or by a place where it was seen.

    Raises:
        SourceNotFound: none of these.
    """
    from framehouse.ids import video_id
    from framehouse.storage.local import LocalSource, uri_path
    from framehouse.store.query import run_query
    from framehouse.telemetry import redact_uri

    if _VIDEO_ID.fullmatch(text):
        return text
    is_url = "://" in text and not text.startswith("file://")
    if not is_url and (path := uri_path(text)).is_file():
        return video_id(LocalSource(path).fetch(settings.fetch_dir).sha256)
    rows = run_query(
        settings.store_dir,
        "SELECT video_id FROM video_locations WHERE uri = ?",
        params=[redact_uri(text)],
        memory=settings.store.query_memory,
    ).rows()
    if not rows:
        raise not_seen(text)
    return str(rows[0][0])


def videos_under(settings: Settings, place: str) -> list[str]:
    """Ids of the videos that were seen below a folder or an address, by place.

    Raises:
        SourceNotFound: none was.
    """
    from framehouse.storage.local import path_uri, uri_path
    from framehouse.store.query import run_query
    from framehouse.telemetry import redact_uri

    is_url = "://" in place and not place.startswith("file://")
    stem = (redact_uri(place) if is_url else path_uri(uri_path(place))).rstrip("/") + "/"
    rows = run_query(
        settings.store_dir,
        "SELECT video_id FROM video_locations WHERE starts_with(uri, ?) GROUP BY 1 ORDER BY min(uri)",
        params=[stem],
        memory=settings.store.query_memory,
    ).rows()
    if not rows:
        raise not_seen(stem)
    return [str(row[0]) for row in rows]


def _pair(text: str) -> tuple[str, str]:
    from framehouse.errors import ConfigError

    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"{text!r}: a label is given as NAME=VALUE", code="config.label", hint="--set camera=3")
    return name.strip(), value.strip()


def not_seen(text: str) -> SourceNotFound:
    """The error for a video that the snapshot does not hold."""
    from framehouse.errors import SourceNotFound
    from framehouse.telemetry import redact_uri

    shown = redact_uri(text)
    return SourceNotFound(f"{shown}: no such video was run", hint="see: framehouse videos list", uri=shown)


def probe_facts(local: LocalVideo, index: VideoIndex) -> dict[str, Any]:
    """What a probe tells, for machines; rates are fractions as text."""
    from framehouse.ids import video_id

    stream = index.stream
    return {
        "video_id": video_id(local.sha256),
        "uri": local.uri,
        "size_bytes": local.size_bytes,
        "container": stream.container,
        "codec": stream.codec,
        "width": stream.width,
        "height": stream.height,
        "rotation_deg": stream.rotation_deg,
        "timing": stream.timing,
        "time_base": str(stream.time_base),
        "first_pts": int(index.pts[0]),
        "video_fps": None if index.rate is None else str(index.rate),
        "n_frames": index.n_frames,
        "n_key_frames": int(index.is_key.sum()),
        "duration_s": index.duration_s,
        "recorded_at": index.recorded_at,
        "damage": list(index.damage),
    }


def _for_people(facts: dict[str, Any]) -> dict[str, Any]:
    from fractions import Fraction

    rate = facts["video_fps"]
    exact = "exact, from the container" if facts["timing"] == "exact" else "nominal: the format has no true times"
    return {
        "video": f"{facts['video_id']}  {facts['uri']}",
        "format": f"{facts['container']}, {facts['codec']}, {facts['size_bytes']} bytes",
        "picture": f"{facts['width']} x {facts['height']} upright, turned by {facts['rotation_deg']} degrees",
        "rate": "one frame" if rate is None else f"{float(Fraction(rate)):.6g} frames a second ({rate})",
        "index": f"{facts['n_frames']} frames, {facts['n_key_frames']} key frames, {facts['duration_s']:.3f} s",
        "timing": f"{exact}; first {facts['first_pts']} x {facts['time_base']} s",
        "recorded": facts["recorded_at"] or "not said",
        "damage": "; ".join(facts["damage"]) or "none found",
    }
