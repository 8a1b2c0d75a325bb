"""Near-duplicates among the videos whose files are on this machine: prints made once, pairs judged, findings kept."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from framehouse.analytics.duplicates import VERSION, Match, candidates, covered, matches
from framehouse.config import Settings
from framehouse.errors import MediaError, ResultsError, SourceNotFound
from framehouse.jobs.media import local_file
from framehouse.results.files import make_folder, write_whole
from framehouse.results.findings import Event, Events, Finding, Ruleset, input_digest
from framehouse.results.indexes import read_index
from framehouse.results.opening import open_lake
from framehouse.store.archive import Archive, Video
from framehouse.video.index import VideoIndex
from framehouse.video.prints import VERSION as PRINTS_VERSION
from framehouse.video.prints import Prints, prints_of
from framehouse.video.probe import probe

KIND = "duplicates"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two videos that share something. `share`, `other_share`: how much of each, 0..1."""

    video: Video
    other: Video
    matches: tuple[Match, ...]
    share: float
    other_share: float

    @property
    def relation(self) -> str:
        """`copy`: nearly all of both; `part of`: nearly all of the one; `contains`; `shares`."""
        whole, other_whole = self.share >= _WHOLE, self.other_share >= _WHOLE
        if whole and other_whole:
            return "copy of"
        return "part of" if whole else "contains" if other_whole else "shares with"

    def turned(self) -> Pair:
        """The same, seen from the other video."""
        back = tuple(sorted((match.turned() for match in self.matches), key=lambda match: match.start_s))
        return Pair(self.other, self.video, back, self.other_share, self.share)


@dataclass(frozen=True, slots=True)
class Unread:
    """A video that could not be compared, and why."""

    video_id: str
    reason: str


_WHOLE = 0.9


def read_prints(
    settings: Settings, videos: Sequence[Video], tell: Callable[[str], None] = lambda _name: None
) -> Iterator[tuple[Video, Prints | Unread]]:
    """Prints of videos, from the cache or from their files.

    Args:
        tell: told the name of a video before its file is decoded.
    """
    for video in videos:
        cached = _cached(settings, video.video_id)
        if cached is not None:
            yield video, cached
            continue
        try:
            path = local_file(settings, video.video_id)
            tell(video.name)
            prints = prints_of(path, _index(settings, video.video_id, path))
        except (SourceNotFound, MediaError) as error:
            yield video, Unread(video.video_id, error.message)
            continue
        _keep(settings, video.video_id, prints)
        yield video, prints


def find_pairs(
    archive: Archive, prints: Mapping[str, Prints], asked: Sequence[str] | None = None, *, least_s: float = 2.0
) -> list[Pair]:
    """Every pair of near-duplicates, those with most in common first.

    Args:
        prints: by video_id.
        asked: only pairs with one of these; None for all.
        least_s: shorter stretches do not count.
    """
    found = []
    for names in candidates(prints):
        if asked is not None and not {*names} & {*asked}:
            continue
        one, other = names if asked is None or names[0] in asked else names[::-1]
        same = tuple(matches(prints[one], prints[other], least_s=least_s))
        if same:
            video, its = archive.video(one), archive.video(other)
            back = [match.turned() for match in same]
            found.append(Pair(video, its, same, covered(same, video.duration_s), covered(back, its.duration_s)))
    return sorted(found, key=lambda pair: (-max(pair.share, pair.other_share), pair.video.name, pair.other.name))


def finding_of(video: Video, prints: Prints, pairs: Sequence[Pair], ruleset: Ruleset) -> Finding:
    """What a video shares with others, as a finding: an event `duplicate` for each stretch and other video."""
    events = []
    for pair in pairs:
        seen = pair if pair.video.video_id == video.video_id else pair.turned()
        if seen.video.video_id != video.video_id:
            continue
        for match in seen.matches:
            first = int(np.searchsorted(prints.time_offset_s, match.start_s - 1e-6))
            facts = {
                "video_id": seen.other.video_id, "start_s": round(match.other_start_s, 3),
                "end_s": round(match.other_end_s, 3), "still": match.still, "relation": seen.relation,
            }  # fmt: skip
            frame = int(prints.frame_offset[min(first, len(prints) - 1)])
            events.append(
                Event("duplicate", match.start_s, match.end_s, frame, score=match.similarity, facts=json.dumps(facts))
            )
    digest = input_digest(prints.fine, prints.time_offset_s, *(json.dumps(asdict(m)) for p in pairs for m in p.matches))
    return Finding.of(
        ruleset, video.video_id, input_digest=digest, events=Events.ordered(events), judged_s=video.duration_s
    )


def ruleset_of(least_s: float, name: str = "") -> Ruleset:
    """The ruleset of its parameters."""
    return Ruleset(KIND, name, {"least_s": least_s}, VERSION)


def _index(settings: Settings, video_id: str, path: Path) -> VideoIndex:
    """As the lake has it, else read from the file."""
    try:
        return read_index(open_lake(*settings.lake_place), video_id)
    except ResultsError:
        return probe(path, max_pixels=settings.source.max_pixels)


def _place(settings: Settings, video_id: str) -> Path:
    return settings.home / "cache" / "prints" / f"{video_id}.{PRINTS_VERSION}.npz"


def _cached(settings: Settings, video_id: str) -> Prints | None:
    """Prints that were made before; None where there are none that can be read."""
    try:
        with np.load(_place(settings, video_id)) as kept:
            return Prints(**{name: kept[name] for name in Prints.__slots__})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(settings: Settings, video_id: str, prints: Prints) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(prints, name) for name in Prints.__slots__})
    make_folder(_place(settings, video_id).parent)
    write_whole(_place(settings, video_id), buffer.getvalue())
