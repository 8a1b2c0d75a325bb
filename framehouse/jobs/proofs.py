"""Proof frames of a finding: the frame of each event, cut from the video, with what the event is about marked."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import structlog

from framehouse.config import Settings
from framehouse.errors import ConfigError, MediaError, SourceNotFound
from framehouse.jobs.media import local_file
from framehouse.render.proof import proof, proof_name
from framehouse.render.stills import as_jpeg, still
from framehouse.results.files import write_whole
from framehouse.results.findings import Events
from framehouse.store.archive import Video
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe

log = structlog.get_logger(__name__)


def write_proofs(
    folder: Path, video: Video, events: Events, kinds: Collection[str], settings: Settings, named: Sequence[str] = ()
) -> dict[int, str]:
    """A JPEG for each event of some kinds: index of the event -> name of its file in the folder.

    An event whose frame does not decode has none. Nothing is written, and the video is not looked for, where there is
    no such event.

    Args:
        events: with `boxes`, `labels` and `reason` in their facts.
        named: files or places that the video was asked by, to be looked at first.

    Raises:
        SourceNotFound: the video's file is not on this machine.
        ConfigError: code `config.output`, the folder cannot be written to.
        MediaError: the file cannot be read any more.
    """
    shown = [i for i in range(len(events)) if events.kind[i] in kinds and events.frame_offset[i] >= 0]
    if not shown:
        return {}
    source = _file_of(video, settings, named)
    index = probe(source, max_pixels=settings.source.max_pixels)
    names: dict[int, str] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for i in shown:
            if content := _picture(source, index, events, i):
                what = str(events.class_name[i] or events.kind[i])
                start_s, frame = float(events.start_s[i]), int(events.frame_offset[i])
                names[i] = proof_name(video.name, video.video_id, what, start_s, frame)
                write_whole(folder / names[i], content)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}", code="config.output", hint="choose another --proof") from error
    return names


def _file_of(video: Video, settings: Settings, named: Sequence[str]) -> Path:
    for place in named:
        try:
            return local_file(settings, video.video_id, place)
        except SourceNotFound:
            continue
    return local_file(settings, video.video_id)


def _picture(source: Path, index: VideoIndex, events: Events, i: int) -> bytes:
    facts: dict[str, Any] = json.loads(events.facts[i])
    frame_offset = int(events.frame_offset[i])
    try:
        picture = still(source, index, frame_offset)
    except MediaError as error:
        if error.code != "media.frame_gap":
            raise
        log.warning("no proof frame", frame_offset=frame_offset, reason=error.message)
        return b""
    what = str(events.class_name[i] or events.kind[i])
    end_s, start_s = float(events.end_s[i]), float(events.start_s[i])
    frame_s = float((index.pts[frame_offset] - index.pts[0]) * index.stream.time_base)
    lines = [f"{what}: {facts.get('reason', '')}", f"{start_s:.1f} to {end_s:.1f} s; this frame at {frame_s:.2f} s"]
    return as_jpeg(proof(picture, facts.get("boxes", []), _labels(facts), lines))


def _labels(facts: dict[str, Any]) -> list[str]:
    labels, scores = facts.get("labels", []), facts.get("scores")
    if scores is None:
        return [str(label) for label in labels]
    return [f"{label} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
