"""What commands show of findings that have proof frames."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framehouse.cli.rulings import Rows, clock

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Ruled
    from framehouse.config import Settings
    from framehouse.results.findings import Events


@dataclass(frozen=True, slots=True)
class Proofs:
    """The proof frames of a command: written when a finding is shown, if a folder is named."""

    folder: Path | None
    settings: Settings
    named: Sequence[str]
    _names: dict[tuple[str, int], str] = field(default_factory=dict)

    def of(self, ruled: Ruled, kinds: Collection[str]) -> Mapping[int, Mapping[str, Any]]:
        """Write those of a finding's events of some kinds; of a video that is not at hand it is said, and no more."""
        if self.folder is None:
            return {}
        from framehouse.cli.output import say
        from framehouse.errors import MediaError, SourceNotFound
        from framehouse.jobs.proofs import write_proofs

        folder, events = self.folder.expanduser().absolute(), ruled.finding.events
        try:
            names = write_proofs(folder, ruled.video, events, kinds, self.settings, self.named)
        except (SourceNotFound, MediaError) as error:
            say(f"no proof frames of {ruled.video.name}: {error.line()}")
            return {}
        self._names.update({(ruled.video.video_id, i): name for i, name in names.items()})
        return {i: {"proof": str(folder / name)} for i, name in names.items()}

    def name(self, ruled: Ruled, event: int) -> str:
        """File name of an event's proof, or nothing."""
        return self._names.get((ruled.video.video_id, event), "")

    def columns(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Rows:
        """A table whose rows end in the name of a proof; that column goes where no folder is named."""
        if self.folder is None:
            return columns, [row[:-1] for row in rows]
        return [*columns, "proof"], rows


def moments(events: Events) -> Iterator[tuple[int, str, str, float | None]]:
    """(index, from, to, score) of each event, as people read them; to is empty for an instant."""
    for i in range(len(events)):
        end_s, score = float(events.end_s[i]), float(events.score[i])
        to = "" if math.isnan(end_s) else clock(end_s)
        yield i, clock(float(events.start_s[i])), to, None if math.isnan(score) else round(score, 2)


def facts_of(events: Events, i: int) -> dict[str, Any]:
    """The facts of an event."""
    facts: dict[str, Any] = json.loads(events.facts[i])
    return facts
