"""Chunks that are not run beside others any more, because they killed every process that had them alone.

One small JSON file each under `lake/quarantine/`, with what is needed to see it happen again. Under `lake/suspects/`,
until it is settled, what is held against a chunk so far: a run that dies takes no evidence with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from framehouse.results.lake import Lake

log = structlog.get_logger(__name__)

QUARANTINED = "decode.quarantined"
"""Reason of the gaps of such a chunk."""


@dataclass(frozen=True, slots=True)
class DeathNote:
    """How one process ended that had only this chunk."""

    cause: str
    after_s: float
    said: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What is known of such a chunk.

    Attributes:
        start_s, end_s: seconds of the video that it covers.
        frames: frame_offsets that were planned in it.
        models: model_id -> model digest.
        versions: package -> version, of what decodes and infers.
        command: shows it again, alone.
        at: ISO 8601 UTC.
    """

    video_id: str
    chunk_id: str
    job_id: str
    path: str
    start_s: float
    end_s: float
    frames: tuple[int, ...]
    models: dict[str, str]
    triton_url: str
    deaths: tuple[DeathNote, ...]
    versions: dict[str, str]
    command: str
    at: str = ""

    @property
    def name(self) -> str:
        """`<video>/<chunk>`: what commands take."""
        return f"{self.video_id}/{self.chunk_id}"


def quarantine_path(lake: Lake, video_id: str, chunk_id: str) -> Path:
    """File of a quarantined chunk."""
    return lake.root / "quarantine" / video_id / f"{chunk_id}.json"


def put_in_quarantine(lake: Lake, chunk: Quarantined) -> Path:
    """Store what is known of a chunk; replaces what was. Raises StoreError `store.disk_full`."""
    values = asdict(chunk) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    path = quarantine_path(lake, chunk.video_id, chunk.chunk_id)
    lake.write_bytes(path, json.dumps(values, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return path


def quarantined_chunks(lake: Lake, video_id: str) -> set[str]:
    """Ids of the chunks of a video that are there."""
    return {path.stem for path in lake.paths(lake.root / "quarantine" / video_id)}


def release(lake: Lake, video_id: str, chunk_id: str) -> bool:
    """Forget about a chunk; False when nothing was known."""
    path = quarantine_path(lake, video_id, chunk_id)
    existed = lake.has(path)
    lake.delete(path)
    return existed


def note_suspect(lake: Lake, video_id: str, chunk_id: str, deaths: Sequence[DeathNote]) -> None:
    """Hold against a chunk that a worker died that had it, and these deaths of processes that had it alone.

    Raises:
        StoreError: `store.disk_full`.
    """
    path = _suspect_path(lake, video_id, chunk_id)
    lake.write_bytes(path, json.dumps([asdict(death) for death in deaths]).encode("utf-8", "surrogatepass"))


def suspects(lake: Lake, video_id: str) -> dict[str, tuple[DeathNote, ...]]:
    """Chunks of a video that something is held against, with the deaths; a note that cannot be read counts as none."""
    found = {}
    for path in lake.paths(lake.root / "suspects" / video_id):
        try:
            notes = json.loads((lake.read_bytes(path) or b"").decode("utf-8", "surrogatepass"))
            found[path.stem] = tuple(DeathNote(**note) for note in notes)
        except (ValueError, TypeError) as error:
            log.warning("note on a suspect cannot be read", path=str(path), error=type(error).__name__)
    return found


def clear_suspect(lake: Lake, video_id: str, chunk_id: str) -> None:
    """Hold nothing against a chunk any more."""
    lake.delete(_suspect_path(lake, video_id, chunk_id))


def _suspect_path(lake: Lake, video_id: str, chunk_id: str) -> Path:
    return lake.root / "suspects" / video_id / f"{chunk_id}.json"


def quarantined(lake: Lake) -> Iterator[Quarantined]:
    """All of them, by video and chunk; a file that cannot be read is told and left out."""
    for path in lake.paths(lake.root / "quarantine"):
        try:
            values = json.loads((lake.read_bytes(path) or b"").decode("utf-8", "surrogatepass"))
            deaths = tuple(DeathNote(**death) for death in values["deaths"])
            yield Quarantined(**{**values, "frames": tuple(values["frames"]), "deaths": deaths})
        except (ValueError, KeyError, TypeError) as error:
            log.warning("quarantine file cannot be read", path=str(path), error=type(error).__name__)
