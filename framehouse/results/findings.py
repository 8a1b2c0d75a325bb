"""What a ruleset found in a video: events, scenes and tracks, in the lake beside the parts that they were made from.

A ruleset is a kind of question with its parameters; a finding is its outcome in one video, also when nothing was
found. Every use of the archive ends here, so the loader, `db rebuild`, `rulesets` and the page treat all of them alike.
Their files: `framehouse.results.finding_files`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from framehouse.results.contract import require, shape

_ARROW = {"str": pa.string(), "float64": pa.float64(), "float32": pa.float32(), "int64": pa.int64()}


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A question to the archive.

    Args:
        kind: lines, presence, scenes, policy …
        name: what people call it; "" for none. It is no part of the identity: a later finding may bring another.
        params: its parameters with every default filled in; values of JSON.
        version: of the algorithm; another one is another ruleset, so that old and new can be compared.
    """

    kind: str
    name: str
    params: Mapping[str, Any]
    version: int = 1

    @property
    def params_json(self) -> str:
        """The parameters as canonical JSON: sorted keys, no spaces. Raises ValueError for what JSON cannot say."""
        return json.dumps(self.params, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @property
    def ruleset_id(self) -> str:
        """`r_` and 24 hex digits (96 bits) of sha256 over kind, version and parameters.

        >>> Ruleset("lines", "door", {"line": [0, 0, 1, 1]}).ruleset_id
        'r_17edf38d9088f14afd5a9243'
        """
        text = f"{self.kind}\0{self.version}\0{self.params_json}"
        return f"r_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


class Event(NamedTuple):
    """One thing that happened, to build `Events` of; see there."""

    kind: str
    start_s: float
    end_s: float = math.nan
    frame_offset: int = -1
    tracker_id: int = -1
    class_name: str = ""
    score: float = math.nan
    facts: str = "{}"


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """A struct of arrays of one length N."""

    stored: ClassVar[Mapping[str, str]] = {}
    """Field -> str, int64, float32 or float64."""

    def __post_init__(self) -> None:
        n = len(self)
        for name, kind in self.stored.items():
            shape(name, getattr(self, name), np.object_ if kind == "str" else np.dtype(kind).type, (n,))
        self.check()

    def check(self) -> None:
        """Raises ContractViolation for values out of range or order."""

    def __len__(self) -> int:
        return int(getattr(self, fields(self)[0].name).size)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.stored}

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Only the rows marked in a bool [N]."""
        return type(self)(**{name: values[keep] for name, values in self.arrays().items()})

    @classmethod
    def of(cls, columns: Mapping[str, Iterable[Any]]) -> Self:
        """From lists or arrays by field name; each takes its dtype."""
        return cls(**{name: _array(columns[name], kind) for name, kind in cls.stored.items()})

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls.of(dict.fromkeys(cls.stored, ()))

    def table(self) -> pa.Table:
        """A column per field; NaN as null."""
        return pa.table({name: _arrow(getattr(self, name), kind) for name, kind in self.stored.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Events(Arrays):
    """What happened, ordered by time, then kind, tracker and class.

    Args:
        kind: object [N] of str: line_in, zone_enter, presence, policy …; each use documents its own.
        start_s: float64 [N], seconds after the first frame.
        end_s: float64 [N], >= start_s; NaN for an instant.
        frame_offset: int64 [N], the frame where it begins, or that shows it best; -1 for none.
        tracker_id: int64 [N], the track that it is about; -1 for none.
        class_name: object [N] of str; "" for none.
        score: float32 [N], by the use's own measure; NaN for none.
        facts: object [N] of str, a JSON object with what else there is to say.
    """

    kind: NDArray[np.object_]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    frame_offset: NDArray[np.int64]
    tracker_id: NDArray[np.int64]
    class_name: NDArray[np.object_]
    score: NDArray[np.float32]
    facts: NDArray[np.object_]

    stored: ClassVar[Mapping[str, str]] = {
        "kind": "str", "start_s": "float64", "end_s": "float64", "frame_offset": "int64", "tracker_id": "int64",
        "class_name": "str", "score": "float32", "facts": "str",
    }  # fmt: skip

    def check(self) -> None:
        """Times are finite and in order."""
        require(bool(np.isfinite(self.start_s).all()), "an event without a time")
        require(bool((np.diff(self.start_s) >= 0).all()), "events are not ordered by time")
        require(not bool((self.end_s < self.start_s).any()), "an event ends before it begins")

    @classmethod
    def ordered(cls, events: Iterable[Event]) -> Self:
        """Events in any order; what is equal in time, kind, tracker and class keeps the order given."""
        rows = sorted(events, key=lambda event: (event.start_s, event.kind, event.tracker_id, event.class_name))
        return cls.of({name: [getattr(event, name) for event in rows] for name in cls.stored})


@dataclass(frozen=True, slots=True, eq=False)
class Scenes(Arrays):
    """Stretches that cover a video, ordered; the index is the scene_id.

    Args:
        start_s, end_s: float64 [N], seconds after the first frame, half-open.
        first_frame_offset, last_frame_offset: int64 [N].
        facts: object [N] of str, a JSON object.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    first_frame_offset: NDArray[np.int64]
    last_frame_offset: NDArray[np.int64]
    facts: NDArray[np.object_]

    stored: ClassVar[Mapping[str, str]] = {
        "start_s": "float64", "end_s": "float64", "first_frame_offset": "int64", "last_frame_offset": "int64",
        "facts": "str",
    }  # fmt: skip

    def check(self) -> None:
        """In order, and none ends before it begins."""
        require(bool((self.end_s >= self.start_s).all()), "a scene ends before it begins")
        require(bool((np.diff(self.start_s) >= 0).all()), "scenes are not ordered by time")


