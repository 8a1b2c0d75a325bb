"""Many small parts of one chunk become one, and the tables stay the same to the last bit.

Parts are immutable: the union is written as a new part, then those that it replaces are removed. Which part speaks for
an instant is decided as the loader does it, so that the job, the reason and the seconds of each instant stay too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import MisalignedParts
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.parts import Part, PartHeader, part_paths, read_part, write_part
from framehouse.state import State
from framehouse.state.keeping import Keeping

log = structlog.get_logger(__name__)

_LEASE_S = 600.0


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did. `n_busy`: sets of parts that were left alone, because a job works on their video."""

    n_chunks: int = 0
    n_before: int = 0
    n_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    n_busy: int = 0


def compact_lake(lake: Lake, state: State, *, min_parts: int) -> Compacted:
    """Merge the parts of every chunk that has at least `min_parts` of one model and job; safe to kill and to repeat.

    A video is held by its lease meanwhile, as a run holds it; one that a job works on is left for another time. A lake
    in a bucket is left as it is: a reader that listed it before could miss an instant.
    """
    if lake.bucket is not None:
        return Compacted()
    done, needed = Compacted(), Keeping(state.engine)
    for video_id, digest in lake.part_keys():
        if not any(_crowded(lake.parts_dir(video_id, digest), min_parts)):
            continue
        lease = None
        if not needed.is_video_needed(video_id):
            lease = state.acquire(f"video/{video_id}", f"compact {time.time()}", _LEASE_S)
        if lease is None:
            done = replace(done, n_busy=done.n_busy + 1)
            continue
        try:
            done = _sum(done, compact_parts(lake.parts_dir(video_id, digest), min_parts=min_parts))
        finally:
            state.release(lease)
    return done


def compact_parts(parts_dir: Path, *, min_parts: int) -> Compacted:
    """Merge the parts of one video by one model digest. The caller sees to it that no run writes here.

    A chunk with a part that cannot be read, or that is of a later release, is left as it is.
    """
    done = Compacted()
    for paths in _crowded(parts_dir, min_parts):
        try:
            done = _sum(done, _compact_chunk(parts_dir, paths, min_parts))
        except (MisalignedParts, FileNotFoundError) as error:  # the loader sets it aside
            log.warning("chunk not compacted", parts=str(parts_dir), cause=str(error))
    return done


def _crowded(parts_dir: Path, min_parts: int) -> Iterator[list[Path]]:
    """The parts of each chunk that has enough of them, by name."""
    chunks: dict[str, list[Path]] = {}
    for path in part_paths(parts_dir):
        chunks.setdefault(path.name.rpartition("-")[0], []).append(path)
    yield from (paths for paths in chunks.values() if len(paths) >= min_parts)


def _compact_chunk(parts_dir: Path, paths: Sequence[Path], min_parts: int) -> Compacted:
    parts = [read_part(path) for path in paths]
    groups: dict[PartHeader, list[Part]] = {}
    for part in _speaking(parts):
        groups.setdefault(part.header, []).append(part)
    if max(Counter(part.header for part in parts).values()) < min_parts:
        return Compacted()
    bytes_before = _bytes(paths)
    kept = {Path(_write_union(parts_dir, header, said)) for header, said in groups.items()}
    for path in paths:
        if path not in kept:
            path.unlink(missing_ok=True)
    log.info("parts merged", parts_dir=str(parts_dir), n_before=len(paths), n_after=len(kept))
    return Compacted(1, len(paths), len(kept), bytes_before, _bytes(kept))


def _speaking(parts: Sequence[Part]) -> list[Part]:
    """Of each part, only the instants for which it speaks: loaded beats gap, then the smallest reason, then the first.

    Parts that speak for none are left out.
    """
    sizes = [part.frame_offset.size for part in parts]
    rank = np.repeat(np.arange(len(parts)), sizes)
    frame_offset = np.concatenate([part.frame_offset for part in parts])
    reason = np.array([text or "" for part in parts for text in part.gap_reason], dtype=np.str_)
    order = np.lexsort((rank, reason, frame_offset))
    _, first = np.unique(frame_offset[order], return_index=True)
    speaks = np.zeros(frame_offset.size, np.bool_)
    speaks[order[first]] = True
    own = [speaks[rank == number] for number in range(len(parts))]
    return [_only(part, mine) for part, mine in zip(parts, own, strict=True) if mine.any()]


def _only(part: Part, mine: NDArray[np.bool_]) -> Part:
    return replace(
        part,
        frame_offset=part.frame_offset[mine],
        pts=part.pts[mine],
        time_offset_s=part.time_offset_s[mine],
        gap_reason=part.gap_reason[mine],
        infer_s=part.infer_s[mine],
        rows=part.rows.select(part.frame_offset[mine]),
    )


def _write_union(parts_dir: Path, header: PartHeader, said: Sequence[Part]) -> str:
    """One part with what several say of different instants; its path."""
    frame_offset = np.concatenate([part.frame_offset for part in said])
    order = np.argsort(frame_offset)
    return write_part(
        parts_dir,
        header,
        frame_offset=frame_offset[order],
        pts=np.concatenate([part.pts for part in said])[order],
        time_offset_s=np.concatenate([part.time_offset_s for part in said])[order],
        gap_reason=np.concatenate([part.gap_reason for part in said])[order],
        infer_s=np.concatenate([part.infer_s for part in said])[order],
        rows=KINDS[header.kind].concat([part.rows for part in said]),
    ).path


def _sum(one: Compacted, other: Compacted) -> Compacted:
    return Compacted(*(getattr(one, name) + getattr(other, name) for name in Compacted.__dataclass_fields__))


def _bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