@dataclass(frozen=True, slots=True, eq=False)
class Tracks(Arrays):
    """Which detection belongs to which track, ordered by frame, then detection.

    Args:
        model_digest: object [N] of str, whose detection it is.
        frame_offset, detection_id: int64 [N], the detection's key.
        tracker_id: int64 [N], from 1 in order of first sight.
    """

    model_digest: NDArray[np.object_]
    frame_offset: NDArray[np.int64]
    detection_id: NDArray[np.int64]
    tracker_id: NDArray[np.int64]

    stored: ClassVar[Mapping[str, str]] = {
        "model_digest": "str", "frame_offset": "int64", "detection_id": "int64", "tracker_id": "int64",
    }  # fmt: skip

    def check(self) -> None:
        """Ordered by frame."""
        require(bool((np.diff(self.frame_offset) >= 0).all()), "tracks are not ordered by frame")


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """The outcome of a ruleset in a video.

    Args:
        input_digest: of what it was made from (`input_digest`): the same input and ruleset give the same finding.
        model_digests: models whose rows it was made from; empty where it was made from pixels.
        judged_s: seconds of the video that could be judged; what was not seen is no "nothing there".
        unjudged_s: the other seconds: gaps, and what no model was asked about.
    """

    ruleset: Ruleset
    video_id: str
    input_digest: str
    events: Events
    scenes: Scenes
    tracks: Tracks
    model_digests: tuple[str, ...] = ()
    judged_s: float = 0.0
    unjudged_s: float = 0.0

    @classmethod
    def of(cls, ruleset: Ruleset, video_id: str, *, input_digest: str, **rest: Any) -> Self:
        """A finding where events, scenes and tracks are empty unless given."""
        whole = {"events": Events.empty(), "scenes": Scenes.empty(), "tracks": Tracks.empty(), **rest}
        return cls(ruleset, video_id, input_digest, **whole)


@dataclass(frozen=True, slots=True)
class FindingHead:
    """What a finding's file says about itself. Times are ISO 8601 UTC; `first_at`: when it was first made."""

    ruleset: Ruleset
    video_id: str
    input_digest: str
    model_digests: tuple[str, ...]
    judged_s: float
    unjudged_s: float
    made_at: str
    first_at: str


def input_digest(*values: NDArray[Any] | str | float) -> str:
    """Digest (32 hex) of what a finding is made from: arrays (object arrays as text), texts, numbers.

    >>> input_digest(np.array([1.0]), "x") == input_digest(np.array([1.0]), "y")
    False
    """
    digest = hashlib.sha256()
    for value in values:
        array = np.asarray(value)
        if array.dtype.kind in "OU":
            content = "\0".join(str(item) for item in array.ravel().tolist()).encode("utf-8", "surrogatepass")
        else:
            content = np.ascontiguousarray(array).tobytes()
        digest.update(f"{array.dtype.kind}{array.shape}{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def event_ids(finding: Finding) -> list[str]:
    """A name for each event, the same whenever the finding is loaded: `e_` and 24 hex digits."""
    events, seen = finding.events, dict[str, int]()
    ruleset_id, found = finding.ruleset.ruleset_id, []
    keys = zip(events.kind.tolist(), events.start_s.tolist(), events.tracker_id.tolist(), strict=True)
    for kind, start_s, tracker_id in keys:
        key = f"{ruleset_id}\0{finding.video_id}\0{kind}\0{start_s!r}\0{tracker_id}"
        seen[key] = ordinal = seen.get(key, -1) + 1
        found.append("e_" + hashlib.sha256(f"{key}\0{ordinal}".encode()).hexdigest()[:24])
    return found


def _array(values: Iterable[Any], kind: str) -> NDArray[Any]:
    if kind == "str":
        items = list(values)
        array = np.empty(len(items), np.object_)
        array[:] = items
        return array
    return np.asarray(values if isinstance(values, np.ndarray) else list(values), np.dtype(kind))


def _arrow(values: NDArray[Any], kind: str) -> pa.Array:
    return pa.array(values, type=_ARROW[kind], from_pandas=kind.startswith("float"))
